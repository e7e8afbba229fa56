//! What each scenario does, how often, as whom, and from where.

use std::time::Duration;

use crate::fake_auth::{FakeAuth, Fault};
use crate::{SHORT, against, play};

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
