//! A node may die at any time: users do not notice, and the gateway takes it out and back in.

use crate::support::{SERVING, eventually, start};

#[tokio::test]
async fn requests_are_spread_round_robin() {
    let stack = start(SERVING).await;
    let load = stack.load(16, 100, 4).await;
    load.assert_no_failure();
    let counts = &load.report.nodes;
    let (one, two) = (counts["auth1"] as f64, counts["auth2"] as f64);
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
            (served(&stack, "auth1").await > 20).then_some(())
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
        let before = served(&stack, "auth1").await;
        eventually("auth1 is used again", || async {
            (served(&stack, "auth1").await > before + 10).then_some(())
        })
        .await;
    };
    let (load, ()) = tokio::join!(stack.load(60, 200, 12), faults);
    load.assert_no_failure();
    assert!(
        load.report.requests > 500,
        "{} requests show nothing",
        load.report.requests
    );
}

/// How many requests HAProxy has given to the node.
async fn served(stack: &crate::support::TestStack, node: &str) -> u64 {
    let stats = stack.text(&(stack.stats_page() + ";csv")).await;
    let line = stats
        .lines()
        .find(|line| line.starts_with(&format!("auth-core,{node},")))
        .expect("a line of the node");
    line.split(',')
        .nth(7)
        .expect("a column of sessions")
        .parse()
        .expect("a number")
}
