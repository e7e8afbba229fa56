//! Counts what happens while it happens: shared by all virtual users, read by the progress line and the report.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::graphql::{Operation, Reason};
use crate::report::{FailureGroup, OperationStats, SecondCount};

/// One request that succeeded or failed.
pub(crate) struct Outcome {
    pub(crate) operation: Operation,
    pub(crate) took: Duration,
    /// The reason if it failed.
    pub(crate) failure: Option<Reason>,
    /// Whether an answer came at all.
    pub(crate) answered: bool,
    /// `x-served-by`, where present.
    pub(crate) node: Option<String>,
    /// `x-trace-id`, where present.
    pub(crate) trace_id: Option<String>,
}

/// Everything counted so far.
pub(crate) struct Recorder {
    pub(crate) start: Instant,
    counts: Mutex<Counts>,
}

/// The counts at one moment.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) nodes: BTreeMap<String, u64>,
    pub(crate) timeline: Vec<SecondCount>,
    /// When the last request ended, since the start.
    pub(crate) last: Duration,
    operations: BTreeMap<Operation, OperationCounts>,
    failures: BTreeMap<(Operation, Reason, Option<String>), FailureGroup>,
}

#[derive(Clone)]
struct OperationCounts {
    requests: u64,
    failed: u64,
    /// Microseconds of the requests that succeeded, to three significant digits.
    times: Histogram<u64>,
}

impl Default for OperationCounts {
    fn default() -> Self {
        Self {
            requests: 0,
            failed: 0,
            times: Histogram::new(3).expect("three significant digits are allowed"),
        }
    }
}

impl Recorder {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            counts: Mutex::default(),
        }
    }

    /// Counts a request that ended now.
    pub(crate) fn record(&self, outcome: Outcome) {
        self.lock().add(self.start.elapsed(), outcome);
    }

    /// Requests and failures so far.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let counts = self.lock();
        (counts.requests, counts.failed)
    }

    /// A copy of everything counted so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no panic while locked")
    }
}

impl Counts {
    /// Counts a request that ended `at` after the start.
    pub(crate) fn add(&mut self, at: Duration, outcome: Outcome) {
        let failed = u64::from(outcome.failure.is_some());
        self.requests += 1;
        self.failed += failed;
        self.last = self.last.max(at);

        let operation = self.operations.entry(outcome.operation).or_default();
        operation.requests += 1;
        operation.failed += failed;
        if failed == 0 {
            let micros = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX);
            operation
                .times
                .record(micros)
                .expect("a growing histogram takes any time");
        }

        let second = usize::try_from(at.as_secs()).expect("a run is at most a day");
        if self.timeline.len() <= second {
            self.timeline.resize(second + 1, SecondCount::default());
        }
        self.timeline[second].failed += failed;
        self.timeline[second].ok += 1 - failed;

        if outcome.answered {
            let node = outcome.node.clone().unwrap_or_else(|| "unknown".into());
            *self.nodes.entry(node).or_default() += 1;
        }
        if let Some(reason) = outcome.failure {
            let key = (outcome.operation, reason.clone(), outcome.node.clone());
            let group = self.failures.entry(key).or_insert_with(|| FailureGroup {
                operation: outcome.operation.name().into(),
                reason,
                node: outcome.node,
                count: 0,
                trace_id: None,
                first_second: tenths(at),
                last_second: 0.0,
            });
            group.count += 1;
            group.trace_id = group.trace_id.take().or(outcome.trace_id);
            group.last_second = tenths(at);
        }
    }

    /// Every operation's counts and times.
    pub(crate) fn operations(&self) -> Vec<OperationStats> {
        Operation::ALL
            .into_iter()
            .map(|operation| {
                let counts = self.operations.get(&operation).cloned().unwrap_or_default();
                let ms = |micros: u64| (!counts.times.is_empty()).then_some(micros as f64 / 1000.0);
                OperationStats {
                    name: operation.name().into(),
                    requests: counts.requests,
                    failed: counts.failed,
                    p50_ms: ms(counts.times.value_at_quantile(0.50)),
                    p90_ms: ms(counts.times.value_at_quantile(0.90)),
                    p99_ms: ms(counts.times.value_at_quantile(0.99)),
                    max_ms: ms(counts.times.max()),
                }
            })
            .collect()
    }

    /// The failures, the most frequent first.
    pub(crate) fn failures(&self) -> Vec<FailureGroup> {
        let mut groups: Vec<_> = self.failures.values().cloned().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

fn tenths(at: Duration) -> f64 {
    (at.as_secs_f64() * 10.0).floor() / 10.0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request of `ms` milliseconds that succeeded, answered by `auth1`.
    pub(crate) fn succeeded(operation: Operation, ms: u64) -> Outcome {
        Outcome {
            operation,
            took: Duration::from_millis(ms),
            failure: None,
            answered: true,
            node: Some("auth1".into()),
            trace_id: None,
        }
    }

    /// A log-in that failed with a GraphQL `code`, answered by `auth2`.
    pub(crate) fn refused(code: &str, trace_id: Option<&str>) -> Outcome {
        Outcome {
            failure: Some(Reason::Graphql {
                status: 200,
                code: code.into(),
            }),
            node: Some("auth2".into()),
            trace_id: trace_id.map(Into::into),
            ..succeeded(Operation::LogIn, 1)
        }
    }

    /// A log-in that got no answer.
    pub(crate) fn cut_off() -> Outcome {
        Outcome {
            failure: Some(Reason::Transport {
                what: "connection reset".into(),
            }),
            answered: false,
            node: None,
            ..succeeded(Operation::LogIn, 1)
        }
    }

    #[test]
    fn percentiles_are_right_to_three_digits() {
        let mut counts = Counts::default();
        for ms in 1..=1000 {
            counts.add(Duration::ZERO, succeeded(Operation::Me, ms));
        }
        let me = &counts.operations()[2];
        assert_eq!((me.name.as_str(), me.requests), ("me", 1000));
        for (measured, expected) in [
            (me.p50_ms, 500.0),
            (me.p90_ms, 900.0),
            (me.p99_ms, 990.0),
            (me.max_ms, 1000.0),
        ] {
            let error = (measured.unwrap() - expected).abs() / expected;
            assert!(error < 0.001, "{measured:?} is not {expected}");
        }
    }

    #[test]
    fn failures_do_not_count_in_the_times() {
        let mut counts = Counts::default();
        counts.add(Duration::ZERO, refused("OVERLOADED", None));
        let log_in = &counts.operations()[1];
        assert_eq!((log_in.requests, log_in.failed), (1, 1));
        assert_eq!(log_in.p50_ms, None);
    }

    #[test]
    fn equal_failures_are_one_group_from_first_to_last_with_one_trace() {
        let mut counts = Counts::default();
        counts.add(Duration::from_millis(1250), refused("OVERLOADED", None));
        counts.add(
            Duration::from_millis(2000),
            refused("OVERLOADED", Some("a")),
        );
        counts.add(
            Duration::from_millis(3900),
            refused("OVERLOADED", Some("b")),
        );
        counts.add(Duration::from_millis(4000), refused("RATE_LIMITED", None));
        let groups = counts.failures();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].count, 3);
        assert_eq!((groups[0].first_second, groups[0].last_second), (1.2, 3.9));
        assert_eq!(groups[0].trace_id.as_deref(), Some("a"));
    }

    #[test]
    fn each_second_counts_what_ended_in_it() {
        let mut counts = Counts::default();
        counts.add(Duration::from_millis(999), succeeded(Operation::Me, 1));
        counts.add(Duration::from_millis(2000), succeeded(Operation::Me, 1));
        counts.add(Duration::from_millis(2001), cut_off());
        let seconds: Vec<_> = counts.timeline.iter().map(|s| (s.ok, s.failed)).collect();
        assert_eq!(seconds, [(1, 0), (0, 0), (1, 1)]);
    }

    #[test]
    fn only_answers_count_for_a_node() {
        let mut counts = Counts::default();
        counts.add(Duration::ZERO, succeeded(Operation::Me, 1));
        counts.add(Duration::ZERO, cut_off());
        let mut anonymous = succeeded(Operation::Me, 1);
        anonymous.node = None;
        counts.add(Duration::ZERO, anonymous);
        let nodes: Vec<_> = counts.nodes.into_iter().collect();
        assert_eq!(nodes, [("auth1".into(), 1), ("unknown".into(), 1)]);
    }
}
