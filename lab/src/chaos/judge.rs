//! Whether users saw more of a fault than they may.

use super::{
    fault::Fault,
    load::{Arrivals, Failure, Report},
};

/// What came of a round.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What was seen, in a line.
    pub seen: String,
    /// What must not have been; nothing when it has passed.
    pub complaints: Vec<String>,
}

/// Once a fault is over, users notice nothing of it: that it is over is known from the gateways, and the first requests are slower.
const AFTER: &str = "after: p95<2s";

/// What authload is to judge.
pub fn rules(faults: &[&Fault]) -> Vec<String> {
    let mut rules = vec![AFTER.to_owned()];
    if faults.iter().any(|fault| !fault.seen.errors.is_empty()) {
        // Which errors are right while it lasts is judged here.
        rules.extend(["before: error-rate<=0%", "after: error-rate<=0%"].map(str::to_owned));
    }
    // How many wait, and for how long, is known of one fault alone: of a slow database all wait a little, of a hang some wait for long.
    if let [fault] = faults {
        rules.extend(fault.seen.rules.iter().map(|rule| (*rule).to_owned()));
    }
    rules
}

/// Judges the report of a round in which these faults were done.
pub fn judge(faults: &[&Fault], report: &Report) -> Verdict {
    let mut complaints = report.problems.clone();
    let may: Vec<_> = faults.iter().flat_map(|fault| fault.seen.errors).collect();
    let is_allowed = |failure: &Failure| {
        let reason = failure.reason.to_string();
        may.iter().any(|error| **error == reason)
    };
    complaints.extend((report.failures.iter()).filter(|failure| !is_allowed(failure)).map(
        |Failure { operation, reason, count, first_second, last_second }| {
            format!("{count} x {operation}: {reason} ({first_second:.1} s to {last_second:.1} s)")
        },
    ));
    // authload does not look at that in a run that is ended early, as all are here.
    if let Some(Arrivals { scheduled, taken }) = report.arrivals
        && taken * 100 < scheduled * 99
    {
        complaints.push(format!(
            "users were kept waiting: {taken} of {scheduled} arrivals had one"
        ));
    }
    if !may.is_empty() && report.failed == 0 && !has_waited(report) {
        complaints.push("nobody saw an error, or waited: the fault did not bite".into());
    }
    Verdict {
        seen: seen(report),
        complaints,
    }
}

/// Whether somebody waited for a second: an outage that is short enough is seen by nothing else.
fn has_waited(report: &Report) -> bool {
    let longest = (report.phases.iter()).filter_map(|phase| phase.p99_ms);
    longest.fold(0.0, f64::max) >= 1000.0
}

fn seen(report: &Report) -> String {
    let times: Vec<_> = (report.phases.iter())
        .filter_map(|phase| Some(format!("{:.0} {}", phase.p99_ms?, phase.phase)))
        .collect();
    let mut seen = format!("{} requests, {} failed", report.requests, report.failed);
    let mut reasons: Vec<_> = report
        .failures
        .iter()
        .map(|one| one.reason.to_string())
        .collect();
    reasons.sort();
    reasons.dedup();
    if !reasons.is_empty() {
        seen += &format!(" ({})", reasons.join(", "));
    }
    if !times.is_empty() {
        seen += &format!("; p99 in ms: {}", times.join(", "));
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chaos::catalogue::find;

    fn report(failures: &Value) -> Report {
        let failed = failures.as_array().map_or(0, Vec::len);
        serde_json::from_value(json!({
            "problems": [], "requests": 100, "failed": failed, "operations": [], "failures": failures,
            "phases": [{ "phase": "during", "p50_ms": 1.0, "p99_ms": 40.4 }],
        }))
        .unwrap()
    }

    fn failure(reason: &Value) -> Value {
        json!([{ "operation": "logIn", "reason": reason, "count": 1, "first_second": 2.0, "last_second": 2.5 }])
    }

    fn judged(name: &str, failures: &Value) -> Vec<String> {
        judge(&[find(name).unwrap()], &report(failures)).complaints
    }

    #[test]
    fn errors_are_right_where_the_catalogue_has_them_and_nowhere_else() {
        let unavailable =
            failure(&json!({ "kind": "graphql", "status": 503, "code": "UNAVAILABLE" }));
        let cut_off = failure(&json!({ "kind": "transport", "what": "connection closed" }));
        assert_eq!(judged("crash", &json!([])), Vec::<String>::new());
        assert_eq!(judged("database-down", &unavailable), Vec::<String>::new());
        assert_eq!(
            judged("crash", &unavailable),
            ["1 x logIn: GraphQL UNAVAILABLE (2.0 s to 2.5 s)"]
        );
        assert_eq!(
            judged("database-down", &cut_off),
            ["1 x logIn: connection closed (2.0 s to 2.5 s)"]
        );
    }

    #[test]
    fn how_long_users_wait_is_judged_of_one_fault_alone() {
        let [slow, hang] = ["database-slow", "hang"].map(|name| find(name).unwrap());
        assert!(!slow.seen.rules.is_empty());
        assert_eq!(rules(&[slow]), [&[AFTER], slow.seen.rules].concat());
        assert_eq!(rules(&[slow, hang]), [AFTER]);
    }

    #[test]
    fn a_load_that_nobody_was_free_for_is_no_load() {
        let mut report = report(&json!([]));
        for (taken, complaints) in [(100, 0), (99, 0), (98, 1)] {
            report.arrivals = Some(Arrivals {
                scheduled: 100,
                taken,
            });
            assert_eq!(judge(&[], &report).complaints.len(), complaints, "{taken}");
        }
    }

    #[test]
    fn a_fault_that_must_show_and_does_not_has_not_been_one() {
        assert_eq!(
            judged("database-down", &json!([])),
            ["nobody saw an error, or waited: the fault did not bite"]
        );
    }

    #[test]
    fn what_was_seen_is_told_in_a_line() {
        let refused = failure(&json!({ "kind": "http", "status": 503 }));
        assert_eq!(
            judge(&[], &report(&refused)).seen,
            "100 requests, 1 failed (HTTP 503); p99 in ms: 40 during"
        );
    }
}
