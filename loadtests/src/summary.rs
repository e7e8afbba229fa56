//! From what was counted to the report: figures, and whether they are good enough.

use std::time::Duration;

use goose::metrics::{GooseMetrics, GooseRequestMetricAggregate};

use crate::events::{Fault, Phase};
use crate::graphql::Operation;
use crate::report::{
    ArrivalCounts, OperationStats, PhaseStats, Report, SecondCount, Stats, Verdict,
};
use crate::samples::{Figures, Samples};
use crate::slo;

/// What a summary needs to know beside figures.
#[derive(Default)]
pub(crate) struct Load {
    /// How long users began requests.
    pub(crate) elapsed: Duration,
    pub(crate) faults: Vec<Fault>,
    pub(crate) thresholds: Vec<Verdict>,
    /// What is known to be wrong already.
    pub(crate) problems: Vec<String>,
    pub(crate) arrivals: Option<ArrivalCounts>,
    pub(crate) interrupted: bool,
}

/// The report on a run, but for what it was a run of.
pub(crate) fn report(samples: &Samples, metrics: &GooseMetrics, load: Load) -> Report {
    let operations: Vec<_> = Operation::ALL
        .into_iter()
        .filter_map(|operation| {
            let key = format!("{} {}", operation.method(), operation.name());
            Some(counted(operation, metrics.requests.get(&key)?))
        })
        .collect();
    let requests = operations.iter().map(|o| o.stats.requests).sum();
    let failed = operations.iter().map(|o| o.stats.failed).sum();
    let last = samples.all.iter().map(|sample| sample.ended());
    let elapsed = last.fold(load.elapsed.as_secs_f64(), f64::max);

    let mut problems = load.problems;
    let fails_may = load.thresholds.iter().any(|t| slo::is_error_rate(&t.rule));
    if requests == 0 {
        problems.push("no request was made".into());
    } else if failed > 0 && !fails_may {
        problems.push(format!("{failed} of {requests} requests failed"));
    }
    if let Some(arrivals) = &load.arrivals
        && !load.interrupted
        && arrivals.taken < arrivals.scheduled
    {
        problems.push(format!(
            "the rate was not kept: {} of {} arrivals had a user before the end, {:.1}/s of {:.1}/s; \
             the service is slower than they come, or there are too few --users",
            arrivals.taken,
            arrivals.scheduled,
            arrivals.taken as f64 / load.elapsed.as_secs_f64(),
            arrivals.per_second,
        ));
    }
    let missed = load.thresholds.iter().filter(|verdict| !verdict.passed);
    problems.extend(missed.map(|verdict| format!("{}: it was {}", verdict.rule, verdict.observed)));

    Report {
        version: Report::VERSION,
        authload: env!("CARGO_PKG_VERSION").into(),
        passed: problems.is_empty(),
        problems,
        interrupted: load.interrupted,
        scenario: String::new(),
        url: String::new(),
        users: 0,
        rate_limit: None,
        arrivals: load.arrivals,
        seed: 0,
        started_at: 0.0,
        elapsed_seconds: (elapsed * 1000.0).round() / 1000.0,
        requests,
        failed,
        requests_per_second: (requests as f64 / elapsed * 10.0).round() / 10.0,
        operations,
        nodes: (samples.by_node().into_iter())
            .map(|(name, figures)| (name.to_owned(), stats(figures)))
            .collect(),
        phases: phases(samples, &load.faults),
        thresholds: load.thresholds,
        faults: load.faults,
        failures: samples.failures(),
        timeline: timeline(samples),
        monitoring: None,
    }
}

/// One operation as goose has counted it. Its times are in buckets of which none is wider than 1/64 of its times, and
/// a percentile is the middle of one: at most 0.8 % off.
fn counted(operation: Operation, counts: &GooseRequestMetricAggregate) -> OperationStats {
    let times = &counts.raw_data;
    let ms = |micros: u64| (times.counter > 0).then_some(micros as f64 / 1000.0);
    OperationStats {
        name: operation.name().into(),
        stats: Stats {
            requests: (counts.success_count + counts.fail_count) as u64,
            failed: counts.fail_count as u64,
            p50_ms: ms(times.percentile_us(0.50)),
            p90_ms: ms(times.percentile_us(0.90)),
            p99_ms: ms(times.percentile_us(0.99)),
            max_ms: ms(times.maximum_time_us),
        },
        statuses: (counts.status_code_counts.iter())
            .map(|(status, count)| (*status, *count))
            .collect(),
    }
}

fn stats(mut figures: Figures) -> Stats {
    Stats {
        requests: figures.requests,
        failed: figures.failed,
        p50_ms: figures.percentile_ms(50.0),
        p90_ms: figures.percentile_ms(90.0),
        p99_ms: figures.percentile_ms(99.0),
        max_ms: figures.percentile_ms(100.0),
    }
}

fn phases(samples: &Samples, faults: &[Fault]) -> Vec<PhaseStats> {
    if faults.is_empty() {
        return Vec::new();
    }
    let phase_of = |phase| {
        let of = |sample: &crate::samples::Sample| {
            Phase::of(faults, sample.began(), sample.ended()) == phase
        };
        let figures: Figures = samples.all.iter().copied().filter(of).collect();
        (figures.requests > 0).then(|| PhaseStats {
            phase,
            stats: stats(figures),
        })
    };
    Phase::ALL.into_iter().filter_map(phase_of).collect()
}

fn timeline(samples: &Samples) -> Vec<SecondCount> {
    let mut timeline = Vec::new();
    for sample in &samples.all {
        let second = (sample.ended_ms / 1000) as usize;
        if timeline.len() <= second {
            timeline.resize(second + 1, SecondCount::default());
        }
        match sample.failed {
            true => timeline[second].failed += 1,
            false => timeline[second].ok += 1,
        }
    }
    timeline
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use goose::goose::GooseMethod;
    use goose::metrics::GooseRequestMetricTimingData;

    use super::*;
    use crate::samples::tests::{cut_off, succeeded};

    /// What goose would have counted of these samples.
    pub(crate) fn metrics(samples: &Samples) -> GooseMetrics {
        let mut metrics = GooseMetrics::default();
        for sample in &samples.all {
            let operation = sample.operation();
            let key = format!("{} {}", operation.method(), operation.name());
            let counts =
                metrics
                    .requests
                    .entry(key)
                    .or_insert_with(|| GooseRequestMetricAggregate {
                        path: operation.name().into(),
                        method: GooseMethod::Post,
                        raw_data: GooseRequestMetricTimingData::default(),
                        coordinated_omission_data: None,
                        status_code_counts: HashMap::new(),
                        status_code_timings: HashMap::new(),
                        success_count: 0,
                        fail_count: 0,
                        load_test_hash: 0,
                        custom_method: String::new(),
                    });
            let us = u64::from(sample.took_us);
            // The bucket by its lowest time, as goose has it: 64 of them for each power of two.
            let bits = (63 - u64::leading_zeros(us.max(1)) as u64).saturating_sub(6);
            let bucket = us >> bits << bits;
            let before = counts.raw_data.times_us.get(&bucket).copied().unwrap_or(0);
            counts.raw_data.times_us.insert(bucket, before + 1);
            let times = &mut counts.raw_data;
            if times.counter == 0 || us < times.minimum_time_us {
                times.minimum_time_us = us;
            }
            times.maximum_time_us = times.maximum_time_us.max(us);
            times.counter += 1;
            match sample.failed {
                true => counts.fail_count += 1,
                false => counts.success_count += 1,
            }
        }
        metrics
    }

    fn report_on(samples: &Samples, load: Load) -> Report {
        report(samples, &metrics(samples), load)
    }

    #[test]
    fn each_second_counts_what_ended_in_it() {
        let mut samples = Samples::default();
        for (ms, outcome) in [
            (999, succeeded(Operation::Me, 1)),
            (2000, succeeded(Operation::Me, 1)),
            (2001, cut_off()),
        ] {
            samples.add(Duration::from_millis(ms), outcome);
        }
        let seconds: Vec<_> = timeline(&samples)
            .iter()
            .map(|s| (s.ok, s.failed))
            .collect();
        assert_eq!(seconds, [(1, 0), (0, 0), (1, 1)]);
    }

    #[test]
    fn a_rate_that_was_not_kept_fails_the_run_with_what_was_kept() {
        let mut samples = Samples::default();
        samples.add(Duration::ZERO, succeeded(Operation::Me, 1));
        let load = |interrupted, taken| Load {
            elapsed: Duration::from_secs(10),
            interrupted,
            arrivals: Some(ArrivalCounts {
                per_second: 50.0,
                poisson: false,
                scheduled: 500,
                taken,
                longest_wait_ms: 1.0,
            }),
            ..Load::default()
        };
        let report = report_on(&samples, load(false, 412));
        assert!(!report.passed);
        let problem = &report.problems[0];
        assert!(
            problem.contains("412 of 500 arrivals") && problem.contains("41.2/s of 50.0/s"),
            "{problem}"
        );
        assert!(report_on(&samples, load(true, 412)).passed);
        assert!(report_on(&samples, load(false, 500)).passed);
    }

    #[test]
    fn a_run_that_asked_nothing_fails() {
        let report = report_on(&Samples::default(), Load::default());
        assert!(!report.passed);
        assert_eq!(report.problems, ["no request was made"]);
    }

    #[test]
    fn requests_may_fail_where_a_threshold_says_how_many() {
        let mut samples = Samples::default();
        samples.add(Duration::ZERO, succeeded(Operation::Me, 1));
        samples.add(Duration::ZERO, cut_off());
        let with = |rule: &str, passed| {
            let thresholds = vec![Verdict {
                rule: rule.into(),
                observed: "50%".into(),
                passed,
            }];
            let load = Load {
                thresholds,
                ..Load::default()
            };
            report_on(&samples, load).problems
        };
        assert!(with("error-rate<60%", true).is_empty());
        assert!(with("during: error-rate<60%", true).is_empty());
        assert_eq!(with("error-rate<1%", false), ["error-rate<1%: it was 50%"]);
        assert_eq!(with("p99<1s", true), ["1 of 2 requests failed"]);
    }
}
