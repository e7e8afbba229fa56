//! The report of a run as JUnit XML, which continuous integration shows as tests.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use crate::report::Report;
use crate::slo;

/// A test case for each operation, threshold, and for the rate.
///
/// # Errors
/// None that is known: what cannot be in XML is left out.
pub fn junit(report: &Report) -> anyhow::Result<String> {
    let mut suite = TestSuite::new(format!("authload {}", report.scenario));
    suite.set_time(Duration::from_secs_f64(report.elapsed_seconds));
    for (name, value) in [
        ("url", report.url.clone()),
        ("users", report.users.to_string()),
        ("seed", report.seed.to_string()),
        ("version", report.authload.clone()),
    ] {
        suite.add_property(Property::new(name, value));
    }
    let fails_may = report
        .thresholds
        .iter()
        .any(|t| slo::is_error_rate(&t.rule));
    let case = |class: &str, name: &str, failure: Option<String>| {
        let status = match failure {
            None => TestCaseStatus::success(),
            Some(message) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(message);
                status
            }
        };
        let mut case = TestCase::new(name, status);
        case.set_classname(class);
        case
    };
    for operation in &report.operations {
        let (requests, failed) = (operation.stats.requests, operation.stats.failed);
        let failure =
            (failed > 0 && !fails_may).then(|| format!("{failed} of {requests} requests failed"));
        suite.add_test_case(case("requests", &operation.name, failure));
    }
    for verdict in &report.thresholds {
        let failure = (!verdict.passed).then(|| format!("it was {}", verdict.observed));
        suite.add_test_case(case("thresholds", &verdict.rule, failure));
    }
    // All of it, so that nothing that failed the run is left out.
    let problems = (!report.passed).then(|| report.problems.join("; "));
    suite.add_test_case(case("run", "the run has passed", problems));
    let mut junit = quick_junit::Report::new("authload");
    junit.add_test_suite(suite);
    Ok(junit.to_string()?)
}
