//! How much of a service one client gets.

use std::collections::BTreeMap;

use reqwest::{Client, header::HeaderMap};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::routes::{start_with_routes, to, with};
use crate::support::{CHEAP, TestStack, code, eventually, start_changed};

fn limited(by: &str, windows: Value) -> Value {
    with(
        to("sample1:8080"),
        json!({ "limits": { "by": by, "windows": windows } }),
    )
}

async fn get(client: &Client, url: &str, token: Option<&str>) -> (u16, HeaderMap, Value) {
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap_or_default())
}

/// How many of a burst had which status.
async fn burst(client: &Client, url: &str, count: usize) -> BTreeMap<u16, usize> {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (client, url) = (client.clone(), url.to_owned());
        requests.spawn(async move { get(&client, &url, None).await.0 });
    }
    let mut statuses = BTreeMap::new();
    while let Some(status) = requests.join_next().await {
        *statuses.entry(status.expect("no panic")).or_default() += 1;
    }
    statuses
}

fn remaining(headers: &HeaderMap) -> &str {
    headers["ratelimit"].to_str().expect("a text")
}

#[tokio::test]
async fn of_a_burst_of_ten_times_the_limit_exactly_the_limit_passes() {
    let windows = json!([{ "count": 30, "seconds": 60 }, { "count": 40, "seconds": 3600 }]);
    let stack = start_with_routes(json!({ "/shop": limited("address", windows) })).await;
    let url = stack.url("gateway") + "/shop";
    let client = stack.client_at(1);
    // No more at once than an address may have under way.
    let mut statuses = BTreeMap::new();
    for _ in 0..10 {
        for (status, count) in burst(&client, &url, 30).await {
            *statuses.entry(status).or_insert(0) += count;
        }
    }
    assert_eq!(statuses, BTreeMap::from([(200, 30), (429, 270)]));

    let (_, headers, answer) = get(&client, &url, None).await;
    assert_eq!(code(&answer), "RATE_LIMITED");
    insta::assert_snapshot!(answer["errors"][0]["message"].as_str().expect("a text"), @"Too many requests from your address: 30 are allowed in 60 seconds.");
    assert_eq!(headers["retry-after"], "60");
    assert_eq!(
        headers["ratelimit-policy"],
        r#""60s";q=30;w=60, "3600s";q=40;w=3600"#
    );
    // What was refused counts in no window.
    assert_eq!(remaining(&headers), r#""60s";r=0, "3600s";r=10"#);

    let (status, headers, _) = get(&stack.client_at(2), &url, None).await;
    assert_eq!(status, 200, "another address");
    assert_eq!(remaining(&headers), r#""60s";r=29, "3600s";r=39"#);
}

#[tokio::test]
async fn the_longer_window_ends_what_the_shorter_one_would_allow_again_and_again() {
    let windows = json!([{ "count": 5, "seconds": 1 }, { "count": 12, "seconds": 3600 }]);
    let stack = start_with_routes(json!({ "/shop": limited("address", windows) })).await;
    let url = stack.url("gateway") + "/shop";
    let client = stack.client_at(1);
    let mut passed = 0;
    let mut refused_by_the_shorter = 0;
    // Far below what an address may ask of the gateway.
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(25));
    loop {
        ticks.tick().await;
        match get(&client, &url, None).await {
            (200, ..) => passed += 1,
            (429, headers, _) if headers["retry-after"] == "1" => refused_by_the_shorter += 1,
            (429, headers, _) => break assert_eq!(headers["retry-after"], "3600"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(passed, 12);
    assert!(refused_by_the_shorter > 0);
}

#[tokio::test]
async fn accounts_at_one_address_have_a_limit_each_where_the_route_counts_by_account() {
    let parts = ["auth1", "auth2", "gateway", "sample1", "gateway-keys"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let windows = json!([{ "count": 5, "seconds": 60 }]);
        let route = with(limited("subject", windows), json!({ "requireToken": true }));
        setup.gateway = Some(json!({ "routes": { "/shop": route } }));
    })
    .await;
    let url = stack.url("gateway") + "/shop";
    let token_of = async |email: &str| {
        let session = stack.sign_up(email).await;
        session["data"]["signUp"]["accessToken"]
            .as_str()
            .expect("a token")
            .to_owned()
    };
    let (ana, bob) = (
        token_of("ana@example.com").await,
        token_of("bob@example.com").await,
    );
    eventually("a gateway that knows the keys", async || {
        (get(&stack.client, &url, Some(&bob)).await.0 == 200).then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(get(&stack.client_at(1), &url, Some(&ana)).await.0, 200);
    }
    let (status, _, answer) = get(&stack.client_at(2), &url, Some(&ana)).await;
    assert_eq!(status, 429, "from another address, too");
    insta::assert_snapshot!(answer["errors"][0]["message"].as_str().expect("a text"), @"Too many requests of this account or API key: 5 are allowed in 60 seconds.");
    assert_eq!(get(&stack.client_at(1), &url, Some(&bob)).await.0, 200);
}

#[tokio::test]
async fn requests_beyond_what_a_server_takes_at_a_time_wait_and_then_are_told_to_come_later() {
    let route = with(to("sample1:8080"), json!({ "requestsPerServer": 2 }));
    let stack = start_with_routes(json!({ "/shop": route })).await;
    let queue = queue_seconds(&stack);
    let slow = format!("{}/shop?wait={}", stack.url("gateway"), (queue + 3) * 1000);
    let short = format!("{}/shop?wait=100", stack.url("gateway"));
    assert_eq!(
        burst(&stack.client, &short, 10).await,
        BTreeMap::from([(200, 10)]),
        "they wait for their turn"
    );
    let occupied: JoinSet<_> = (0..2)
        .map(|_| {
            let (client, slow) = (stack.client.clone(), slow.clone());
            async move { get(&client, &slow, None).await.0 }
        })
        .collect();
    eventually("both at the server", async || {
        let answer = tokio::time::timeout(
            std::time::Duration::from_millis(500),
            get(&stack.client, &short, None),
        );
        answer.await.is_err().then_some(())
    })
    .await;
    let (status, headers, answer) = get(&stack.client, &short, None).await;
    assert_eq!((status, code(&answer)), (503, "UNAVAILABLE"));
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(occupied.join_all().await, [200, 200]);
}

fn queue_seconds(stack: &TestStack) -> usize {
    stack.default_of("/gateway/connections/queueSeconds")
}
