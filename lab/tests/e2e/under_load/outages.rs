//! No node can serve, or the database is away: for a moment requests wait, after that they are refused at once.

use std::time::{Duration, Instant};

use lab::TopologyName;
use serde_json::json;

use crate::support::{CHEAP, SERVING, code, eventually, start, start_with};

/// As an upgrade of a single host does.
#[tokio::test]
async fn all_nodes_restarted_at_once_under_load_cost_no_failed_request() {
    let stack = start(SERVING).await;
    let restart = async {
        eventually("auth1 answers requests", || async {
            (stack.served("auth1").await > 20).then_some(())
        })
        .await;
        let (one, two) = tokio::join!(
            stack.stack.stop_part("auth1"),
            stack.stack.stop_part("auth2")
        );
        assert!(one.unwrap().success() && two.unwrap().success());
        assert_eq!(stack.node_state("auth1").await, "DOWN");
        assert_eq!(stack.node_state("auth2").await, "DOWN");
        stack.stack.start_part("auth1").await.unwrap();
        stack.stack.start_part("auth2").await.unwrap();
    };
    let (load, ()) = tokio::join!(stack.load(16, 60, 10), restart);
    load.assert_no_failure();
    for (file, log) in stack.logs() {
        assert!(!log.contains("runtime error"), "{}: {log}", file.display());
    }
}

#[tokio::test]
async fn who_comes_when_an_outage_has_lasted_is_refused_at_once() {
    let stack = start(SERVING).await;
    stack.stack.kill_part("auth1").await.unwrap();
    stack.stack.kill_part("auth2").await.unwrap();
    eventually("the gateway knows that no node is left", || async {
        let health = stack.client.get(stack.url("gateway") + "/healthz");
        (health.send().await.ok()?.status() == 503).then_some(())
    })
    .await;
    // At first they wait.
    let refused = async || {
        let begin = Instant::now();
        let answer = stack.request("{ __typename }", json!({})).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(code(&answer.json().await.unwrap()), "UNAVAILABLE");
        begin.elapsed()
    };
    let (first, then) = (refused().await, refused().await);
    assert!(first > Duration::from_secs(4), "the first waited {first:?}");
    assert!(then < Duration::from_secs(2), "the next waited {then:?}");
}

/// With the connections of all nodes, and what is under way on them. Of an outage that lasts nothing is promised: a machine that is
/// busy may need more than one try for a short one.
#[tokio::test]
async fn a_database_that_restarts_under_load_costs_no_failed_request() {
    let parts = [&["postgres"], SERVING].concat();
    let stack = start_with(TopologyName::Cluster, &parts, Some(CHEAP)).await;
    let becomes = async |expected: u16| {
        eventually(&format!("/healthz says {expected}"), || async {
            let health = stack.client.get(stack.url("gateway") + "/healthz");
            (health.send().await.ok()?.status() == expected).then_some(())
        })
        .await;
    };
    for attempt in 1.. {
        let before = stack.served("auth1").await;
        let restart = async {
            eventually("auth1 answers requests", || async {
                (stack.served("auth1").await > before + 20).then_some(())
            })
            .await;
            let begin = Instant::now();
            stack.stack.kill_part("postgres").await.unwrap();
            becomes(503).await;
            stack.stack.start_part("postgres").await.unwrap();
            becomes(200).await;
            begin.elapsed()
        };
        let (load, lasted) = tokio::join!(stack.load(16, 60, 10), restart);
        if lasted < Duration::from_secs(5) || attempt == 3 {
            load.assert_no_failure();
            return;
        }
    }
}

/// It may have been carried out before the database was gone.
#[tokio::test]
async fn a_mutation_without_a_key_is_not_repeated_while_the_database_is_away() {
    let stack = start_with(TopologyName::Cluster, &["postgres", "auth1"], Some(CHEAP)).await;
    stack.stack.kill_part("postgres").await.unwrap();
    let answered = async |key: Option<&str>| {
        let begin = Instant::now();
        let body = json!({ "query": "mutation { logIn(email: \"ann@example.com\", password: \"a good password\") { message } }" });
        let mut request = (stack.client.post(stack.url("auth1") + "/graphql")).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.expect("the node answers");
        assert_eq!(code(&answer.json().await.unwrap()), "UNAVAILABLE");
        begin.elapsed()
    };
    // At the same time: how long an outage has lasted counts.
    let (once, repeated) = tokio::join!(answered(None), answered(Some("one-of-a-kind")));
    assert!(once < Duration::from_secs(5), "it took {once:?}");
    assert!(repeated > Duration::from_secs(5), "it took {repeated:?}");
}
