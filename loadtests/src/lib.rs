//! Load on an authstack, with a verdict: what the `authload` command is made of.
//!
//! [`run`](fn@run) lets goose's virtual users play a [`Scenario`] against a [`Target`], judges every answer by what it
//! means, and hands back a [`Report`]: how many requests, how fast, answered by whom, and what went wrong when.
//!
//! # What the times say
//! Without [`Load::arrivals`] the load is a *closed model*: a virtual user sends its next request only when it has the
//! answer to the last. When the service stalls, the users wait and fewer requests are sent, so percentiles look better
//! than what independent clients would have met ("coordinated omission"). With it, the load is an *open model*: users
//! arrive on a schedule, whatever became of those before, and latency counts from when they were due.

mod arrivals;
mod chart;
mod events;
mod graphql;
mod html;
mod junit;
mod prometheus;
mod report;
mod run;
mod samples;
mod scenario;
mod slo;
mod summary;
mod table;
mod target;
mod user;

pub use events::{Fault, Phase};
pub use graphql::{Operation, Reason};
pub use junit::junit;
pub use prometheus::{Monitoring, Panel};
pub use report::{
    ArrivalCounts, FailureGroup, OperationStats, PhaseStats, Report, SecondCount, Stats, Verdict,
};
pub use run::{Load, Ran, run};
pub use scenario::{DEFAULT_MIX, Mix, Scenario};
pub use slo::{PhaseRule, take as take_phase_rules};
pub use table::table;
pub use target::Target;
