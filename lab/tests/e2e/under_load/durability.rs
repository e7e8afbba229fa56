//! What was acknowledged is kept, and what must be unique is.

use crate::support::{SERVING, code, start_with};
use lab::{
    TopologyName,
    durability::{self, Plan},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// 200 people at once claim one e-mail; hashing at its full cost, as the race is about who comes first to the database.
#[tokio::test]
async fn two_hundred_concurrent_sign_ups_with_one_email_make_one_account() {
    let mut stack = start_with(TopologyName::Single, SERVING, None).await;
    let mut asking = JoinSet::new();
    // The gateway lets no address have all these hashes, nor all these requests under way.
    let hashes = stack.default_of("/gateway/limits/hashes/count");
    let from_each = hashes.min(stack.default_of("/gateway/connections/requestsPerAddress"));
    for number in 0..200 {
        if number % from_each == 0 {
            stack.move_client_to((1 + number / from_each) as u8);
        }
        let request = stack.sign_up_request("one@example.com");
        asking.spawn(async move { request.send().await?.json::<Value>().await });
    }
    let answers: Vec<_> = asking
        .join_all()
        .await
        .into_iter()
        .map(|answer| answer.expect("the gateway answers"))
        .collect();
    stack.move_client_to(0);
    let made = answers
        .iter()
        .filter(|answer| answer["data"]["signUp"]["account"]["id"].is_string())
        .count();
    // Who comes while the queue is too long is refused at once, whatever the e-mail, and who has waited too long is told so: on a slow
    // machine that is some of them, and the one with the account may be among the latter.
    let others = answers
        .iter()
        .filter(|answer| ["EMAIL_TAKEN", "OVERLOADED", "UNAVAILABLE"].contains(&code(answer)))
        .count();
    assert!(made <= 1, "{made} accounts were made");
    assert_eq!(made + others, 200, "{:?}", answers.last());
    let again = stack.sign_up("one@example.com").await;
    assert_eq!(code(&again), "EMAIL_TAKEN", "{again}");
}

#[tokio::test]
async fn what_was_acknowledged_holds_after_kills_of_nodes_and_gateway_on_sqlite() {
    holds_after_kills(TopologyName::Single).await;
}

#[tokio::test]
async fn what_was_acknowledged_holds_after_kills_of_nodes_gateway_and_postgresql() {
    holds_after_kills(TopologyName::Cluster).await;
}

/// A few of the rounds of `./dev durability`.
async fn holds_after_kills(topology: TopologyName) {
    let directory = TempDir::with_prefix("authstack-test-").expect("a temporary directory");
    let plan = Plan {
        topology,
        rounds: 5,
        seed: fastrand::u32(..).into(),
    };
    let outcome = durability::run(plan, directory.path(), |line| println!("{line}")).await;
    let outcome = outcome.unwrap_or_else(|error| panic!("seed {}: {error:#}", plan.seed));
    let summary = outcome.summary;
    assert!(
        summary.acknowledged > 100 && summary.unknown > 0,
        "{outcome} show nothing"
    );
}
