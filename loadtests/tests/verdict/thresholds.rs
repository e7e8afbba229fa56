//! What a run must keep to, as a whole and in each phase.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::fake_auth::{FakeAuth, Fault};
use crate::{SHORT, against, run};

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
