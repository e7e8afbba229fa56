//! Which server of a route gets a request, and what its failures cost.

use std::collections::BTreeMap;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::routes::{start_with_routes, with};
use crate::support::{CHEAP, TestStack, eventually, start_changed};

/// Both versions, with these weights.
pub fn both(first: u16, second: u16) -> Value {
    json!({ "servers": {
        "sample1:8080": { "weight": first },
        "sample2:8080": { "weight": second },
    }})
}

pub async fn version(client: &Client, url: &str) -> Result<String, String> {
    let answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let seen: Value = answer.json().await.map_err(|error| error.to_string())?;
    match seen["version"].as_str() {
        Some(version) if status == 200 => Ok(version.to_owned()),
        _ => Err(format!("{status}: {seen}")),
    }
}

/// A column of a server's line in HAProxy's statistics (its Management Guide, 9.1).
async fn statistic(stack: &TestStack, route: &str, server: &str, column: usize) -> String {
    let stats = stack
        .admin("gateway", &format!("show stat {route} 4 -1"))
        .await;
    let line = stats
        .lines()
        .find(|line| line.starts_with(&format!("{route},{server},")));
    let line = line.unwrap_or_else(|| panic!("no line of {server}: {stats}"));
    line.split(',').nth(column).expect("the column").to_owned()
}

/// The state of a server of `/shop` as HAProxy sees it, such as `UP` or `DOWN`.
pub async fn state(stack: &TestStack, server: &str) -> String {
    let state = statistic(stack, ":shop", server, 17).await;
    state.split(' ').next().unwrap_or_default().to_owned()
}

/// How many requests HAProxy has given to a server of `/shop`.
pub async fn served(stack: &TestStack, server: &str) -> usize {
    let served = statistic(stack, ":shop", server, 7).await;
    served.parse().expect("a number")
}

#[tokio::test]
async fn of_ten_thousand_requests_a_canary_gets_its_share_within_one_percent() {
    let stack = start_with_routes(json!({ "/shop": both(80, 20) })).await;
    let url = stack.url("gateway") + "/shop";
    let mut addresses = JoinSet::new();
    let mut counts = BTreeMap::new();
    for number in 0..100 {
        if addresses.len() == 16 {
            merge(
                &mut counts,
                addresses.join_next().await.expect("one").expect("no panic"),
            );
        }
        let (client, url) = (stack.client_at(number), url.clone());
        addresses.spawn(async move {
            let mut counts = BTreeMap::new();
            for _ in 0..100 {
                let version = version(&client, &url).await.expect("an answer");
                *counts.entry(version).or_insert(0) += 1;
            }
            counts
        });
    }
    for more in addresses.join_all().await {
        merge(&mut counts, more);
    }
    assert_eq!(counts["v1"] + counts["v2"], 10_000);
    assert!((1900..=2100).contains(&counts["v2"]), "{counts:?}");
}

fn merge(counts: &mut BTreeMap<String, usize>, more: BTreeMap<String, usize>) {
    for (version, count) in more {
        *counts.entry(version).or_insert(0) += count;
    }
}

#[tokio::test]
async fn a_request_may_choose_its_server_and_a_browser_stays_with_its_own() {
    let route = with(
        both(90, 10),
        json!({ "serverHeader": "X-Server", "sticky": true }),
    );
    let stack = start_with_routes(json!({ "/shop": route })).await;
    let url = stack.url("gateway") + "/shop";
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = stack.client.get(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        let cookie = answer
            .headers()
            .get("set-cookie")
            .map(|cookie| cookie.to_str().expect("a text").to_owned());
        let seen: Value = answer.json().await.expect("JSON");
        (
            seen["version"].as_str().expect("a version").to_owned(),
            cookie,
            seen,
        )
    };
    assert_eq!(ask(&[("x-server", "sample2:8080")]).await.0, "v2");
    assert_eq!(ask(&[("x-server", "sample1:8080")]).await.0, "v1");
    // An unknown name chooses nothing: the weights decide, for as long as no cookie comes back.
    let mut canary = None;
    for _ in 0..10 {
        let (version, cookie, _) = ask(&[("x-server", "nonsense")]).await;
        if version == "v2" {
            assert_eq!(
                canary.replace(cookie.expect("a cookie")),
                None,
                "one of ten"
            );
        }
    }
    let cookie = canary.expect("one of ten");
    assert!(
        !cookie.contains("sample") && cookie.contains("Secure") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().expect("a pair");
    for _ in 0..20 {
        let (version, again, seen) = ask(&[("cookie", cookie)]).await;
        assert_eq!((version.as_str(), again), ("v2", None));
        assert_eq!(
            seen["headers"]["cookie"],
            Value::Null,
            "the gateway's own business"
        );
    }
    assert_eq!(
        ask(&[("x-server", "sample1:8080"), ("cookie", cookie)])
            .await
            .0,
        "v1"
    );
}

#[tokio::test]
async fn errors_one_after_another_open_the_circuit_and_good_checks_close_it() {
    let route = with(
        both(50, 50),
        json!({
            "circuitBreaker": 5,
            "serverHeader": "X-Server",
            "slowStartSeconds": 1,
            "health": { "by": "http", "path": "/", "host": "h" },
        }),
    );
    let stack = start_with_routes(json!({ "/shop": route })).await;
    let fail = stack.url("gateway") + "/shop?status=500";
    let ask = async |url: &str| {
        let answer = stack
            .client
            .get(url)
            .header("x-server", "sample2:8080")
            .send()
            .await;
        answer.expect("an answer")
    };
    let good = stack.url("gateway") + "/shop";
    // Until then another may be asked in its place.
    eventually("known to be well", async || {
        let check = statistic(&stack, ":shop", "sample2:8080", 36).await;
        (state(&stack, "sample2:8080").await == "UP" && check == "L7OK").then_some(())
    })
    .await;
    for _ in 0..4 {
        assert_eq!(ask(&fail).await.status(), 500);
    }
    // A success begins the count anew.
    assert_eq!(ask(&good).await.status(), 200);
    for _ in 0..4 {
        assert_eq!(ask(&fail).await.status(), 500);
    }
    assert_eq!(state(&stack, "sample2:8080").await, "UP");
    assert_eq!(ask(&fail).await.status(), 500);
    // So that no good check closes it before we have looked.
    stack.stack.pause_part("sample2").unwrap();
    eventually("open", async || {
        let log = std::fs::read_to_string(stack.stack.log("gateway")).unwrap();
        log.contains("Detected 5 consecutive errors").then_some(())
    })
    .await;
    assert_eq!(state(&stack, "sample2:8080").await, "DOWN");
    let elsewhere: Value = ask(&good).await.json().await.expect("JSON");
    assert_eq!(elsewhere["version"], "v1", "who chose it gets another");
    stack.stack.resume_part("sample2").unwrap();
    eventually("closed", async || {
        (state(&stack, "sample2:8080").await == "UP").then_some(())
    })
    .await;
    let back: Value = ask(&good).await.json().await.expect("JSON");
    assert_eq!(back["version"], "v2");
}

#[tokio::test]
async fn a_servers_health_is_asked_for_by_tcp_http_or_graphql() {
    let parts = ["auth1", "gateway", "sample1"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let health = |by: &str, path: &str| json!({ "by": by, "path": path, "host": "h" });
        let sample = |health: Value| json!({ "servers": { "sample1:8080": {} }, "health": health });
        let core = format!("{}.11:8080", setup.network.prefix());
        setup.gateway = Some(json!({ "routes": {
            "/tcp": sample(health("tcp", "/")),
            "/http": sample(health("http", "/?status=204")),
            "/failing": sample(health("http", "/?status=500")),
            // It answers with 200, and not as GraphQL does.
            "/graphql-less": sample(health("graphql", "/graphql")),
            "/core": { "servers": { &core: {} }, "health": health("graphql", "/graphql") },
        }}));
    })
    .await;
    let core = stack.url("auth1").replace("http://", "");
    for (route, server, expected) in [
        (":tcp", "sample1:8080", ("UP", "L4OK")),
        (":http", "sample1:8080", ("UP", "L7OK")),
        (":failing", "sample1:8080", ("DOWN", "L7STS")),
        (":graphql-less", "sample1:8080", ("DOWN", "L7RSP")),
        (":core", &core, ("UP", "L7OK")),
    ] {
        eventually(&format!("{route} is {expected:?}"), async || {
            let state = statistic(&stack, route, server, 17).await;
            let check = statistic(&stack, route, server, 36).await;
            ((state.as_str(), check.as_str()) == expected).then_some(())
        })
        .await;
    }
}
