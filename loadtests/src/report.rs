//! The report of a run as data, for machines to read: one JSON object, stable within a `version`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::events::{Fault, Phase};
use crate::graphql::Reason;
use crate::prometheus::Monitoring;

/// What a run did and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this format: [`Report::VERSION`].
    pub version: u32,
    /// The version of authload.
    pub authload: String,
    /// Whether there is no problem.
    pub passed: bool,
    /// Why the run has not passed, a line each.
    pub problems: Vec<String>,
    /// Whether the run was ended early (Ctrl-C, SIGTERM).
    pub interrupted: bool,
    /// The scenario's name.
    pub scenario: String,
    /// The base URL that was asked.
    pub url: String,
    /// How many virtual users there were at most.
    pub users: usize,
    /// The limit on requests per second over all users; `null`: none.
    pub rate_limit: Option<usize>,
    /// The open model's arrivals; `null`: the closed model.
    pub arrivals: Option<ArrivalCounts>,
    /// From which chance followed.
    pub seed: u64,
    /// When the run started, in seconds since the Unix epoch. All offsets below count from here.
    pub started_at: f64,
    /// How long the run was, to its last answer, in seconds.
    pub elapsed_seconds: f64,
    /// Requests that succeeded or failed.
    pub requests: u64,
    /// Requests among them that failed.
    pub failed: u64,
    /// `requests / elapsed_seconds`.
    pub requests_per_second: f64,
    /// One entry per operation that was asked for, in the order a user makes them.
    pub operations: Vec<OperationStats>,
    /// Answers per node, by the name in `x-served-by`; `unknown` where that header was absent.
    /// Requests that got no answer are not in here.
    pub nodes: BTreeMap<String, Stats>,
    /// One entry for each phase that had requests; none where no fault was made known.
    pub phases: Vec<PhaseStats>,
    /// What each threshold observed.
    pub thresholds: Vec<Verdict>,
    /// What was done to the service meanwhile.
    pub faults: Vec<Fault>,
    /// Why requests failed, the most frequent first.
    pub failures: Vec<FailureGroup>,
    /// One entry per second of the run, by when the request ended.
    pub timeline: Vec<SecondCount>,
    /// What Prometheus saw; `null` where it was not asked.
    pub monitoring: Option<Monitoring>,
}

/// What became of the open model's schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArrivalCounts {
    /// Arrivals per second, on average.
    pub per_second: f64,
    /// Whether they came by a Poisson process, and not evenly spaced.
    pub poisson: bool,
    /// How many were scheduled.
    pub scheduled: u64,
    /// How many of them a user took before the end of the run.
    pub taken: u64,
    /// The longest that one waited for a free user, in milliseconds.
    pub longest_wait_ms: f64,
}

/// Some of the requests. Times are in milliseconds, of all requests, whether they succeeded or failed; `null` when there
/// was none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests that succeeded or failed.
    pub requests: u64,
    /// Requests among them that failed.
    pub failed: u64,
    /// Half were at most this long.
    pub p50_ms: Option<f64>,
    /// Nine in ten were at most this long.
    pub p90_ms: Option<f64>,
    /// Ninety-nine in a hundred were at most this long.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

/// The requests of one operation, as goose counted them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationStats {
    /// The operation's name.
    pub name: String,
    /// Its requests.
    #[serde(flatten)]
    pub stats: Stats,
    /// How often each HTTP status came; 0 is no answer.
    pub statuses: BTreeMap<u16, usize>,
}

/// The requests of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseStats {
    /// Before, during or after a fault.
    pub phase: Phase,
    /// Its requests.
    #[serde(flatten)]
    pub stats: Stats,
}

/// What became of a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The rule, as it was given.
    pub rule: String,
    /// What was observed, with its unit.
    pub observed: String,
    /// Whether that is what the rule asks for.
    pub passed: bool,
}

/// Requests that failed alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// The operation's name.
    pub operation: String,
    /// Why they failed.
    pub reason: Reason,
    /// The node that answered; `null` when there was no answer or it did not say.
    pub node: Option<String>,
    /// How many.
    pub count: u64,
    /// The `x-trace-id` of the first of them that had one.
    pub trace_id: Option<String>,
    /// When the first of them failed, in seconds from the start.
    pub first_second: f64,
    /// When the last of them failed, in seconds from the start.
    pub last_second: f64,
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondCount {
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
}

impl Report {
    /// The version that this code writes and reads.
    pub const VERSION: u32 = 2;
}
