//! The commands of an operator, beside `serve`.

pub mod api_key;
mod database;
pub mod follow;
pub mod gateway_spans;
pub mod keys;
pub mod user;
