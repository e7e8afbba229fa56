//! The commands of an operator, beside `serve`.

pub mod keys;
pub mod user;
