//! Passwords: in which form they are taken, which are good enough, and how they are hashed, a few at a time.

mod common;
mod fair_queue;
pub mod hash_pool;
mod hasher;
pub mod policy;

pub use hasher::*;
