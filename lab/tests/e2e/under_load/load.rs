//! `authload` against the real stack: every scenario, what a stall does to both models, and the report as a browser shows it.

use std::{
    fs,
    io::Write,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use loadtests::Phase;

use crate::chromium::Chromium;
use crate::support::{SERVING, TestStack, eventually, start};

#[tokio::test]
async fn every_scenario_is_right_about_the_real_stack() {
    let stack = start(&[SERVING, &["gateway-keys", "sample1", "sample2"]].concat()).await;
    for scenario in [
        "log-in",
        "sign-up",
        "verify",
        "refresh",
        "edge",
        "canary",
        "brute-force",
        "mixed",
    ] {
        let pace = [
            "--users",
            "10",
            "--throttle-requests",
            "50",
            "--run-time",
            "2",
        ];
        let load = stack.authload(scenario, &pace).await;
        load.assert_no_failure();
        assert!(load.report.requests > 20, "{scenario}: {:?}", load.report);
    }
}

#[tokio::test]
async fn who_guesses_from_one_address_is_soon_told_to_wait() {
    let stack = start(SERVING).await;
    let most = stack.default_of("/gateway/limits/failedLogIns/count");
    let guesses = (2 * most).to_string();
    let load = stack
        .authload("brute-force", &["--users", "1", "--iterations", &guesses])
        .await;
    load.assert_no_failure();
    let statuses = &load.report.operations[0].statuses;
    assert!((1..=most).contains(&statuses[&200]), "{statuses:?}");
    assert_eq!(statuses[&200] + statuses[&429], 2 * most, "{statuses:?}");
}

/// A stall of a node meets whoever comes meanwhile. Users who wait for their answers before they come again are two at most.
#[tokio::test]
async fn a_paused_node_shows_in_the_open_model_and_hides_in_the_closed_one() {
    let rule = [
        "--run-time",
        "14",
        "--threshold",
        "p95<500ms",
        "--no-threshold-abort",
    ];
    let closed = ["--users", "2", "--throttle-requests", "50"];
    let open = ["--users", "100", "--arrivals", "50"];
    let of_model = async |model: &[&str]| {
        let stack = start(SERVING).await;
        let arguments = [model, &rule[..]].concat();
        let (load, ()) = tokio::join!(stack.authload("verify", &arguments), pause(&stack));
        assert_eq!(load.report.failed, 0, "{}", load.text());
        let max = load.report.operations[0].stats.max_ms.expect("requests");
        assert!(max > 1000.0, "nobody met the stall: {}", load.text());
        load
    };
    let (closed, open) = tokio::join!(of_model(&closed), of_model(&open));
    assert!(closed.report.passed, "the closed model: {}", closed.text());
    assert!(!open.report.passed, "the open model: {}", open.text());
}

/// Pauses a node until the gateway does without it, and a little longer.
async fn pause(stack: &TestStack) {
    let before = stack.served("auth1").await;
    // Beyond the sign-ups of a hundred users, of which it gets half.
    eventually("auth1 answers requests", || async {
        (stack.served("auth1").await > before + 120).then_some(())
    })
    .await;
    stack.stack.pause_part("auth1").expect("it can be paused");
    eventually("HAProxy marks auth1 down", || async {
        (stack.node_state("auth1").await == "DOWN").then_some(())
    })
    .await;
    stack.stack.start_part("auth1").await.expect("it goes on");
    eventually("HAProxy marks auth1 up", || async {
        (stack.node_state("auth1").await == "UP").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_report_has_the_fault_the_phases_and_what_prometheus_saw_and_opens_without_a_message() {
    let stack = start(&[SERVING, &["prometheus"]].concat()).await;
    let events = stack.directory().join("events");
    fs::write(&events, "").expect("a file of events");
    let page = stack.directory().join("report.html");
    let prometheus = stack.url("prometheus");
    let arguments = [
        "--arrivals",
        "40",
        "--run-time",
        "12",
        "--threshold",
        "p99<5s",
        "--threshold",
        "before: p99<2s",
        "--threshold",
        "during: error-rate<1%",
        "--prometheus",
        &prometheus,
        "--events",
        events.to_str().expect("UTF-8"),
        "--report",
        page.to_str().expect("UTF-8"),
    ];
    let kill = async {
        let before = stack.served("auth1").await;
        eventually("auth1 answers requests", || async {
            (stack.served("auth1").await > before + 60).then_some(())
        })
        .await;
        mark(&events, "begin");
        stack
            .stack
            .kill_part("auth1")
            .await
            .expect("it can be killed");
        eventually("Prometheus sees that a node is down", || async {
            let url =
                stack.url("prometheus") + "/api/v1/query?query=haproxy_backend_active_servers";
            let seen = stack.json(&url).await["data"]["result"].to_string();
            seen.contains("\"1\"]").then_some(())
        })
        .await;
        stack
            .stack
            .start_part("auth1")
            .await
            .expect("it starts again");
        mark(&events, "end");
    };
    let (load, ()) = tokio::join!(stack.authload("verify", &arguments), kill);
    load.assert_no_failure();

    let report = &load.report;
    let phases: Vec<_> = report.phases.iter().map(|phase| phase.phase).collect();
    assert_eq!(phases, Phase::ALL, "{}", load.text());
    assert_eq!(report.nodes.len(), 2);
    let monitoring = report.monitoring.as_ref().expect("Prometheus was asked");
    assert!(monitoring.errors.is_empty(), "{monitoring:?}");
    let panel = |title: &str| {
        let panel = monitoring.panels.iter().find(|panel| panel.title == title);
        panel.unwrap_or_else(|| panic!("{title}: {monitoring:?}"))
    };
    let answers = &panel("gateway: answers per second").lines["2xx"];
    let most = answers.iter().map(|point| point.1).fold(0.0, f64::max);
    assert!((20.0..60.0).contains(&most), "{most} answers per second");
    let nodes: Vec<_> = panel("gateway: healthy nodes")
        .lines
        .values()
        .flatten()
        .collect();
    let values = |value: f64| nodes.iter().filter(|point| point.1 == value).count();
    assert!(values(1.0) > 0 && values(2.0) > 0, "{nodes:?}");
    let [version] = monitoring.versions["auth-core"].as_slice() else {
        panic!("{:?}", monitoring.versions);
    };
    let release = format!("{} (commit ", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(&release), "{version}");

    let browser = Chromium::start(1000, 1200).await;
    browser.open(&format!("file://{}", page.display())).await;
    let loaded = "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', () => done()))";
    browser.value(loaded).await;
    let dom = browser.value("document.documentElement.outerHTML").await;
    let dom = dom.as_str().expect("the page has loaded");
    browser.assert_silent().await;
    assert!(
        dom.contains("PASSED: all ") && dom.contains("auth1 is killed, "),
        "{dom}"
    );
    assert!(dom.matches("<svg").count() >= 4);
    // Nothing but its own address, which is text.
    let text = fs::read_to_string(&page)
        .expect("the report")
        .replace(&stack.url("gateway"), "");
    for fetched in ["http:", "https:", "url(", "@import", "<script", "src="] {
        assert!(!text.contains(fetched), "{fetched}");
    }
}

fn mark(events: &Path, phase: &str) {
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let line =
        serde_json::json!({ "at": at.as_secs_f64(), "name": "auth1 is killed", "phase": phase });
    let mut file = fs::File::options()
        .append(true)
        .open(events)
        .expect("the file of events");
    writeln!(file, "{line}").expect("a line");
}
