//! Two gateways count together: who asks at both gets no more than who asks at one.

use std::time::Duration;

use lab::TopologyName;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::support::{CHEAP, TestStack, code, eventually, start_changed};

const BOTH: [&str; 2] = ["gateway", "gateway2"];
/// In a minute, on the route /sample.
const ROUTE_LIMIT: usize = 600;
/// Costs nobody anything.
const KEYS: &str = "/.well-known/jwks.json";
const REQUESTS: &str = "/gateway/limits/requests/count";
const HASHES: &str = "/gateway/limits/hashes/count";
const FAILED_LOG_INS: &str = "/gateway/limits/failedLogIns/count";

#[tokio::test]
async fn of_a_burst_at_one_of_two_gateways_exactly_the_limit_passes_and_nothing_at_the_other() {
    let mut stack = start_both().await;
    stack.move_client_to(1);
    let limit = stack.default_of(REQUESTS);
    assert_eq!(
        passed(&stack, KEYS, &["gateway"], 10 * limit, None).await,
        limit
    );
    assert_eq!(passed(&stack, KEYS, &["gateway2"], 10, None).await, 0);
    stack.move_client_to(2);
    assert_eq!(passed(&stack, KEYS, &["gateway2"], 10, None).await, 10);
}

/// They tell each other after the fact, within some milliseconds, or more on a machine that is busy: what comes to both within that time passes at
/// both. Here they come slowly enough.
#[tokio::test]
async fn of_what_comes_to_both_gateways_at_once_the_limit_passes_within_one_percent() {
    let mut stack = start_both().await;
    stack.move_client_to(1);
    let limit = stack.default_of(REQUESTS);
    let each = Duration::from_millis(10);
    let passed = passed(&stack, KEYS, &BOTH, limit + limit / 10, Some(each)).await;
    assert!(passed.abs_diff(limit) <= limit / 100, "{passed} passed");
}

#[tokio::test]
async fn the_limit_of_a_route_is_one_for_both_gateways() {
    let mut stack = start_both().await;
    let limit = ROUTE_LIMIT;
    let each = Duration::from_millis(10);
    stack.move_client_to(1);
    let passed_both = passed(&stack, "/sample", &BOTH, limit + limit / 10, Some(each)).await;
    assert!(
        passed_both.abs_diff(limit) <= limit / 100,
        "{passed_both} passed"
    );
    // Of a burst at one of them exactly the limit, and then nothing at the other.
    stack.move_client_to(2);
    assert_eq!(
        passed(&stack, "/sample", &["gateway"], 5 * limit, None).await,
        limit
    );
    assert_eq!(passed(&stack, "/sample", &["gateway2"], 10, None).await, 0);
}

#[tokio::test]
async fn hashes_and_failed_log_ins_at_both_gateways_are_added_up() {
    let mut stack = start_both().await;
    for (number, query, expected, limit) in [
        (1, "mutation { signUp { message } }", "BAD_REQUEST", HASHES),
        (
            2,
            "mutation { logIn(email: \"ana@example.com\", password: \"not the right one\") { message } }",
            "INVALID_CREDENTIALS",
            FAILED_LOG_INS,
        ),
    ] {
        stack.move_client_to(number);
        for count in 0..stack.default_of(limit) {
            // The account has a limit of its own, at the node.
            let query = query.replace("ana", &format!("user{count}"));
            let answer = ask_at(&stack, BOTH[count % 2], &query).await;
            assert_eq!(code(&answer), expected, "number {count} of {limit}");
        }
        let known = until_both_know(&stack, number).await;
        for gateway in BOTH {
            assert_eq!(
                code(&ask_at(&stack, gateway, query).await),
                "RATE_LIMITED",
                "{limit} at {gateway}: {known:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_gateway_that_was_killed_is_told_by_the_other_what_it_had_counted() {
    let mut stack = start_both().await;
    stack.move_client_to(1);
    let limit = stack.default_of(REQUESTS);
    assert_eq!(
        passed(&stack, KEYS, &["gateway"], 2 * limit, None).await,
        limit
    );
    stack.stack.kill_part("gateway").await.unwrap();
    assert_eq!(passed(&stack, KEYS, &["gateway2"], 1, None).await, 0);
    stack.stack.start_part("gateway").await.unwrap();
    until_both_know(&stack, 1).await;
    assert_eq!(passed(&stack, KEYS, &["gateway"], 1, None).await, 0);
}

async fn start_both() -> TestStack {
    let parts = ["postgres", "auth1", "gateway", "gateway2", "sample1"];
    let windows = json!([{ "count": ROUTE_LIMIT, "seconds": 60 }]);
    let stack = start_changed(TopologyName::Cluster, &parts, Some(CHEAP), |setup| {
        setup.gateway = Some(json!({ "routes": { "/sample": {
            "servers": { "sample1:8080": {} },
            "limits": { "by": "address", "windows": windows },
        } } }));
    })
    .await;
    for gateway in BOTH {
        eventually("the gateways have learnt from each other", || async {
            learnt(&stack.admin(gateway, "show peers").await).then_some(())
        })
        .await;
    }
    stack
}

/// Whether HAProxy is done with asking a predecessor and the others for all that they have, some seconds after its start: that overwrites what was
/// counted in the very milliseconds that it takes. Two bits of its flags say so.
fn learnt(peers: &str) -> bool {
    let flags = peers.split_once(" flags=0x").expect("flags").1;
    let flags = flags.split_whitespace().next().expect("a number");
    u32::from_str_radix(flags, 16).expect("a hexadecimal number") & 3 == 3
}

/// Waits until both gateways have the same numbers of this client in their tables, and answers these numbers.
async fn until_both_know(stack: &TestStack, client: u8) -> Vec<String> {
    let address = stack.client_address(client).to_string();
    eventually("both gateways know the same", || async {
        let mut known = Vec::new();
        for gateway in BOTH {
            for table in BOTH {
                let entries = stack
                    .admin(gateway, &format!("show table gateways/clients-{table}"))
                    .await;
                let entry = entries.lines().find(|line| line.contains(&address));
                let rates = entry.unwrap_or_default().split_whitespace();
                known.push(
                    rates
                        .filter(|word| word.contains("_rate("))
                        .collect::<String>(),
                );
            }
        }
        (known[..2] == known[2..] && known.concat() != "").then_some(known)
    })
    .await
}

/// What HAProxy answers on its admin socket (its Management Guide, 9.3).
async fn ask_at(stack: &TestStack, gateway: &str, query: &str) -> Value {
    let request = stack.client.post(stack.url(gateway) + "/graphql");
    request
        .json(&json!({ "query": query }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// How many of so many requests for a path pass, at these gateways at the same time: one after the other for each of eight clients' connections, as fast as
/// they can or one `each` so often.
async fn passed(
    stack: &TestStack,
    path: &str,
    gateways: &[&str],
    requests: usize,
    each: Option<Duration>,
) -> usize {
    const CONNECTIONS: usize = 8;
    let workers = CONNECTIONS.min(requests);
    let mut asking = JoinSet::new();
    for worker in 0..workers {
        let url = stack.url(gateways[worker % gateways.len()]) + path;
        let client = stack.client.clone();
        let share = requests / workers + usize::from(worker < requests % workers);
        asking.spawn(async move {
            let mut ticks = each.map(|each| {
                let mut ticks = interval(each * workers as u32);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                ticks
            });
            let mut passed = 0;
            for _ in 0..share {
                if let Some(ticks) = &mut ticks {
                    ticks.tick().await;
                }
                let status = client.get(&url).send().await.expect("an answer").status();
                assert!(
                    status == StatusCode::OK || status == StatusCode::TOO_MANY_REQUESTS,
                    "{status}"
                );
                passed += usize::from(status == StatusCode::OK);
            }
            passed
        });
    }
    asking.join_all().await.into_iter().sum()
}
