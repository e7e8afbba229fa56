//! Runs the whole stack on one machine as plain processes on loopback addresses, and breaks it on purpose.
//!
//! The lab has no configuration of its own: `lab/topology.nix` renders what NixOS would deploy. The story of a start, in order:
//! [`programs`] finds what must be installed, [`network`] claims loopback addresses, [`keys`] makes certificates, [`topology`]
//! asks Nix which parts there are, [`stack`] starts and watches them as [`process`]es (some as a [`host`] of their own), and [`control`] lets other
//! terminals ask for `status`, `kill` and friends, which [`answer`](mod@answer) carries out; [`haproxy`] changes a gateway that
//! runs, and [`watch`] is the page that shows all of it. [`chaos`] is the catalogue of faults, [`history`] checks what clients
//! were told while a stack was broken, and [`durability`] breaks one for that;
//! [`members`] are those of the database of the topology "ha".

pub mod answer;
pub mod chaos;
pub mod control;
pub mod durability;
pub mod haproxy;
pub mod history;
pub mod host;
pub mod keys;
pub mod members;
pub mod network;
pub mod process;
pub mod programs;
pub mod ready;
pub mod setup;
pub mod stack;
pub mod topology;
pub mod watch;

pub use setup::Setup;
pub use stack::{Event, Stack};
pub use topology::TopologyName;
