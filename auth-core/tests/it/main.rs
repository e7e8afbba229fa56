//! Black-box tests: each starts a node on a port and a database of its own, and talks to it over a socket.

mod bad_input;
mod config;
mod database;
mod dev_mode;
mod docs;
mod email;
mod errors_doc;
mod guessing;
mod idempotency;
mod keys;
mod memory;
mod metrics;
mod node;
mod overload;
mod password_policy;
mod passwords;
mod postgres;
mod process;
mod refresh;
mod sessions;
mod shutdown;
mod systemd;
mod telemetry;
mod tokens;
mod transport;
mod users;
