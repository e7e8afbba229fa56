//! Which server of a route gets a request, and what its failures cost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::routes::{start_with_routes, with};
use crate::support::{CHEAP, TestStack, eventually, start_changed};

/// Both versions, with these weights.
fn both(first: u16, second: u16) -> Value {
    json!({ "servers": {
        "sample1:8080": { "weight": first },
        "sample2:8080": { "weight": second },
    }})
}

async fn version(client: &Client, url: &str) -> Result<String, String> {
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
async fn state(stack: &TestStack, server: &str) -> String {
    let state = statistic(stack, ":shop", server, 17).await;
    state.split(' ').next().unwrap_or_default().to_owned()
}

/// How many requests HAProxy has given to a server of `/shop`.
async fn served(stack: &TestStack, server: &str) -> usize {
    let served = statistic(stack, ":shop", server, 7).await;
    served.parse().expect("a number")
}

/// Requests at a steady rate, whatever becomes of those before (an open model), each address within its limit.
struct Load {
    stop: Arc<AtomicBool>,
    requests: JoinHandle<BTreeMap<String, usize>>,
}

impl Load {
    const RATE: u64 = 200;

    fn start(stack: &TestStack) -> Self {
        let clients: Vec<_> = (0..120).map(|number| stack.client_at(number)).collect();
        let url = stack.url("gateway") + "/shop";
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let requests = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_micros(1_000_000 / Self::RATE));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut under_way = JoinSet::new();
            for client in clients.iter().cycle() {
                if stopped.load(Relaxed) {
                    break;
                }
                ticks.tick().await;
                let (client, url) = (client.clone(), url.clone());
                under_way.spawn(async move { version(&client, &url).await });
            }
            let mut outcomes = BTreeMap::new();
            for outcome in under_way.join_all().await {
                let outcome = outcome.unwrap_or_else(|error| error);
                *outcomes.entry(outcome).or_default() += 1;
            }
            outcomes
        });
        Self { stop, requests }
    }

    /// How many requests each version answered; there is nothing else.
    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Relaxed);
        let mut outcomes = self.requests.await.expect("no panic");
        let versions = ["v1", "v2"].map(|version| outcomes.remove(version).unwrap_or(0));
        assert_eq!(outcomes, BTreeMap::new(), "beside {versions:?}");
        (versions[0], versions[1])
    }
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
async fn weights_change_and_servers_drain_under_load_without_a_failed_request() {
    let stack = start_with_routes(json!({ "/shop": both(100, 0) })).await;
    let load = Load::start(&stack);
    eventually("load", async || {
        served(&stack, "sample1:8080").await.gt(&100).then_some(())
    })
    .await;
    assert_eq!(served(&stack, "sample2:8080").await, 0);
    for (part, weight) in [("sample2", 100), ("sample1", 0)] {
        stack
            .stack
            .set_weight(part, weight)
            .await
            .expect("a weight");
    }
    let before = served(&stack, "sample1:8080").await;
    eventually("load", async || {
        served(&stack, "sample2:8080").await.gt(&200).then_some(())
    })
    .await;
    assert!(
        served(&stack, "sample1:8080").await - before <= 5,
        "drained"
    );
    let (one, two) = load.end().await;
    assert!(one > 100 && two > 200, "{one} {two}");
}

#[tokio::test]
async fn a_server_that_is_killed_or_hangs_under_load_costs_no_failed_request_and_is_out_and_back_soon()
 {
    let route = with(
        both(100, 100),
        json!({ "answerSeconds": 3, "slowStartSeconds": 0 }),
    );
    let stack = start_with_routes(json!({ "/shop": route })).await;
    let load = Load::start(&stack);
    eventually("load", async || {
        served(&stack, "sample2:8080").await.gt(&50).then_some(())
    })
    .await;
    for pause in [false, true] {
        if pause {
            stack.stack.pause_part("sample2").expect("it can be paused");
        } else {
            stack
                .stack
                .kill_part("sample2")
                .await
                .expect("it can be killed");
        }
        let begin = Instant::now();
        eventually("out", async || {
            (state(&stack, "sample2:8080").await == "DOWN").then_some(())
        })
        .await;
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "out after {:?}",
            begin.elapsed()
        );
        stack
            .stack
            .start_part("sample2")
            .await
            .expect("it starts again");
        let begin = Instant::now();
        eventually("back", async || {
            (state(&stack, "sample2:8080").await == "UP").then_some(())
        })
        .await;
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "back after {:?}",
            begin.elapsed()
        );
    }
    let (one, two) = load.end().await;
    assert!(one > 100 && two > 50, "{one} {two}");
}

/// A port that neither accepts nor refuses, as behind a firewall: its queue is full.
#[tokio::test]
async fn a_black_holed_server_under_load_costs_no_failed_request() {
    let mut hole = None;
    let parts = ["auth1", "gateway", "sample1"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let address = format!("{}.99:8080", setup.network.prefix());
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(address.parse().expect("an address"))
            .expect("a free address");
        hole = Some(socket.listen(1).expect("a listener"));
        setup.gateway = Some(json!({ "routes": { "/shop": { "servers": {
            "sample1:8080": {}, &address: {},
        }}}}));
    })
    .await;
    let hole: TcpListener = hole.expect("a listener");
    let address = hole.local_addr().expect("an address");
    let fill: Vec<_> = (0..4)
        .map(|_| tokio::spawn(TcpStream::connect(address)))
        .collect();
    let load = Load::start(&stack);
    let begin = Instant::now();
    eventually("out", async || {
        (state(&stack, &address.to_string()).await == "DOWN").then_some(())
    })
    .await;
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "out after {:?}",
        begin.elapsed()
    );
    let (one, _) = load.end().await;
    assert!(one > 50, "{one}");
    drop((hole, fill));
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
        json!({ "circuitBreaker": 5, "serverHeader": "X-Server", "slowStartSeconds": 1 }),
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
    assert_eq!(state(&stack, "sample2:8080").await, "DOWN");
    let elsewhere: Value = ask(&good).await.json().await.expect("JSON");
    assert_eq!(elsewhere["version"], "v1", "who chose it gets another");
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
