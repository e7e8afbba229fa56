//! The commands of an operator, beside `serve`.

pub mod api_key;
pub mod audit;
mod authorities;
pub mod backup;
pub mod capacity;
pub mod copy;
mod database;
pub mod follow;
pub mod gateway_spans;
pub mod keys;
pub mod probe;
pub mod session;
pub mod user;
