//! The command itself: mistakes, interrupts, help.

use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::fake_auth::{FakeAuth, Fault};
use crate::{SHORT, against, authload, ran, run};

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
        (["--users", "0"], "--users must be at least 1"),
        (
            ["--report", "/nowhere/report.json"],
            "cannot write the report to /nowhere/report.json",
        ),
        (
            ["--report", "report.pdf"],
            "must end with .json, .html or .xml",
        ),
        (["--host", "http://x"], "--host is no option of authload"),
        (["--threshold", "during: p99"], "it has no operator"),
        (["--threshold", "p99"], "it has no operator"),
        (["--mix", "nothing=1"], "there is no scenario \"nothing\""),
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
    let help = authload(&["run", "-h"]).output().await.unwrap();
    insta::assert_snapshot!(String::from_utf8(help.stdout).unwrap());
    let list = authload(&["list"]).output().await.unwrap();
    insta::assert_snapshot!(String::from_utf8(list.stdout).unwrap());
}
