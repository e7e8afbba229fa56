//! The commands of an operator, beside `serve`.

pub mod follow;
pub mod keys;
pub mod user;
