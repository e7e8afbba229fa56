//! The users' own services behind the gateway: each request gets to the one that it is for, and as the gateway saw it.

use std::time::{Duration, Instant};

use reqwest::{Body, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::sleep,
};

use crate::raw;
use crate::support::{CHEAP, TestStack, code, eventually, start_changed};

/// Longer than the gateway lets a client be silent, unless it has reason to.
const SILENCE: Duration = Duration::from_secs(11);

/// The serving parts and both versions of the sample service, with these routes to them.
pub async fn start_with_routes(routes: Value) -> TestStack {
    let parts = ["auth1", "auth2", "gateway", "sample1", "sample2"];
    start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        setup.gateway = Some(json!({ "routes": routes }));
    })
    .await
}

pub fn to(server: &str) -> Value {
    json!({ "servers": { server: {} } })
}

pub fn with(mut route: Value, settings: Value) -> Value {
    let (route_map, settings) = (route.as_object_mut().unwrap(), settings);
    route_map.extend(settings.as_object().unwrap().clone());
    route
}

/// What the sample service says that it got, or the error, with the status.
async fn get(stack: &TestStack, path: &str) -> (u16, Value) {
    let answer = stack.client.get(stack.url("gateway") + path).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// The same, of a request line as it is.
async fn raw_get(stack: &TestStack, target: &str, host: &str) -> (u16, Value) {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let answer = raw::send(stack, 1, request.as_bytes()).await;
    let status = answer[9..12].parse().expect("a status");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn the_longest_prefix_wins_and_ends_where_a_segment_ends() {
    let stack = start_with_routes(json!({
        "/orders": to("sample1:8080"),
        "/orders/new": with(to("sample2:8080"), json!({ "stripPrefix": true })),
        "/stripped": with(to("sample1:8080"), json!({ "stripPrefix": true })),
    }))
    .await;
    for (path, version, target) in [
        ("/orders", "v1", "/orders"),
        ("/orders/", "v1", "/orders/"),
        ("/orders/7?a=b&c=%2F", "v1", "/orders/7?a=b&c=%2F"),
        ("/orders/newest", "v1", "/orders/newest"),
        ("/orders/new", "v2", "/"),
        ("/orders/new/", "v2", "/"),
        ("/orders/new/7?a=b", "v2", "/7?a=b"),
        ("/stripped", "v1", "/"),
        ("/stripped?a=b", "v1", "/?a=b"),
        ("/stripped/stripped", "v1", "/stripped"),
    ] {
        let (status, seen) = get(&stack, path).await;
        assert_eq!(
            (status, &seen["version"], &seen["target"]),
            (200, &version.into(), &target.into()),
            "{path}: {seen}"
        );
    }
    for path in [
        "/ordersX",
        "/order",
        "/Orders",
        "/",
        "/strippe",
        "/stripped.x",
    ] {
        let (status, answer) = get(&stack, path).await;
        assert_eq!((status, code(&answer)), (404, "NOT_FOUND"), "{path}");
    }
}

#[tokio::test]
async fn a_path_that_a_service_might_read_otherwise_than_the_gateway_is_refused() {
    let stack = start_with_routes(json!({
        "/": to("sample1:8080"),
        "/orders": to("sample2:8080"),
    }))
    .await;
    let host = stack.gateway_address().to_string();
    for path in [
        "//orders",
        "/orders//7",
        "/./orders",
        "/x/../orders",
        "/orders/../graphql",
        "/orders/..",
        "/orders/.",
        "/%6frders",
        "/%6Frders",
        "/o%72ders",
        "/orders%2f7",
        "/orders%5C7",
        "/orders\\7",
        "/x/%2e%2e/orders",
        "/x/.%2E/orders",
        "/orders;x=1",
        "/orders%3bx",
        "/orders%00",
        "/orders%0a",
        "/orders%",
        "/orders%4",
        "/orders%zz",
        "/orders%2D7",
        "/orders%7E7",
    ] {
        let (status, answer) = raw_get(&stack, path, &host).await;
        assert_eq!((status, code(&answer)), (400, "BAD_REQUEST"), "{path}");
    }
    for (path, version) in [
        ("/orders/%20%C3%A9%25", "v2"),
        ("/.well-known/x", "v1"),
        ("/a.b/..c/d..", "v1"),
        ("/orders/a:b@c!$&'()*+,=~", "v2"),
        ("/orders?x=//..;%6f", "v2"),
    ] {
        let (status, seen) = raw_get(&stack, path, &host).await;
        assert_eq!((status, &seen["version"]), (200, &version.into()), "{path}");
        assert_eq!(seen["target"], path);
    }
    // The whole URI (RFC 9112, 3.2.2) is passed on as what was looked at; another host in it is no request.
    let (status, seen) = raw_get(&stack, &format!("https://{host}/orders/7?x"), &host).await;
    assert_eq!((status, &seen["target"]), (200, &"/orders/7?x".into()));
    assert_eq!(
        raw_get(&stack, "http://elsewhere/orders", &host).await.0,
        400
    );
}

#[tokio::test]
async fn a_host_of_its_own_has_its_own_routes_and_the_api_stays_the_cores_on_each() {
    let stack = start_with_routes(json!({
        "/": to("sample1:8080"),
        "/orders": to("sample1:8080"),
        "shop.example.org/orders": to("sample2:8080"),
        "shop.example.org/orders/only": to("sample2:8080"),
    }))
    .await;
    let own = stack.gateway_address().to_string();
    for (host, path, expected) in [
        (own.as_str(), "/orders", Some("v1")),
        (&own, "/elsewhere", Some("v1")),
        (&own, "/orders/only", Some("v1")),
        ("shop.example.org", "/orders/only", Some("v2")),
        ("shop.example.org", "/orders/7", Some("v2")),
        ("SHOP.example.org:8443", "/orders", Some("v2")),
        ("shop.example.org", "/elsewhere", None),
    ] {
        let (status, seen) = raw_get(&stack, path, host).await;
        let found = (status == 200).then(|| seen["version"].as_str().unwrap());
        assert_eq!(found, expected, "{host}{path}: {status} {seen}");
    }
    assert_eq!(raw_get(&stack, "/orders", "evil.example.org").await.0, 421);
    for host in [&own, "shop.example.org"] {
        let (status, answer) = raw_get(&stack, "/graphql?query=%7B__typename%7D", host).await;
        assert_eq!(
            (status, &answer["data"]["__typename"]),
            (200, &"Query".into())
        );
        let (status, answer) = raw_get(&stack, "/.well-known/jwks.json", host).await;
        assert!(status == 200 && answer["keys"].is_array(), "{answer}");
    }
    let after = raw_get(&stack, "/graphql/x", &own).await;
    assert_eq!((after.0, &after.1["version"]), (200, &"v1".into()));
}

#[tokio::test]
async fn servers_share_requests_by_their_weights_and_one_that_is_gone_costs_none() {
    let stack = start_with_routes(json!({ "/orders": {
        "servers": { "sample1:8080": { "weight": 75 }, "sample2:8080": { "weight": 25 } },
    } }))
    .await;
    let mut first = 0;
    for _ in 0..40 {
        let (status, seen) = get(&stack, "/orders").await;
        assert_eq!(status, 200);
        first += usize::from(seen["version"] == "v1");
    }
    assert_eq!(first, 30);
    stack.stack.kill_part("sample1").await.unwrap();
    for _ in 0..20 {
        let (status, seen) = get(&stack, "/orders").await;
        assert_eq!((status, &seen["version"]), (200, &"v2".into()));
    }
    stack.stack.kill_part("sample2").await.unwrap();
    let (status, answer) = get(&stack, "/orders").await;
    assert_eq!((status, code(&answer)), (503, "UNAVAILABLE"));
    // The core is none of theirs.
    assert!(stack.sign_up("ana@example.com").await["errors"].is_null());
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_route_says_and_longer_than_the_gateways_buffer() {
    let stack = start_with_routes(json!({
        "/files": with(to("sample1:8080"), json!({ "bodyBytes": 1_000_000 })),
        "/any": with(to("sample1:8080"), json!({ "bodyBytes": null })),
    }))
    .await;
    let post = |path: &str, body: Body| {
        let request = stack.client.post(stack.url("gateway") + path).body(body);
        async move {
            let answer = request.send().await.expect("an answer");
            let status = answer.status();
            (status, answer.json::<Value>().await.unwrap_or_default())
        }
    };
    for length in [0, 1, 8_193, 100_000, 1_000_000] {
        let (status, seen) = post("/files", vec![b'x'; length].into()).await;
        assert_eq!(
            (status, &seen["body_bytes"]),
            (StatusCode::OK, &length.into())
        );
    }
    let (status, seen) = post("/any", vec![b'x'; 20_000_000].into()).await;
    assert_eq!(
        (status, &seen["body_bytes"]),
        (StatusCode::OK, &20_000_000.into())
    );

    let host = stack.gateway_address();
    let head = |path: &str, more: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n\r\n")
    };
    let answer = raw::send(
        &stack,
        1,
        head("/files", "Content-Length: 1000001").as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"PAYLOAD_TOO_LARGE\""), "{answer}");
    for more in [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nUpgrade: x\r\nConnection: upgrade",
    ] {
        let chunked = head("/files", more) + "3\r\nabc\r\n0\r\n\r\n";
        let answer = raw::send(&stack, 1, chunked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
        assert!(answer.contains("\"LENGTH_REQUIRED\""), "{answer}");
    }
    let chunked = head("/any", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n";
    let answer = raw::send(&stack, 1, chunked.as_bytes()).await;
    assert!(answer.contains("\"body_bytes\":3"), "{answer}");
}

#[tokio::test]
async fn an_upload_reaches_the_service_while_it_goes_on() {
    let stack = start_with_routes(json!({ "/files": to("sample1:8080") })).await;
    let mut stream = raw::connect_tls(&stack, 1).await.unwrap();
    let begun = format!(
        "POST /files HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 10000\r\n\r\nabc",
        stack.gateway_address()
    );
    stream.write_all(begun.as_bytes()).await.unwrap();
    let metrics = stack.stats_page().replace("/stats", "/metrics");
    eventually("the service has it", || async {
        let metrics = stack.text(&metrics).await;
        let line = "haproxy_server_sessions_total{proxy=\":files\",server=\"sample1:8080\"} 1";
        metrics.contains(line).then_some(())
    })
    .await;
    stream.write_all(&[b'x'; 9_997]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\"body_bytes\":10000"), "{answer}");
}

#[tokio::test]
async fn a_websocket_is_passed_on_and_may_be_silent_for_long() {
    let stack = start_with_routes(json!({ "/chat": to("sample1:8080") })).await;
    let mut stream = raw::connect_tls(&stack, 1).await.unwrap();
    let request = format!(
        "GET /chat HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        stack.gateway_address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("more of the head"));
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    for silence in [Duration::ZERO, SILENCE] {
        sleep(silence).await;
        // A frame of text, with a mask of zeroes.
        stream.write_all(b"\x81\x82\0\0\0\0hi").await.unwrap();
        let mut echo = [0; 4];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"\x81\x02hi");
    }
}

#[tokio::test]
async fn server_sent_events_come_one_by_one_and_may_be_far_apart() {
    let stack = start_with_routes(json!({
        "/events": with(to("sample1:8080"), json!({ "answerSeconds": 2 })),
    }))
    .await;
    let url = stack.url("gateway") + "/events?events=2&every=11000";
    let begin = Instant::now();
    let request = stack.client.get(&url).header("accept", "text/event-stream");
    let mut answer = request.send().await.expect("an answer");
    let first = answer.chunk().await.unwrap().expect("an event");
    assert_eq!(&first[..], b"data: 1\n\n");
    assert!(begin.elapsed() < SILENCE / 2, "{:?}", begin.elapsed());
    let second = answer.chunk().await.unwrap().expect("another event");
    assert_eq!(&second[..], b"data: 2\n\n");
    assert!(begin.elapsed() >= SILENCE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_service_has_as_long_for_an_answer_as_its_route_says() {
    let stack = start_with_routes(json!({
        "/quick": with(to("sample1:8080"), json!({ "answerSeconds": 1 })),
        "/slow": with(to("sample1:8080"), json!({ "answerSeconds": 10 })),
    }))
    .await;
    let (status, answer) = get(&stack, "/quick?wait=3000").await;
    assert_eq!((status, code(&answer)), (504, "UNAVAILABLE"));
    assert_eq!(get(&stack, "/slow?wait=3000").await.0, 200);
    // Its errors are its own.
    assert_eq!(get(&stack, "/quick?status=500").await.1["version"], "v1");
}

/// The limits of hashes are about what the core computes.
#[tokio::test]
async fn what_is_sent_to_a_service_counts_as_no_hash() {
    let mut stack = start_with_routes(json!({ "/orders": to("sample1:8080") })).await;
    stack.move_client_to(1);
    let mut asking = JoinSet::new();
    for _ in 0..stack.default_of("/gateway/limits/hashes/count") + 2 {
        let url = stack.url("gateway") + "/orders";
        let request = stack
            .client
            .post(url)
            .body("{ \"query\": \"mutation { signUp }\" }");
        asking.spawn(async move { request.send().await.expect("an answer").status() });
        if asking.len() == 20 {
            asking.join_next().await;
        }
    }
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert!(stack.sign_up("ana@example.com").await["errors"].is_null());
}

#[tokio::test]
async fn metrics_and_logs_name_the_route() {
    let stack = start_with_routes(json!({
        "shop.example.org/orders/new": to("sample1:8080"),
        "/": with(to("sample2:8080"), json!({ "requireToken": true })),
    }))
    .await;
    raw_get(&stack, "/orders/new/7", "shop.example.org").await;
    get(&stack, "/x").await;
    let metrics = stack.stats_page().replace("/stats", "/metrics");
    let metrics = stack.text(&metrics).await;
    assert!(
        metrics.contains(
            "haproxy_backend_http_requests_total{proxy=\"shop.example.org:orders:new\"} 1"
        ),
        "{metrics}"
    );
    let log = eventually("both are in the log", || async {
        let log = std::fs::read_to_string(stack.stack.log("gateway")).unwrap();
        (log.contains("\"status\":401") && log.contains("\"status\":200")).then_some(log)
    })
    .await;
    assert!(
        log.contains("\"route\":\"shop.example.org:orders:new\",\"status\":200"),
        "{log}"
    );
    // Refused by the gateway, and still it is told for which service it was.
    assert!(log.contains("\"route\":\":\",\"status\":401"), "{log}");
}
