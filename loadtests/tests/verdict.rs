//! The `authload` command as its user meets it: output, report and exit code against a fake service.

mod fake_auth;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fake_auth::{FakeAuth, Fault};
use hdrhistogram::Histogram;
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
    play("session", url, arguments).await
}

async fn play(scenario: &str, url: &str, arguments: &[&str]) -> Ran {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    let output = authload(&["run", scenario, "--url", url, "--report"])
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
async fn the_rate_is_a_limit_over_all_users() {
    let (_, ran) = against(
        Fault::None,
        &["--users", "20", "--duration", "1", "--rate", "10"],
    )
    .await;
    let requests = ran.report().requests;
    // goose looks every half second whether the run is over.
    assert!(
        (1..=16).contains(&requests),
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
        .map(|o| o.stats.requests)
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
    let answered = report.nodes.values().map(|node| node.requests);
    assert_eq!(answered.sum::<u64>(), 8, "no answer, no node");
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
async fn every_scenario_is_played_and_judged() {
    for (scenario, operations) in [
        ("log-in", &["logIn"][..]),
        ("sign-up", &["signUp"]),
        ("verify", &["verifyToken"]),
        ("refresh", &["refresh"]),
        ("brute-force", &["logIn guess"]),
        ("edge", &["protected route"]),
        ("canary", &["canary route"]),
    ] {
        let fake = FakeAuth::start(Fault::None).await;
        let ran = play(
            scenario,
            &fake.url(),
            &["--users", "2", "--duration", "1", "--rate", "50"],
        )
        .await;
        assert_eq!(ran.code, 0, "{scenario}: {}{}", ran.stdout, ran.stderr);
        let names: Vec<_> = ran.report().operations.iter().map(|o| &o.name).collect();
        assert_eq!(names, operations);
        assert!(ran.report().requests > 20, "{scenario}: {}", ran.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mix_has_users_of_each_scenario_and_enough_of_them() {
    let fake = FakeAuth::start(Fault::None).await;
    let mix = [
        "--mix",
        "verify=3,canary=1",
        "--duration",
        "1",
        "--rate",
        "100",
    ];
    let ran = play(
        "mixed",
        &fake.url(),
        &[&mix[..], &["--users", "4"]].concat(),
    )
    .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let requests: Vec<_> = ran
        .report()
        .operations
        .iter()
        .map(|o| o.stats.requests)
        .collect();
    let [verify, canary] = requests[..] else {
        panic!("{requests:?}")
    };
    assert!(verify > 2 * canary && canary > 5, "{verify} {canary}");
    let ran = play(
        "mixed",
        &fake.url(),
        &[&mix[..], &["--users", "3"]].concat(),
    )
    .await;
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("add up to 4, for 3 users"),
        "{}",
        ran.stderr
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_as_good_as_its_thresholds() {
    let slow = Fault::Slow(Duration::from_millis(30));
    let rules = [
        "--threshold",
        "p50>20ms",
        "--threshold",
        "max<5s for POST logIn",
    ];
    let (_, ran) = against(slow, &[&SHORT[..], &rules].concat()).await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.report().thresholds.len(), 2);
    let (_, ran) = against(slow, &[&SHORT[..], &["--threshold", "p50<20ms"]].concat()).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("FAILED: p50<20ms: it was "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("MISSED p50<20ms"), "{}", ran.stdout);
    // Where a rule says how many requests may fail, so many may.
    for (rule, code) in [("error-rate<50%", 0), ("error-rate<0.1%", 1)] {
        let (_, ran) = against(
            Fault::GraphqlError(9),
            &[&SHORT[..], &["--threshold", rule]].concat(),
        )
        .await;
        assert_eq!((ran.code, ran.report().failed), (code, 1), "{}", ran.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_is_judged_by_its_own_thresholds() {
    let directory = TempDir::new().unwrap();
    let events = directory.path().join("events");
    for (file, code) in [("during: p99>900ms", 0), ("during: p99<900ms", 1)] {
        let fake = FakeAuth::start(Fault::Stall(40, Duration::from_millis(1000))).await;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        // At 50 requests a second the 40th is asked at about 0.8 s.
        let line = |at: f64, phase: &str| {
            format!(
                "{{\"at\": {}, \"name\": \"a stall\", \"phase\": \"{phase}\"}}\n",
                now + at
            )
        };
        std::fs::write(&events, line(0.7, "begin") + &line(2.2, "end")).unwrap();
        let more = [
            "--users",
            "2",
            "--duration",
            "3",
            "--rate",
            "50",
            "--events",
            events.to_str().unwrap(),
        ];
        let rules = ["--threshold", file, "--threshold", "before: p99<500ms"];
        let ran = run(&fake.url(), &[&more[..], &rules].concat()).await;
        assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
        let phases = &ran.report().phases;
        assert_eq!(phases.len(), 3, "{phases:?}");
        assert!(phases[0].stats.max_ms.unwrap() < 500.0, "{phases:?}");
        assert!(ran.stdout.contains("a stall: 0."), "{}", ran.stdout);
    }
    std::fs::write(&events, "nonsense").unwrap();
    let fake = FakeAuth::start(Fault::None).await;
    let ran = run(
        &fake.url(),
        &[&SHORT[..], &["--events", events.to_str().unwrap()]].concat(),
    )
    .await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("cannot be read: line 1"),
        "{}",
        ran.stdout
    );
}

/// What goose itself wrote down of each request, in microseconds.
fn logged(file: &Path) -> Histogram<u64> {
    let mut times = Histogram::new(4).unwrap();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let request: serde_json::Value = serde_json::from_str(line).unwrap();
        let of = |name: &str| request[name].as_u64().unwrap();
        times
            .record(of("response_time") * 1000 + of("response_time_fraction_us"))
            .unwrap();
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn percentiles_are_right_to_one_percent_in_both_models() {
    let directory = TempDir::new().unwrap();
    for model in [
        &["--users", "40"][..],
        &["--arrivals", "250", "--users", "100"],
    ] {
        let fake = FakeAuth::start(Fault::Uneven).await;
        let log = directory.path().join(model[1]);
        let more = ["--duration", "4", "--request-log", log.to_str().unwrap()];
        let ran = play("canary", &fake.url(), &[model, &more].concat()).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let times = logged(&log);
        let stats = &ran.report().operations[0].stats;
        assert_eq!(times.len(), stats.requests);
        assert!(times.len() > 800, "{} show little", times.len());
        for (percent, measured) in [
            (0.5, stats.p50_ms),
            (0.9, stats.p90_ms),
            (0.99, stats.p99_ms),
            (1.0, stats.max_ms),
        ] {
            // One rank up or down is no error of the percentile.
            let rank = 1.0 / times.len() as f64;
            let at = |quantile: f64| times.value_at_quantile(quantile.min(1.0)) as f64 / 1000.0;
            let (low, high) = (at(percent - rank) * 0.99, at(percent + rank) * 1.01);
            let measured = measured.unwrap();
            assert!(
                (low..=high).contains(&measured),
                "{percent}: {low} {measured} {high}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_shows_in_the_open_model_and_hides_in_the_closed_one() {
    let stall = Fault::Stall(100, Duration::from_secs(1));
    let fake = FakeAuth::start(stall).await;
    let ran = play(
        "canary",
        &fake.url(),
        &["--users", "2", "--rate", "100", "--duration", "3"],
    )
    .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let closed = ran.report().operations[0].stats.p90_ms.unwrap();
    let fake = FakeAuth::start(stall).await;
    let ran = play(
        "canary",
        &fake.url(),
        &["--users", "2", "--arrivals", "100", "--duration", "3"],
    )
    .await;
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let open = ran.report().operations[0].stats.p90_ms.unwrap();
    // A hundred of the three hundred arrivals met the stall, though there were two users to send them.
    assert!(
        closed < 100.0 && open > 600.0,
        "p90 {closed} ms and {open} ms"
    );
    let arrivals = ran.report().arrivals.as_ref().unwrap();
    assert_eq!((arrivals.scheduled, arrivals.taken), (300, 300));
    assert!(arrivals.longest_wait_ms > 800.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_cannot_be_kept_fails_the_run_and_says_what_was_kept() {
    let slow = Fault::Slow(Duration::from_millis(100));
    let fake = FakeAuth::start(slow).await;
    let ran = play(
        "canary",
        &fake.url(),
        &["--users", "2", "--arrivals", "100", "--duration", "2"],
    )
    .await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("FAILED: the rate was not kept: "),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains(" of 200 arrivals had a user before the end"),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.report().failed, 0);
    // Enough users keep it, by chance, too.
    let ran = play(
        "canary",
        &fake.url(),
        &[
            "--users",
            "40",
            "--arrivals",
            "100",
            "--poisson",
            "--duration",
            "2",
        ],
    )
    .await;
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_open_model_sets_is_not_set_twice() {
    for option in [
        ["--throttle-requests", "5"],
        ["--iterations", "5"],
        ["--test-plan", "1,1s"],
    ] {
        let fake = FakeAuth::start(Fault::None).await;
        let ran = play(
            "canary",
            &fake.url(),
            &[&["--arrivals", "5"], &option[..]].concat(),
        )
        .await;
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(
            ran.stderr.contains("--arrivals sets the pace"),
            "{}",
            ran.stderr
        );
    }
}

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
