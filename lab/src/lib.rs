//! Runs the whole stack on one machine as plain processes on loopback addresses, and breaks it on purpose.
//!
//! The lab has no configuration of its own: `lab/topology.nix` renders what NixOS would deploy. The story of a start, in order:
//! [`programs`] finds what must be installed, [`network`] claims loopback addresses, [`keys`] makes certificates, [`topology`]
//! asks Nix which parts there are, [`stack`] starts and watches them as [`process`]es, and [`control`] lets other
//! terminals ask for `status`, `kill` and friends, which [`answer`](mod@answer) carries out; [`haproxy`] changes a gateway that
//! runs, and [`watch`] is the page that shows all of it.

pub mod answer;
pub mod control;
pub mod haproxy;
pub mod keys;
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
