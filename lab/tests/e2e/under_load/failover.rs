//! A node may die at any time: users do not notice, and the gateway takes it out and back in.

use lab::TopologyName;

use crate::support::{CHEAP, SERVING, eventually, start, start_with};

#[tokio::test]
async fn requests_are_spread_round_robin() {
    let stack = start(SERVING).await;
    let load = stack.load(16, 100, 4).await;
    load.assert_no_failure();
    let counts = &load.report.nodes;
    let (one, two) = (
        counts["auth1"].requests as f64,
        counts["auth2"].requests as f64,
    );
    assert!(
        (one - two).abs() <= 0.02 * (one + two) + 4.0,
        "auth1 answered {one} and auth2 {two}"
    );
}

#[tokio::test]
async fn a_node_killed_under_load_costs_no_failed_request() {
    let stack = start(SERVING).await;
    let faults = async {
        eventually("auth1 answers requests", || async {
            (stack.served("auth1").await > 20).then_some(())
        })
        .await;
        stack.stack.kill_part("auth1").await.unwrap();
        eventually("HAProxy marks auth1 down", || async {
            (stack.node_state("auth1").await == "DOWN").then_some(())
        })
        .await;
        stack.stack.start_part("auth1").await.unwrap();
        eventually("HAProxy marks auth1 up", || async {
            (stack.node_state("auth1").await == "UP").then_some(())
        })
        .await;
        let before = stack.served("auth1").await;
        eventually("auth1 is used again", || async {
            (stack.served("auth1").await > before + 10).then_some(())
        })
        .await;
    };
    let (load, ()) = tokio::join!(stack.load(30, 100, 12), faults);
    load.assert_no_failure();
    assert!(
        load.report.requests > 500,
        "{} requests show nothing",
        load.report.requests
    );
}

/// It says that it is about to end, and serves until the gateway has heard of it.
#[tokio::test]
async fn a_node_that_is_stopped_under_load_costs_no_failed_request_and_not_even_a_retry() {
    let stack = start(SERVING).await;
    let stop = async {
        eventually("auth1 answers requests", || async {
            (stack.served("auth1").await > 20).then_some(())
        })
        .await;
        let end = stack.stack.stop_part("auth1").await.unwrap();
        assert!(end.success(), "{end}");
    };
    let (load, ()) = tokio::join!(stack.load(16, 100, 6), stop);
    load.assert_no_failure();
    assert_eq!(stack.retried("auth1").await, 0);
}

/// Whoever decides where clients go asks for this.
#[tokio::test]
async fn a_gateway_without_nodes_says_that_it_is_not_well() {
    let stack = start(SERVING).await;
    let health = [
        stack.url("gateway") + "/healthz",
        stack.stats_page().replace("/stats", "/healthz"),
    ];
    let becomes = async |expected: u16| {
        for url in &health {
            eventually(&format!("{url} says {expected}"), || async {
                let answer = stack.client.get(url).send().await.ok()?;
                (answer.status() == expected).then_some(())
            })
            .await;
        }
    };
    becomes(200).await;
    stack.stack.kill_part("auth1").await.unwrap();
    stack.stack.kill_part("auth2").await.unwrap();
    becomes(503).await;
    stack.stack.start_part("auth2").await.unwrap();
    becomes(200).await;
}

/// A node that hangs takes requests and answers none, so its connections tell nobody. On PostgreSQL, as a node that hangs while it
/// writes to a SQLite file keeps the file locked.
#[tokio::test]
async fn a_node_paused_under_load_costs_no_failed_request() {
    let parts = [&["postgres", "auth3"], SERVING].concat();
    let stack = start_with(TopologyName::Cluster, &parts, Some(CHEAP)).await;
    let faults = async {
        eventually("auth1 answers requests", || async {
            (stack.served("auth1").await > 20).then_some(())
        })
        .await;
        stack.stack.pause_part("auth1").unwrap();
        eventually("HAProxy marks auth1 down", || async {
            (stack.node_state("auth1").await == "DOWN").then_some(())
        })
        .await;
        assert!(
            stack.under_way("auth1").await > 0,
            "it hung with no request to answer"
        );
        // What auth1 had been given is not to be saved by its coming back.
        eventually("others have taken over what auth1 was given", || async {
            (stack.under_way("auth1").await == 0).then_some(())
        })
        .await;
        stack.stack.start_part("auth1").await.unwrap();
        let before = stack.served("auth1").await;
        eventually("auth1 is used again", || async {
            (stack.served("auth1").await > before + 10).then_some(())
        })
        .await;
    };
    let (load, ()) = tokio::join!(stack.load(30, 100, 25), faults);
    load.assert_no_failure();
}
