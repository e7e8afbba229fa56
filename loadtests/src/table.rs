//! The report of a run as text, for people to read.

use std::fmt::{self, Write};

use crate::report::{FailureGroup, Report, Stats};

/// The table of operations, who answered, what failed, and the verdict.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("a String takes any text");
    text
}

fn write(text: &mut String, report: &Report) -> fmt::Result {
    heading(text, "operation")?;
    for operation in &report.operations {
        row(text, &operation.name, &operation.stats)?;
    }
    writeln!(
        text,
        "{:<22}{:>9}{:>9}",
        "total", report.requests, report.failed
    )?;
    if report.nodes.len() > 1 {
        heading(text, "\nanswered by")?;
        for (node, stats) in &report.nodes {
            row(text, node, stats)?;
        }
    }
    if !report.phases.is_empty() {
        heading(text, "\nphase")?;
        for phase in &report.phases {
            row(text, phase.phase.name(), &phase.stats)?;
        }
        for fault in &report.faults {
            let end = fault
                .end
                .map_or("the end".into(), |end| format!("{end:.1} s"));
            writeln!(text, "{}: {:.1} s to {end}", fault.name, fault.begin)?;
        }
    }

    let limit = report
        .rate_limit
        .map_or(String::new(), |rate| format!(" of at most {rate}"));
    writeln!(
        text,
        "\n{} users, {:.1} s, {:.1} requests/s{limit}",
        report.users, report.elapsed_seconds, report.requests_per_second
    )?;
    if let Some(arrivals) = &report.arrivals {
        writeln!(
            text,
            "open model: {} of {} arrivals, {:.1}/s {}; the longest wait for a free user was {:.1} ms",
            arrivals.taken,
            arrivals.scheduled,
            arrivals.per_second,
            if arrivals.poisson {
                "by chance"
            } else {
                "evenly"
            },
            arrivals.longest_wait_ms,
        )?;
    }
    if let [(node, stats)] = report.nodes.iter().collect::<Vec<_>>()[..] {
        writeln!(text, "answered by: {node} {}", stats.requests)?;
    }
    for error in report.monitoring.iter().flat_map(|seen| &seen.errors) {
        writeln!(text, "Prometheus did not tell: {error}")?;
    }

    if !report.thresholds.is_empty() {
        writeln!(text, "\nthresholds:")?;
    }
    for verdict in &report.thresholds {
        let word = if verdict.passed { "held" } else { "MISSED" };
        writeln!(
            text,
            "{word:>8} {}: it was {}",
            verdict.rule, verdict.observed
        )?;
    }
    if !report.failures.is_empty() {
        writeln!(text, "\nfailures:")?;
    }
    for group in &report.failures {
        failure(text, group)?;
    }
    writeln!(text, "\n{}", verdict(report))
}

fn heading(text: &mut String, what: &str) -> fmt::Result {
    let lines = what.len() - what.trim_start().len();
    writeln!(
        text,
        "{:<width$}{:>9}{:>9}{:>10}{:>10}{:>10}{:>10}",
        what,
        "requests",
        "failed",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        width = 22 + lines
    )
}

fn row(text: &mut String, name: &str, stats: &Stats) -> fmt::Result {
    write!(text, "{name:<22}{:>9}{:>9}", stats.requests, stats.failed)?;
    for time in [stats.p50_ms, stats.p90_ms, stats.p99_ms, stats.max_ms] {
        let time = time.map_or("-".into(), |ms| format!("{ms:.1}"));
        write!(text, "{time:>10}")?;
    }
    writeln!(text)
}

fn failure(text: &mut String, group: &FailureGroup) -> fmt::Result {
    write!(
        text,
        "{:>7} × {}: {}",
        group.count, group.operation, group.reason
    )?;
    if let Some(node) = &group.node {
        write!(text, ", by {node}")?;
    }
    write!(text, ", at {:.1} s", group.first_second)?;
    if group.count > 1 {
        write!(text, " to {:.1} s", group.last_second)?;
    }
    if let Some(trace_id) = &group.trace_id {
        write!(text, ", trace {trace_id}")?;
    }
    writeln!(text)
}

/// The verdict in a line.
pub(crate) fn verdict(report: &Report) -> String {
    let early = if report.interrupted {
        " (ended early)"
    } else {
        ""
    };
    match (report.passed, report.failed) {
        (true, 0) => format!("PASSED{early}: all {} answers were right", report.requests),
        (true, failed) => format!(
            "PASSED{early}: {failed} of {} requests failed, as a threshold allows",
            report.requests
        ),
        (false, _) => format!("FAILED{early}: {}", report.problems.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::Fault;
    use crate::graphql::Operation;
    use crate::junit::junit;
    use crate::report::Verdict;
    use crate::samples::Samples;
    use crate::samples::tests::{cut_off, refused, succeeded};
    use crate::summary::{self, Load};

    fn example(samples: &Samples, load: Load) -> Report {
        let load = Load {
            elapsed: Duration::from_secs(4),
            ..load
        };
        Report {
            authload: "0.0.0".into(),
            scenario: "session".into(),
            url: "https://127.0.0.1:8443".into(),
            users: 10,
            rate_limit: Some(50),
            seed: 1,
            started_at: 1_790_000_000.5,
            ..summary::report(samples, &summary::tests::metrics(samples), load)
        }
    }

    fn good() -> Samples {
        let mut samples = Samples::default();
        for second in 0..4 {
            for operation in [Operation::SignUp, Operation::LogIn, Operation::Me] {
                let outcome = succeeded(operation, 20 + second);
                samples.add(Duration::from_secs(second), outcome);
            }
        }
        samples
    }

    fn bad() -> Samples {
        let mut samples = good();
        for (ms, outcome) in [
            (1234, refused("OVERLOADED", Some("4bf92f3577b34da6"))),
            (2345, refused("OVERLOADED", None)),
            (2500, cut_off()),
        ] {
            samples.add(Duration::from_millis(ms), outcome);
        }
        samples
    }

    fn bad_report() -> Report {
        let load = Load {
            faults: vec![Fault {
                name: "auth2 is killed".into(),
                begin: 1.1,
                end: Some(2.6),
            }],
            thresholds: vec![
                Verdict {
                    rule: "p99<250ms".into(),
                    observed: "23ms".into(),
                    passed: true,
                },
                Verdict {
                    rule: "during: p99<10ms".into(),
                    observed: "22.0ms".into(),
                    passed: false,
                },
            ],
            ..Load::default()
        };
        example(&bad(), load)
    }

    #[test]
    fn a_run_that_passed_reads_so() {
        insta::assert_snapshot!(table(&example(&good(), Load::default())));
    }

    #[test]
    fn a_run_that_failed_says_what_where_and_when() {
        insta::assert_snapshot!(table(&bad_report()));
    }

    #[test]
    fn a_run_without_a_request_has_not_passed() {
        let report = example(&Samples::default(), Load::default());
        assert!(!report.passed);
        assert!(table(&report).ends_with("FAILED: no request was made\n"));
    }

    #[test]
    fn a_run_that_was_ended_early_keeps_its_verdict_and_says_so() {
        let load = Load {
            interrupted: true,
            ..Load::default()
        };
        let report = example(&good(), load);
        assert!(report.passed);
        assert!(table(&report).contains("PASSED (ended early)"));
    }

    #[test]
    fn the_json_report_has_this_shape_and_reads_back() {
        let report = bad_report();
        insta::assert_json_snapshot!(report);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn the_junit_report_has_a_case_for_each_operation_and_threshold() {
        insta::assert_snapshot!(junit(&bad_report()).unwrap());
    }
}
