//! The report of a run as data, for machines to read: one JSON object, stable within a `version`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graphql::Reason;

/// What a run did and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this format: [`Report::VERSION`].
    pub version: u32,
    /// Whether every answer was right, and there was at least one.
    pub passed: bool,
    /// Whether the run was ended early (Ctrl-C, SIGTERM).
    pub interrupted: bool,
    /// The scenario's name.
    pub scenario: String,
    /// The base URL that was asked.
    pub url: String,
    /// How many virtual users there were.
    pub users: usize,
    /// The limit on requests per second over all users; `null`: none.
    pub rate_limit: Option<u32>,
    /// How long the run was meant to be, in seconds.
    pub planned_seconds: u64,
    /// When the run started, in seconds since the Unix epoch. All offsets below count from here.
    pub started_at: u64,
    /// How long the run was, to its last answer, in seconds.
    pub elapsed_seconds: f64,
    /// Requests that succeeded or failed.
    pub requests: u64,
    /// Requests among them that failed.
    pub failed: u64,
    /// `requests / elapsed_seconds`.
    pub requests_per_second: f64,
    /// One entry per operation, in the order a user makes them.
    pub operations: Vec<OperationStats>,
    /// Answers per node, by the name in `x-served-by`; `unknown` where that header was absent.
    /// Requests that got no answer are not in here.
    pub nodes: BTreeMap<String, u64>,
    /// Why requests failed, the most frequent first.
    pub failures: Vec<FailureGroup>,
    /// One entry per second of the run, by when the request ended.
    pub timeline: Vec<SecondCount>,
}

/// The requests of one operation. Times are those of the requests that succeeded, from sending to the whole answer,
/// in milliseconds, to three significant digits; `null` when there was none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationStats {
    /// The operation's name.
    pub name: String,
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
    pub const VERSION: u32 = 1;
}
