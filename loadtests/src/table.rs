//! The report of a run as text, for people to read.

use std::fmt::{self, Write};

use crate::report::{FailureGroup, Report};

/// The table of operations, who answered, what failed, and the verdict.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("a String takes any text");
    text
}

fn write(text: &mut String, report: &Report) -> fmt::Result {
    writeln!(
        text,
        "{:<22}{:>9}{:>9}{:>10}{:>10}{:>10}{:>10}",
        "operation", "requests", "failed", "p50 ms", "p90 ms", "p99 ms", "max ms"
    )?;
    for operation in &report.operations {
        write!(
            text,
            "{:<22}{:>9}{:>9}",
            operation.name, operation.requests, operation.failed
        )?;
        let times = [
            operation.p50_ms,
            operation.p90_ms,
            operation.p99_ms,
            operation.max_ms,
        ];
        for time in times {
            let time = time.map_or("-".into(), |ms| format!("{ms:.1}"));
            write!(text, "{time:>10}")?;
        }
        writeln!(text)?;
    }
    writeln!(
        text,
        "{:<22}{:>9}{:>9}",
        "total", report.requests, report.failed
    )?;

    let limit = report
        .rate_limit
        .map_or(String::new(), |rate| format!(" of at most {rate}"));
    writeln!(
        text,
        "\n{} users, {:.1} s, {:.1} requests/s{limit}",
        report.users, report.elapsed_seconds, report.requests_per_second
    )?;
    let nodes: Vec<_> = report
        .nodes
        .iter()
        .map(|(node, count)| format!("{node} {count}"))
        .collect();
    if !nodes.is_empty() {
        writeln!(text, "answered by: {}", nodes.join(", "))?;
    }

    if !report.failures.is_empty() {
        writeln!(text, "\nfailures:")?;
    }
    for group in &report.failures {
        failure(text, group)?;
    }
    writeln!(text, "\n{}", verdict(report))
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

fn verdict(report: &Report) -> String {
    let early = if report.interrupted {
        " (ended early)"
    } else {
        ""
    };
    match (report.requests, report.failed) {
        (0, _) => format!("FAILED{early}: no request was made"),
        (requests, 0) => format!("PASSED{early}: all {requests} answers were right"),
        (requests, failed) => format!("FAILED{early}: {failed} of {requests} requests failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::graphql::Operation;
    use crate::recorder::Counts;
    use crate::recorder::tests::{cut_off, refused, succeeded};
    use crate::run::summary;

    fn example(counts: &Counts) -> Report {
        Report {
            url: "https://127.0.0.1:8443".into(),
            users: 10,
            rate_limit: Some(50),
            planned_seconds: 4,
            started_at: 1_790_000_000,
            ..summary(counts, Duration::from_secs(4))
        }
    }

    fn good() -> Counts {
        let mut counts = Counts::default();
        for second in 0..4 {
            for operation in Operation::ALL {
                counts.add(
                    Duration::from_secs(second),
                    succeeded(operation, 20 + second),
                );
            }
        }
        counts
    }

    fn bad() -> Counts {
        let mut counts = good();
        counts.add(
            Duration::from_millis(1234),
            refused("OVERLOADED", Some("4bf92f3577b34da6")),
        );
        counts.add(Duration::from_millis(2345), refused("OVERLOADED", None));
        counts.add(Duration::from_millis(2500), cut_off());
        counts
    }

    #[test]
    fn a_run_that_passed_reads_so() {
        insta::assert_snapshot!(table(&example(&good())));
    }

    #[test]
    fn a_run_that_failed_says_what_where_and_when() {
        insta::assert_snapshot!(table(&example(&bad())));
    }

    #[test]
    fn a_run_without_a_request_has_not_passed() {
        let report = example(&Counts::default());
        assert!(!report.passed);
        assert!(table(&report).ends_with("FAILED: no request was made\n"));
    }

    #[test]
    fn a_run_that_was_ended_early_keeps_its_verdict_and_says_so() {
        let report = Report {
            interrupted: true,
            ..example(&good())
        };
        assert!(report.passed);
        assert!(table(&report).contains("PASSED (ended early)"));
    }

    #[test]
    fn the_json_report_has_this_shape_and_reads_back() {
        let report = example(&bad());
        insta::assert_json_snapshot!(report);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
