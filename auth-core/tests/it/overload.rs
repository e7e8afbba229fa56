//! More log-ins than can be hashed: some wait, the others are told at once, and nobody else notices.

use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD, code, log_in};

/// One hash at a time, which takes a good part of a second in any build.
fn slow() -> Node {
    slow_with_queue(1)
}

fn slow_with_queue(seconds: u64) -> Node {
    with_queue(seconds, 8)
}

/// One hash at a time, with this `p` of scrypt.
fn with_queue(seconds: u64, p: u32) -> Node {
    let node = Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = p;
        config.password.concurrent_hashes = 1;
        config.password.queue_seconds = seconds;
    });
    node.sign_up(EMAIL, PASSWORD);
    node
}

fn body() -> String {
    json!({ "query": log_in(), "variables": { "email": EMAIL, "password": PASSWORD } }).to_string()
}

#[test]
fn what_cannot_be_hashed_in_time_is_refused_and_everything_else_goes_on() {
    let node = slow();
    let token = node.log_in(EMAIL, PASSWORD)["data"]["logIn"]["accessToken"].clone();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..60)
            .map(|_| scope.spawn(|| node.post(&[], body())))
            .collect();
        node.wait_until("a hash is running", || {
            node.metric("auth_hashes_in_flight") > 0.0
        });
        let me = node.with(token.as_str().unwrap()).me();
        assert_eq!(me["data"]["me"]["email"], EMAIL);
        assert_eq!(node.get("/readyz").status, 200);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(served + refused.len(), 60);
    assert!(served > 0 && !refused.is_empty(), "{served} served");
    for answer in &refused {
        assert_eq!(code(&answer.json()), "OVERLOADED");
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds));
        assert_eq!(
            answer.json()["errors"][0]["extensions"]["retryAfterSeconds"],
            seconds
        );
        assert_eq!(answer.header("x-auth-outcome"), "", "nothing was checked");
    }
    assert_eq!(
        node.metric("auth_hashes_refused_total"),
        refused.len() as f64
    );
    assert!(
        node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object(),
        "it is over when it is over"
    );
}

#[test]
fn a_client_that_goes_away_leaves_the_queue() {
    let node = slow();
    let before = node.hashes();
    let body = body();
    // Few enough that none is refused: they would all have been hashed.
    let crowd = node.crowd(3, "192.0.2.1", &body);
    node.wait_until("a hash is running", || {
        node.metric("auth_hashes_in_flight") > 0.0
    });
    drop(crowd);
    node.wait_until("no hash is running", || {
        node.metric("auth_hashes_in_flight") == 0.0
    });
    assert!(node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
    assert!(
        node.hashes() <= before + 3.0,
        "{} hashes for those who left",
        node.hashes() - before - 1.0
    );
}

#[test]
fn a_flood_from_one_address_delays_another_by_one_hash() {
    let node = slow_with_queue(60);
    let flood = node.crowd(12, "192.0.2.1", &body());
    node.wait_until("the flood is in the queue", || {
        node.metric("auth_hashes_waiting") == 11.0
    });
    let before = node.hashes();
    let answer = node.post(&[("x-forwarded-for", "192.0.2.2")], body());
    assert!(answer.json()["data"]["logIn"].is_object(), "{answer:?}");
    // One of the flood's, its own, and one that began while the answer came.
    let hashes = node.hashes() - before;
    assert!(hashes <= 3.0, "{hashes} hashes until it was answered");
    drop(flood);
}

#[test]
fn a_flood_that_fills_the_queue_sheds_its_own_load_and_nobody_elses() {
    // Three hashes of another's take a tenth of what the queue holds, so that a slow machine has time for them, too.
    let node = with_queue(3, 2);
    let flood = node.crowd(120, "192.0.2.1", &body());
    node.wait_until("some of the flood is refused", || {
        node.metric("auth_hashes_refused_total") > 0.0
    });
    for client in 2..5 {
        let address = format!("192.0.2.{client}");
        let answer = node.post(&[("x-forwarded-for", &address)], body());
        assert!(answer.json()["data"]["logIn"].is_object(), "{answer:?}");
    }
    drop(flood);
}
