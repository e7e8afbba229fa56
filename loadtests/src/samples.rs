//! What goose does not keep of a request: when it was, who answered, and why it failed.
//!
//! Counts and times of the whole run are goose's. For each phase, node and second they are made from these samples.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::graphql::{Operation, Reason};
use crate::report::FailureGroup;

/// What came of one request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) operation: Operation,
    /// From when it was sent, or due, to the answer.
    pub(crate) took: Duration,
    /// `None`: it succeeded.
    pub(crate) failure: Option<Reason>,
    /// Whether there was an answer, right or wrong.
    pub(crate) answered: bool,
    /// `x-served-by`, where present.
    pub(crate) node: Option<String>,
    /// `x-trace-id`, where present.
    pub(crate) trace_id: Option<String>,
}

/// A request, in 12 bytes: a run of 1000 requests a second and an hour takes 43 MB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When the answer was there, in milliseconds from the start.
    pub(crate) ended_ms: u32,
    /// In microseconds.
    pub(crate) took_us: u32,
    operation: u8,
    node: u8,
    pub(crate) failed: bool,
}

/// No answer, and so no node.
const NOBODY: u8 = u8::MAX;

impl Sample {
    /// When it was sent, or due, in seconds from the start.
    pub(crate) fn began(self) -> f64 {
        self.ended() - f64::from(self.took_us) / 1e6
    }

    /// When the answer was there, in seconds from the start.
    pub(crate) fn ended(self) -> f64 {
        f64::from(self.ended_ms) / 1e3
    }

    pub(crate) fn operation(self) -> Operation {
        Operation::ALL[usize::from(self.operation)]
    }
}

/// All samples of a run, and its failures.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) all: Vec<Sample>,
    nodes: Vec<String>,
    failures: BTreeMap<(Operation, Reason, Option<String>), FailureGroup>,
}

/// Samples, while users add to them.
pub(crate) struct Recorder {
    pub(crate) start: Instant,
    samples: Mutex<Samples>,
}

impl Recorder {
    /// Times count from `start`.
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            samples: Mutex::default(),
        }
    }

    /// Adds what has ended just now.
    pub(crate) fn record(&self, outcome: Outcome) {
        let at = self.start.elapsed();
        self.samples.lock().expect("no panic").add(at, outcome);
    }

    /// Everything so far.
    pub(crate) fn take(&self) -> Samples {
        std::mem::take(&mut self.samples.lock().expect("no panic"))
    }
}

impl Samples {
    pub(crate) fn add(&mut self, at: Duration, outcome: Outcome) {
        let operation = Operation::ALL
            .iter()
            .position(|one| *one == outcome.operation)
            .expect("it is one of all") as u8;
        let node = match (&outcome.node, outcome.answered) {
            (_, false) => NOBODY,
            (node, true) => self.node(node.as_deref().unwrap_or("unknown")),
        };
        self.all.push(Sample {
            ended_ms: u32::try_from(at.as_millis()).unwrap_or(u32::MAX),
            took_us: u32::try_from(outcome.took.as_micros()).unwrap_or(u32::MAX),
            operation,
            node,
            failed: outcome.failure.is_some(),
        });
        let Some(reason) = outcome.failure else {
            return;
        };
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

    /// The number of a node. More than there are numbers for are taken for the last one.
    fn node(&mut self, name: &str) -> u8 {
        let known = self.nodes.iter().position(|node| node == name);
        let number = known.unwrap_or_else(|| {
            if self.nodes.len() + 1 < usize::from(NOBODY) {
                self.nodes.push(name.to_owned());
            }
            self.nodes.len() - 1
        });
        number as u8
    }

    /// The failures, the most frequent first.
    pub(crate) fn failures(&self) -> Vec<FailureGroup> {
        let mut groups: Vec<_> = self.failures.values().cloned().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }

    /// Every node, by name, with what it answered.
    pub(crate) fn by_node(&self) -> BTreeMap<&str, Figures> {
        let mut nodes: BTreeMap<&str, Figures> = BTreeMap::new();
        for sample in self.all.iter().filter(|sample| sample.node != NOBODY) {
            let name = self.nodes[usize::from(sample.node)].as_str();
            nodes.entry(name).or_default().add(*sample);
        }
        nodes
    }
}

/// Counts and times of some of the samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    times: Vec<u32>,
}

impl Figures {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.requests += 1;
        self.failed += u64::from(sample.failed);
        self.times.push(sample.took_us);
    }

    /// The time that `percent` of the requests took at most, in milliseconds, by the nearest rank.
    pub(crate) fn percentile_ms(&mut self, percent: f64) -> Option<f64> {
        let last = self.times.len().checked_sub(1)?;
        // A little less, as 99.9 % of 1000 is 999 and not a trifle more.
        let rank = (percent * self.times.len() as f64 / 100.0 - 1e-6).ceil() as usize;
        let (_, time, _) = self
            .times
            .select_nth_unstable(rank.saturating_sub(1).min(last));
        Some(f64::from(*time) / 1000.0)
    }

    /// In milliseconds.
    pub(crate) fn average_ms(&self) -> Option<f64> {
        let sum: f64 = self.times.iter().copied().map(f64::from).sum();
        (!self.times.is_empty()).then(|| sum / self.times.len() as f64 / 1000.0)
    }
}

impl FromIterator<Sample> for Figures {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        let mut figures = Self::default();
        samples.into_iter().for_each(|sample| figures.add(sample));
        figures
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
    fn equal_failures_are_one_group_from_first_to_last_with_one_trace() {
        let mut samples = Samples::default();
        for (ms, outcome) in [
            (1250, refused("OVERLOADED", None)),
            (2000, refused("OVERLOADED", Some("a"))),
            (3900, refused("OVERLOADED", Some("b"))),
            (4000, refused("RATE_LIMITED", None)),
        ] {
            samples.add(Duration::from_millis(ms), outcome);
        }
        let groups = samples.failures();
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].count, 3);
        assert_eq!((groups[0].first_second, groups[0].last_second), (1.2, 3.9));
        assert_eq!(groups[0].trace_id.as_deref(), Some("a"));
    }

    #[test]
    fn only_answers_count_for_a_node() {
        let mut samples = Samples::default();
        samples.add(Duration::ZERO, succeeded(Operation::Me, 1));
        samples.add(Duration::ZERO, cut_off());
        let mut anonymous = succeeded(Operation::Me, 1);
        anonymous.node = None;
        samples.add(Duration::ZERO, anonymous);
        let nodes = samples.by_node();
        let counts: Vec<_> = nodes.iter().map(|(name, n)| (*name, n.requests)).collect();
        assert_eq!(counts, [("auth1", 1), ("unknown", 1)]);
    }

    #[test]
    fn more_nodes_than_numbers_do_no_harm() {
        let mut samples = Samples::default();
        for node in 0..1000 {
            let mut outcome = succeeded(Operation::Me, 1);
            outcome.node = Some(format!("node{node}"));
            samples.add(Duration::ZERO, outcome);
        }
        let nodes = samples.by_node();
        assert!(nodes.len() < 256);
        assert_eq!(nodes.values().map(|node| node.requests).sum::<u64>(), 1000);
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut figures = Figures::default();
        assert_eq!(figures.percentile_ms(50.0), None);
        let mut samples = Samples::default();
        for ms in (1..=1000).rev() {
            samples.add(Duration::ZERO, succeeded(Operation::Me, ms));
        }
        figures = samples.all.iter().copied().collect();
        for (percent, ms) in [(50.0, 500.0), (99.0, 990.0), (99.9, 999.0), (100.0, 1000.0)] {
            assert_eq!(figures.percentile_ms(percent), Some(ms));
        }
        assert_eq!(figures.average_ms(), Some(500.5));
    }
}
