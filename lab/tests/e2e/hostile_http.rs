//! What no client of good faith sends, as bytes: the gateway answers it, logs it in one line, and passes on nothing odd.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::raw;
use crate::support::{CHEAP, SERVING, TestStack, code, eventually, start, start_changed};

#[tokio::test]
async fn each_line_of_the_gateways_log_is_a_json_object_whatever_a_client_sends() {
    let stack = start(SERVING).await;
    let host = stack.gateway_address();
    let before = log(&stack).len();
    let request = |line: &str| {
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let long = format!("/{}", "\"\\é\u{1f980}%00".repeat(600));
    let requests = [
        request("BREW /graphql"),
        request("OPTIONS /graphql"),
        request(&format!("GET {}", "/long".repeat(1_800))),
        request(&format!("GET /{}", "\"\\\\'{}%s%[src]".repeat(300))),
        request(&format!("GET {long}")),
        request(&format!("{} /graphql", "M".repeat(8_000))),
        request("GET /\u{1}"),
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n".to_vec(),
        b"\x00\x01\"}\r\n\r\n".to_vec(),
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n",
            "y".repeat(20_000)
        )
        .into_bytes(),
    ];
    for request in &requests {
        raw::send(&stack, 1, request).await;
    }
    // No handshake, but something.
    let mut stream = raw::connect(&stack, 1).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    drop(stream);

    let lines = eventually("each of them is in the log", || async {
        let mut new = log(&stack).split_off(before);
        // One that is being written is not looked at yet.
        new.truncate(new.rfind('\n').map_or(0, |end| end + 1));
        // What HAProxy says of its own start may come late.
        let of_clients = |line: &&str| !line.starts_with("[NOTICE]");
        let lines: Vec<_> = new.lines().filter(of_clients).collect();
        (lines.len() > requests.len()).then(|| lines.join("\n"))
    })
    .await;
    let mut methods = BTreeMap::<String, usize>::new();
    for line in lines.lines() {
        let entry: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(
            entry["client"],
            stack.client_address(1).to_string(),
            "{line}"
        );
        let method = entry["method"].as_str().unwrap_or("none").to_owned();
        *methods.entry(method).or_default() += 1;
        let path = entry["path"].as_str().unwrap_or_default();
        assert!(path.len() <= 256, "{line}");
    }
    assert_eq!((methods["BREW"], methods["OPTIONS"]), (1, 1), "{lines}");
    assert!(lines.contains("handshake"), "{lines}");
}

#[tokio::test]
async fn the_longest_line_of_the_log_is_whole() {
    let host = format!("{}.example.org", ["a"; 100].join("."));
    let parts = ["auth1", "gateway", "sample1"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let route = format!("{host}/");
        setup.gateway = Some(json!({ "routes": { route: { "servers": { "sample1:8080": {} } } } }));
    })
    .await;
    // Each of these takes two bytes in the log.
    let (method, path) = ("M".repeat(40), "\"".repeat(300));
    let request = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = raw::send(&stack, 1, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let line = eventually("its line", || async {
        log(&stack)
            .lines()
            .find(|line| line.contains(&host))
            .map(str::to_owned)
    })
    .await;
    let entry: Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(entry["route"], format!("{host}:"));
    assert_eq!(entry["path"].as_str().map(str::len), Some(256));
    assert!(line.len() > 1024, "{}", line.len());
}

#[tokio::test]
async fn what_the_gateway_refuses_is_refused_in_the_shape_of_the_apis_errors() {
    let stack = start(SERVING).await;
    let headers: Vec<_> = (0..97).map(|number| format!("x-{number}: y")).collect();
    let headers: Vec<_> = headers.iter().map(String::as_str).collect();
    let url = stack.url("gateway") + "/graphql";
    for version in ["--http1.1", "--http2"] {
        for (what, answer, expected) in [
            (
                "too many headers",
                curl(&stack, version, &headers, &url).await,
                (431, "BAD_REQUEST"),
            ),
            (
                "another host",
                curl(&stack, version, &["host: elsewhere"], &url).await,
                (421, "MISDIRECTED_REQUEST"),
            ),
            (
                "another path",
                curl(&stack, version, &[], &(stack.url("gateway") + "/metrics")).await,
                (404, "NOT_FOUND"),
            ),
        ] {
            let body: Value = serde_json::from_str(&answer.1)
                .unwrap_or_else(|error| panic!("{what}, {version}: {error}, {answer:?}"));
            assert_eq!((answer.0, code(&body)), expected, "{what}, {version}");
            assert!(body["errors"][0]["message"].is_string(), "{body}");
        }
    }

    let begun = format!(
        "POST /graphql HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\nabc",
        stack.gateway_address()
    );
    let answer = raw::send(&stack, 1, begun.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"REQUEST_TIMEOUT\""), "{answer}");
}

/// HTTP/2 has no way to answer a request that goes on: its stream is broken off, and curl says so.
#[tokio::test]
async fn who_is_refused_while_the_body_is_on_its_way_learns_why() {
    let stack = start(SERVING).await;
    let body = "x".repeat(8000);
    let slowly = ["--limit-rate", "4k", "--data-binary", &body];
    for version in ["--http1.1", "--http2"] {
        for (host, path, expected) in [
            ("localhost", "/metrics", (404, "NOT_FOUND")),
            ("elsewhere", "/graphql", (421, "MISDIRECTED_REQUEST")),
        ] {
            let (host, url) = (format!("host: {host}"), stack.url("gateway") + path);
            let (status, body) = curl_with(&stack, version, &slowly, &[&host], &url).await;
            let body: Value = serde_json::from_str(&body)
                .unwrap_or_else(|error| panic!("{url}, {version}: {error}, {status} {body}"));
            assert_eq!((status, code(&body)), expected, "{version}");
        }
    }
}

/// Services tell clients apart by what the gateway says of their addresses, and requests by the trace that it begins.
#[tokio::test]
async fn what_a_client_says_of_its_address_and_of_its_trace_is_not_believed() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let stack = start(&["auth1", "gateway", "sample1"]).await;
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let b3 = format!("{TRACE}-b7ad6b7169203331-1");
    let client = stack.client_at(1);
    let mut request = client.get(stack.url("gateway") + "/sample");
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2, 192.0.2.3"),
        ("forwarded", "for=192.0.2.1;proto=http"),
        ("x-forwarded-proto", "http"),
        ("traceparent", &parent),
        ("tracestate", "a=b"),
        ("b3", &b3),
        ("x-b3-traceid", TRACE),
        ("x-b3-sampled", "0"),
        ("x-request-id", TRACE),
    ] {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let trace = answer.headers()["x-trace-id"].to_str().unwrap().to_owned();
    let seen: Value = answer.json().await.unwrap();
    let seen = &seen["headers"];
    assert_eq!(seen["x-forwarded-for"], json!([stack.client_address(1)]));
    assert_eq!(seen["x-forwarded-proto"], json!(["https"]));
    for gone in [
        "forwarded",
        "tracestate",
        "b3",
        "x-b3-traceid",
        "x-b3-sampled",
    ] {
        assert_eq!(seen[gone], Value::Null, "{gone}");
    }
    assert!(!seen.to_string().contains(TRACE), "{seen}");
    assert_eq!(seen["x-request-id"], json!([trace]));
    let parents = seen["traceparent"].as_array().unwrap();
    assert_eq!(parents.len(), 1);
    assert!(
        parents[0]
            .as_str()
            .unwrap()
            .starts_with(&format!("00-{trace}-"))
    );
}

/// Names that the gateway and a node might take for different ones get to neither of them.
#[tokio::test]
async fn only_the_gateways_own_names_are_served_over_either_version_of_http() {
    let stack = start(SERVING).await;
    let own = stack.gateway_address();
    let url = stack.url("gateway") + "/graphql?query=%7B__typename%7D";
    for version in ["--http1.1", "--http2"] {
        for name in [
            own.to_string(),
            own.ip().to_string(),
            "LOCALHOST:1".to_owned(),
        ] {
            let answer = curl(&stack, version, &[&format!("host: {name}")], &url).await;
            assert_eq!(answer.0, 200, "{version} {name}: {answer:?}");
        }
        for name in [
            "elsewhere".to_owned(),
            format!("{}.", own.ip()),
            own.ip().to_string().replace('.', "x"),
            format!("elsewhere.{}", own.ip()),
        ] {
            let answer = curl(&stack, version, &[&format!("host: {name}")], &url).await;
            assert_eq!(answer.0, 421, "{version} {name}: {answer:?}");
        }
        // Later versions of HAProxy see by themselves that some of these are no names at all.
        for name in [
            "x?y".to_owned(),
            format!("{own}?y"),
            format!("{own}/healthz?"),
            format!("{own}#y"),
            format!("user@{own}"),
            format!("{own},elsewhere"),
            format!("elsewhere,{own}"),
        ] {
            let answer = curl(&stack, version, &[&format!("host: {name}")], &url).await;
            assert!(
                matches!(answer.0, 0 | 400 | 421),
                "{version} {name}: {answer:?}"
            );
        }
        // Who asks whether the gateway is alive need not know its name.
        let health = stack.url("gateway") + "/healthz";
        let answer = curl(&stack, version, &["host: elsewhere"], &health).await;
        assert_eq!(answer.0, 200, "{version}: {answer:?}");
    }
}

/// The status (0 for none: the stream was broken off) and the body of curl's answer, which sends any header, and `host` as HTTP/2's `:authority`.
async fn curl(stack: &TestStack, version: &str, headers: &[&str], url: &str) -> (u16, String) {
    curl_with(stack, version, &[], headers, url).await
}

/// The same, with more arguments.
async fn curl_with(
    stack: &TestStack,
    version: &str,
    arguments: &[&str],
    headers: &[&str],
    url: &str,
) -> (u16, String) {
    let output = Command::new("curl")
        .args(arguments)
        .args(["--silent", "--show-error", version, "--cacert"])
        .arg(stack.stack.ca())
        .args(["--write-out", "\n%{http_version} %{http_code}", url])
        .args(headers.iter().flat_map(|header| ["--header", header]))
        .kill_on_drop(true)
        .output()
        .await
        .expect("`./dev install` installs curl");
    let said = String::from_utf8_lossy(&output.stdout);
    let (body, end) = said
        .rsplit_once('\n')
        .unwrap_or_else(|| panic!("{output:?}"));
    let (spoken, status) = end.split_once(' ').expect("a version and a status");
    if status != "000" {
        assert_eq!(format!("--http{spoken}"), version, "{output:?}");
    }
    (status.parse().expect("a status"), body.to_owned())
}

fn log(stack: &TestStack) -> String {
    std::fs::read_to_string(stack.stack.log("gateway")).expect("a log of UTF-8")
}
