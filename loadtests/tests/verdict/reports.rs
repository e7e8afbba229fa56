//! What a run leaves for people and for programs.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::fake_auth::{FakeAuth, Fault};
use crate::{SHORT, authload, play, run};

#[tokio::test(flavor = "multi_thread")]
async fn goose_writes_its_own_reports_and_compares_with_a_baseline() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let fake = FakeAuth::start(Fault::None).await;
    let first = ["--report-file", &file("baseline.json"), "--duration", "1"];
    let ran = play(
        "canary",
        &fake.url(),
        &[&first[..], &["--rate", "50"]].concat(),
    )
    .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let second = [
        "--test-plan",
        "2,1s;2,1s;0,1s",
        "--rate",
        "50",
        "--baseline-file",
        &file("baseline.json"),
        "--report-file",
        &file("goose.html"),
        "--report-file",
        &file("goose.md"),
    ];
    let ran = play("verify", &fake.url(), &second).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let markdown = std::fs::read_to_string(file("goose.md")).unwrap();
    assert!(
        markdown.contains("POST verifyToken") || markdown.contains("verifyToken"),
        "{markdown}"
    );
    assert!(
        std::fs::read_to_string(file("goose.html"))
            .unwrap()
            .contains("verifyToken")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_served_while_the_load_runs() {
    let directory = TempDir::new().unwrap();
    let fake = FakeAuth::start(Fault::None).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut child = authload(&[
        "run",
        "canary",
        "--url",
        &fake.url(),
        "--rate",
        "20",
        "--duration",
        "60",
        "--dashboard",
        "--dashboard-port",
        &port.to_string(),
    ])
    // goose keeps a folder for what the page may save.
    .current_dir(directory.path())
    .spawn()
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let page = loop {
        assert!(Instant::now() < deadline, "no dashboard");
        if let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/")).await {
            break answer.text().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    child.kill().await.unwrap();
    assert!(page.contains("<html"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_in_each_format() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let fake = FakeAuth::start(Fault::GraphqlError(9)).await;
    let files = ["--report", &file("run.html"), "--report", &file("run.xml")];
    // Nobody answers there: the report says so, and the run is not judged by it.
    let nobody = ["--prometheus", "http://127.9.9.9:1"];
    let ran = run(&fake.url(), &[&SHORT[..], &files, &nobody].concat()).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let xml = std::fs::read_to_string(file("run.xml")).unwrap();
    assert!(
        xml.contains("<failure message=\"1 of ") && xml.contains("name=\"signUp\""),
        "{xml}"
    );
    let page = std::fs::read_to_string(file("run.html")).unwrap();
    assert!(page.contains("GraphQL OVERLOADED (HTTP 200)") && page.matches("<svg").count() == 2);
    assert!(page.contains("Prometheus did not tell: gateway: answers per second: no answer"));
    assert_eq!(ran.report().problems.len(), 1);
}
