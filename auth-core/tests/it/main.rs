//! Black-box tests: each starts a node on a port and a database of its own, and talks to it over a socket.

mod answer_size;
mod bad_input;
mod check_and_act;
mod config;
mod connections;
mod database;
mod dev_mode;
mod docs;
mod email;
mod errors_doc;
mod forged_tokens;

mod idempotency;
mod keys;
mod keys_command;
mod login_throttling;
mod memory;
mod metrics;
mod modules;
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
