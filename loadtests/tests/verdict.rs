//! The `authload` command as its user meets it: output, report and exit code against a fake service.

mod fake_auth;

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use fake_auth::{FakeAuth, Fault};
use loadtests::{Reason, Report};
use tempfile::TempDir;
use tokio::process::Command;

/// What a run of `authload` left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
    report: Option<Report>,
}

impl Ran {
    fn report(&self) -> &Report {
        self.report.as_ref().expect("a report was written")
    }
}

fn authload(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authload"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(url: &str, arguments: &[&str]) -> Ran {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    let output = authload(&["run", "session", "--url", url, "--report"])
        .arg(&file)
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .await
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|name| name == "report.json"),
        "left behind: {left:?}"
    );
    let report = std::fs::read(&file)
        .ok()
        .map(|json| serde_json::from_slice(&json).unwrap());
    ran(output, report)
}

fn ran(output: Output, report: Option<Report>) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        report,
    }
}

async fn against(fault: Fault, arguments: &[&str]) -> (FakeAuth, Ran) {
    let fake = FakeAuth::start(fault).await;
    let ran = run(&fake.url(), arguments).await;
    (fake, ran)
}

const SHORT: [&str; 6] = ["--users", "2", "--duration", "2", "--rate", "50"];

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
    assert_eq!(report.nodes["fake1"], report.requests);
    assert_eq!(
        report.timeline.iter().map(|second| second.ok).sum::<u64>(),
        report.requests
    );
    assert!(
        report
            .operations
            .iter()
            .all(|operation| operation.p99_ms.is_some())
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
async fn the_rate_is_a_limit_over_all_users() {
    let (_, ran) = against(
        Fault::None,
        &["--users", "20", "--duration", "1", "--rate", "10"],
    )
    .await;
    let requests = ran.report().requests;
    assert!(
        (1..=10).contains(&requests),
        "{requests} requests in a second at 10 a second"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutation_has_an_idempotency_key_of_its_own() {
    let (fake, ran) = against(Fault::None, &SHORT).await;
    let mut keys = fake.idempotency_keys();
    let mutations: u64 = ran
        .report()
        .operations
        .iter()
        .filter(|o| o.name != "me")
        .map(|o| o.requests)
        .sum();
    assert_eq!(keys.len() as u64, mutations);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len() as u64, mutations);
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
    assert_eq!(report.nodes.values().sum::<u64>(), 8, "no answer, no node");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_at_the_end_are_waited_for() {
    let slow = Fault::Slow(Duration::from_millis(1200));
    let (fake, ran) = against(slow, &["--users", "3", "--duration", "1"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(ran.report().requests + 1, fake.requests());
    assert!(
        ran.report().elapsed_seconds >= 1.2,
        "the answers came after the end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_iteration_comes_from_the_next_address() {
    let (fake, ran) = against(
        Fault::None,
        &[
            "--users",
            "3",
            "--duration",
            "1",
            "--rate",
            "50",
            "--from",
            "127.9.8.0/29",
        ],
    )
    .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // Fifty requests are more than twelve iterations, so each of the six addresses has been used twice.
    assert_eq!(
        fake.client_addresses(),
        [1, 2, 3, 4, 5, 6].map(|host| format!("127.9.8.{host}"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_one_clear_error() {
    let port = FakeAuth::start(Fault::None).await.address.port();
    // Nothing listens on another loopback address at that port.
    let url = format!("http://127.9.9.9:{port}");
    let ran = run(&url, &SHORT).await;
    assert_eq!(ran.code, 2);
    assert!(ran.report.is_none() && ran.stdout.is_empty());
    let expected = format!(
        "authload: cannot reach {url}/graphql: Connection refused (os error 111)\n\
         is the service running, and is --url right?\n"
    );
    assert_eq!(ran.stderr, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_refused_before_the_run() {
    let fake = FakeAuth::start(Fault::None).await;
    let url = fake.url();
    for (arguments, expected) in [
        (
            ["--ca", "/nowhere/ca.pem"],
            "cannot read the --ca file /nowhere/ca.pem",
        ),
        (["--ca", "Cargo.toml"], "holds no certificate"),
        (["--from", "192.0.2.0/24"], "not an address of this machine"),
        (["--users", "0"], "0 is not in 1..=10000"),
        (
            ["--report", "/nowhere/report.json"],
            "cannot write the report to /nowhere/report.json",
        ),
    ] {
        let output = authload(&["run", "session", "--url", &url])
            .args(arguments)
            .output()
            .await
            .unwrap();
        let ran = ran(output, None);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains(expected),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
    assert!(
        fake.requests() <= 1,
        "at most the question whether anybody is there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_run_early_with_table_and_verdict() {
    for signal in ["-INT", "-TERM"] {
        let fake = FakeAuth::start(Fault::None).await;
        let child = authload(&[
            "run",
            "session",
            "--url",
            &fake.url(),
            "--duration",
            "600",
            "--rate",
            "100",
        ])
        .spawn()
        .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while fake.requests() < 20 {
            assert!(Instant::now() < deadline, "no requests came");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let killed = Command::new("kill")
            .args([signal, &child.id().unwrap().to_string()])
            .status()
            .await
            .unwrap();
        assert!(killed.success());
        let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await;
        let ran = ran(output.expect("authload ends").unwrap(), None);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.contains("PASSED (ended early): all "),
            "{}",
            ran.stdout
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_passwords_nor_tokens_are_shown() {
    for fault in [Fault::None, Fault::AnyPassword, Fault::OtherAccount] {
        let (fake, ran) = against(fault, &SHORT).await;
        let shown = format!("{}{}{:?}", ran.stdout, ran.stderr, ran.report);
        assert!(!shown.contains("token-of-"));
        for password in fake.passwords() {
            assert!(!shown.contains(&password));
        }
    }
}

#[tokio::test]
async fn the_help_has_an_example_and_the_exit_codes() {
    let help = authload(&["run", "--help"]).output().await.unwrap();
    insta::assert_snapshot!(String::from_utf8(help.stdout).unwrap());
    let list = authload(&["list"]).output().await.unwrap();
    insta::assert_snapshot!(String::from_utf8(list.stdout).unwrap());
}
