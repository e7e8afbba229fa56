//! What counts as a right answer, and how a wrong one is named.

use loadtests::Reason;

use crate::fake_auth::{FakeAuth, Fault};
use crate::{SHORT, against, play};

#[tokio::test(flavor = "multi_thread")]
async fn right_answers_hold() {
    let (fake, ran) = against(Fault::None, &SHORT).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let report = ran.report();
    assert!(report.passed && report.requests > 0 && report.failed == 0);
    assert_eq!(
        report.requests + 1,
        fake.requests(),
        "each request is counted, but the first question"
    );
    assert_eq!(report.nodes["fake1"].requests, report.requests);
    assert_eq!(
        report.timeline.iter().map(|second| second.ok).sum::<u64>(),
        report.requests
    );
    assert!(
        report
            .operations
            .iter()
            .all(|operation| operation.stats.p99_ms.is_some())
    );
    assert!(ran.stdout.contains(&format!(
        "PASSED: all {} answers were right",
        report.requests
    )));
    assert!(
        ran.stdout
            .contains(&format!("answered by: fake1 {}", report.requests))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_graphql_error_inside_a_200_fails_the_run_and_is_named() {
    let (_, ran) = against(
        Fault::GraphqlError(3),
        &["--users", "1", "--duration", "1", "--rate", "50"],
    )
    .await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("1 × logIn: GraphQL OVERLOADED (HTTP 200), by fake1, at "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("trace trace-3\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("FAILED: 1 of "), "{}", ran.stdout);
    let report = ran.report();
    assert_eq!((report.passed, report.failed), (false, 1));
    assert_eq!(
        report.failures[0].reason,
        Reason::Graphql {
            status: 200,
            code: "OVERLOADED".into()
        }
    );
    assert!(report.requests > 4, "the run goes on after a failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_gateway_is_named_by_its_status() {
    let (_, ran) = against(Fault::Unavailable(4), &SHORT).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains(": HTTP 503, by fake1"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_another_account_fails_the_run() {
    let (_, ran) = against(Fault::OtherAccount, &SHORT).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("signUp: answered for another account"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_wrong_password_fails_the_run() {
    let (_, ran) = against(Fault::AnyPassword, &SHORT).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .contains("logIn wrong password: a wrong password was given a token"),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_an_answer_are_counted_as_failed() {
    let (fake, ran) = against(Fault::Dead(10), &SHORT).await;
    assert_eq!(ran.code, 1);
    let report = ran.report();
    assert_eq!(
        report.requests - report.failed,
        8,
        "what was answered, but the first question"
    );
    assert!(report.failed > 0 && fake.requests() > 10);
    let reason = &report.failures[0].reason;
    assert!(matches!(reason, Reason::Transport { .. }), "{reason:?}");
    let answered = report.nodes.values().map(|node| node.requests);
    assert_eq!(answered.sum::<u64>(), 8, "no answer, no node");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_may_be_told_to_wait_but_others_may_not() {
    for (scenario, code) in [("brute-force", 0), ("log-in", 1)] {
        let fake = FakeAuth::start(Fault::Limited(20)).await;
        let ran = play(scenario, &fake.url(), &SHORT).await;
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        let statuses = &ran.report().operations[0].statuses;
        assert!(statuses[&200] > 0 && statuses[&429] > 0, "{statuses:?}");
    }
}
