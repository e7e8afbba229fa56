//! One request, one trace: it begins with the gateway's span, and the core's are its children.

use std::{fs, sync::atomic::Ordering::Relaxed};

use crate::broken_servers::one_of_two_breaks_off;
use crate::support::{CHEAP, PASSWORD, TestStack, eventually, start, start_changed};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const TRACED: &[&str] = &["auth1", "auth2", "gateway", "gateway-spans", "zipkin"];

/// The spans of a trace, when one of the gateway and one of each other name is there.
async fn trace(stack: &TestStack, id: &str, names: &[&str]) -> Vec<Value> {
    let zipkin = stack.url("zipkin");
    let url = format!("{}/api/v2/trace/{id}", zipkin.trim_end_matches("/zipkin"));
    eventually("the spans are in the trace", || async {
        let response = stack.client.get(&url).send().await.ok()?;
        let spans: Vec<Value> = response.json().await.ok()?;
        assert!(spans.iter().all(|span| span["traceId"] == id), "{spans:?}");
        let is_there = |name: &str| spans.iter().any(|span| span["name"] == name);
        let of_gateway = |span: &Value| span["localEndpoint"]["serviceName"] == "gateway";
        let complete = spans.iter().any(of_gateway) && names.iter().all(|name| is_there(name));
        complete.then_some(spans)
    })
    .await
}

/// The gateway's span, which is the only one without a parent.
fn root(spans: &[Value]) -> &Value {
    let roots: Vec<_> = spans
        .iter()
        .filter(|span| span["parentId"].is_null())
        .collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    assert_eq!(
        roots[0]["localEndpoint"]["serviceName"], "gateway",
        "{spans:#?}"
    );
    assert_eq!(roots[0]["kind"], "SERVER");
    roots[0]
}

/// The gateway's span of a request that it answered itself, or passed on, by the id that the client got.
async fn of_the_gateway(stack: &TestStack, answer: &reqwest::Response) -> Value {
    let id = answer.headers()["x-trace-id"].to_str().unwrap();
    root(&trace(stack, id, &[]).await).clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value}"))
}

/// One test, as starting Zipkin is what takes time.
#[tokio::test]
async fn a_trace_begins_with_the_gateways_span_in_which_retries_are_seen_and_the_cores_are_its_children()
 {
    let mut taken = None;
    let parts = [TRACED, &["sample1"]].concat();
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let (gateway, counter) = one_of_two_breaks_off(&setup.network);
        taken = Some(counter);
        setup.gateway = Some(gateway);
    })
    .await;
    the_cores_spans_are_children_of_the_gateways(&stack).await;
    let retries = retries_seen_with_the_server_that_answered(&stack).await;
    assert!(retries >= 1);
    assert_eq!(retries, taken.unwrap().load(Relaxed));
    requests_are_answered_although_zipkin_is_away(&stack).await;
}

async fn the_cores_spans_are_children_of_the_gateways(stack: &TestStack) {
    let answer = stack.sign_up("ana@example.com").await;
    assert!(answer["errors"].is_null(), "{answer}");
    let log_in = "mutation($password: String!) { logIn(email: \"ana@example.com\", password: $password) { message } }";
    let (_, headers, answer) = stack
        .send(log_in, json!({ "password": PASSWORD }), None)
        .await;
    assert!(answer["errors"].is_null(), "{answer}");
    let id = headers["x-trace-id"].to_str().unwrap();

    // The request, and what it spent its time on.
    let spans = trace(stack, id, &["login", "hash"]).await;
    let gateway = root(&spans);
    assert_eq!(gateway["name"], "post /graphql");
    let tags = &gateway["tags"];
    for (name, value) in [
        ("http.response.status_code", "200"),
        ("node", headers["x-served-by"].to_str().unwrap()),
        ("retries", "0"),
        ("end", "----"),
    ] {
        assert_eq!(tags[name], value, "{tags}");
    }
    for name in ["queue_ms", "connect_ms", "response_ms"] {
        let milliseconds = tags[name].as_str().and_then(|text| text.parse().ok());
        assert!(
            milliseconds.is_some_and(|ms: u64| ms < 10_000),
            "{name}: {tags}"
        );
    }
    let of_the_core = |name: &str| {
        let found = spans.iter().find(|span| {
            span["name"] == name && span["localEndpoint"]["serviceName"] == "auth-core"
        });
        found.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
    };
    let core = of_the_core("post /graphql");
    assert_eq!(core["parentId"], gateway["id"]);
    let operation = of_the_core("login");
    assert_eq!(operation["parentId"], core["id"]);
    for work in ["wait for hash", "hash", "db begin session"] {
        assert_eq!(of_the_core(work)["parentId"], operation["id"], "{work}");
    }
    let time = |span: &Value| {
        let begin = number(&span["timestamp"]);
        (begin, begin + number(&span["duration"]))
    };
    let (outer, inner) = (time(gateway), time(core));
    assert!(
        outer.0 <= inner.0 && inner.1 <= outer.1,
        "{outer:?} {inner:?}"
    );

    let log = fs::read_to_string(stack.stack.log("gateway")).unwrap();
    let line = log.lines().find(|line| line.contains(id)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["span_id"], gateway["id"]);
}

async fn retries_seen_with_the_server_that_answered(stack: &TestStack) -> usize {
    let mut retries = 0;
    for _ in 0..4 {
        let url = stack.url("gateway") + "/shop/7?secret=x";
        let answer = stack.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let span = of_the_gateway(stack, &answer).await;
        assert_eq!(
            (&span["name"], &span["tags"]["node"]),
            (&"get /shop".into(), &"sample1:8080".into())
        );
        assert_eq!(span["tags"]["url.path"], "/shop/7");
        let more: usize = span["tags"]["retries"].as_str().unwrap().parse().unwrap();
        retries += more;
    }
    retries
}

#[tokio::test]
async fn what_the_gateway_refuses_is_found_by_the_id_that_the_client_got() {
    let stack = start_changed(lab::TopologyName::Single, TRACED, Some(CHEAP), |setup| {
        setup.gateway = Some(json!({ "limits": { "requests": { "count": 2, "seconds": 60 } } }));
    })
    .await;
    let url = stack.url("gateway");
    for (path, host, status) in [
        ("/metrics", "localhost", 404),
        ("/graphql", "elsewhere", 421),
        ("/graphql", "localhost", 429),
    ] {
        let request = stack
            .client
            .get(format!("{url}{path}"))
            .header("host", host);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        let span = of_the_gateway(&stack, &answer).await;
        let tags = &span["tags"];
        assert_eq!(
            tags["http.response.status_code"],
            status.to_string(),
            "{span}"
        );
        assert_eq!(
            (&tags["node"], &tags["error"]),
            (&Value::Null, &Value::Null)
        );
    }
}

/// Asks the API, and answers the id of the trace.
async fn ask(stack: &TestStack) -> String {
    let url = stack.url("gateway") + "/graphql?query=%7B__typename%7D";
    let answer = stack.client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["x-trace-id"].to_str().unwrap().to_owned()
}

/// Asks until Zipkin knows of one of the requests from the gateway.
async fn reports_again(stack: &TestStack) {
    let known = stack
        .url("zipkin")
        .replace("/zipkin", "/api/v2/traces?serviceName=gateway&limit=100000");
    let asked = Mutex::new(Vec::new());
    eventually("a span of the gateway", || async {
        let id = ask(stack).await;
        let mut asked = asked.lock().await;
        asked.push(id);
        let known = stack.text(&known).await;
        asked.iter().any(|id| known.contains(id)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_go_on_while_nobody_takes_the_gateways_spans_and_spans_come_again_after_that() {
    let mut stack = start(TRACED).await;
    stack.stack.kill_part("gateway-spans").await.unwrap();
    for _ in 0..20 {
        ask(&stack).await;
    }
    stack.stack.start_part("gateway-spans").await.unwrap();
    reports_again(&stack).await;

    // One that hangs takes as many lines as the kernel keeps for it; HAProxy counts the others.
    stack.stack.pause_part("gateway-spans").unwrap();
    let kept = fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    let requests = kept.trim().parse::<usize>().unwrap() + 20;
    for number in 0..requests {
        if number % 400 == 0 {
            // Within the limits of an address.
            stack.move_client_to(u8::try_from(number / 400 + 1).unwrap());
        }
        ask(&stack).await;
    }
    let metrics = stack.stats_page().replace("/stats", "/metrics");
    let metrics = stack.text(&metrics).await;
    let dropped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("haproxy_process_dropped_logs_total "));
    let dropped: f64 = dropped.expect("the metric").parse().unwrap();
    assert!(dropped >= 10.0, "{dropped}");
    stack.stack.start_part("gateway-spans").await.unwrap();
    reports_again(&stack).await;

    // What came before its end is sent.
    let id = ask(&stack).await;
    eventually("the line is written", || async {
        let log = fs::read_to_string(stack.stack.log("gateway")).unwrap();
        log.contains(&id).then_some(())
    })
    .await;
    let end = stack.stack.stop_part("gateway-spans").await.unwrap();
    assert!(end.success(), "{end}");
    root(&trace(&stack, &id, &[]).await);
    let log = fs::read_to_string(stack.stack.log("gateway-spans")).unwrap();
    assert_eq!(log, "", "nothing is lost of what came to it");
}

async fn requests_are_answered_although_zipkin_is_away(stack: &TestStack) {
    stack.stack.kill_part("zipkin").await.unwrap();
    for number in 0..20 {
        let answer = stack.sign_up(&format!("user{number}@example.com")).await;
        assert!(answer["errors"].is_null(), "{answer}");
    }
    let log = || fs::read_to_string(stack.stack.log("gateway-spans")).unwrap();
    eventually("the lost spans are told of", || async {
        log().contains(" spans are lost: ").then_some(())
    })
    .await;
    // All of them at its end; in between a line a minute.
    let end = stack.stack.stop_part("gateway-spans").await.unwrap();
    assert!(end.success(), "{end}");
    let log = log();
    let lost = log
        .lines()
        .filter_map(|line| line.split(' ').next()?.parse::<usize>().ok());
    // Zipkin may have been killed when it had taken the span before them, and not said so yet.
    assert!((20..=21).contains(&lost.sum::<usize>()), "{log}");
    assert!(log.lines().count() <= 2, "{log}");
}
