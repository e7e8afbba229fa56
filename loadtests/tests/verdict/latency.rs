//! Whether what is said of time is so, in the closed and in the open model.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use tempfile::TempDir;

use crate::fake_auth::{FakeAuth, Fault};
use crate::play;

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
