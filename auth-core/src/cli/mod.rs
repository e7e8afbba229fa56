//! The commands of an operator, beside `serve`.

pub mod follow;
pub mod gateway_spans;
pub mod keys;
pub mod user;
