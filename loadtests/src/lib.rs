//! Load on an authstack, with a verdict: what the `authload` command is made of.
//!
//! [`run`](fn@run) lets virtual users play a scenario against a [`Target`], judges every answer by what it means,
//! and hands back a [`Report`]: how many requests, how fast, answered by whom, and what went wrong when.
//!
//! # What the times say
//! The load is a *closed model*: a virtual user sends its next request only when it has the answer to the last.
//! When the service stalls, the users wait and fewer requests are sent, so percentiles look better than what
//! independent clients would have met ("coordinated omission"). Judge a stall by the timeline and the failures
//! as well as by the percentiles.

mod graphql;
mod pace;
mod progress;
mod recorder;
mod report;
mod run;
mod session;
mod table;
mod target;

pub use graphql::{Operation, Reason};
pub use report::{FailureGroup, OperationStats, Report, SecondCount};
pub use run::{Load, run};
pub use table::table;
pub use target::Target;
