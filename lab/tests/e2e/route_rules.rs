//! What a route may say of its clients, and what the gateway adds to answers.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::raw;
use crate::routes::{start_with_routes, to, with};
use crate::support::{CHEAP, SERVING, TestStack, code, start, start_changed};

const APP: &str = "https://app.example.org";

fn cors() -> Value {
    json!({
        "origins": [APP, "https://other.example.org:8443"],
        "methods": ["GET", "PUT"],
        "headers": ["authorization", "x-own"],
        "exposeHeaders": ["ratelimit"],
        "credentials": true,
        "maxAgeSeconds": 77,
    })
}

async fn ask(
    stack: &TestStack,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Value) {
    let mut request = stack.client.request(method, stack.url("gateway") + path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap_or_default())
}

/// All that an answer says of cross-origin requests.
fn told(headers: &HeaderMap) -> Vec<String> {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary")
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("a text")))
        .collect()
}

fn preflight(origin: &str) -> [(&str, &str); 2] {
    [("origin", origin), ("access-control-request-method", "PUT")]
}

#[tokio::test]
async fn pages_of_the_named_origins_may_call_a_route_and_no_others() {
    let route = with(
        to("sample1:8080"),
        json!({ "cors": cors(), "requireToken": true }),
    );
    let stack = start_with_routes(json!({ "/shop": route, "/closed": to("sample1:8080") })).await;

    // Without a token, as browsers ask.
    let (status, headers, _) = ask(&stack, Method::OPTIONS, "/shop/1", &preflight(APP)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    insta::assert_debug_snapshot!(told(&headers), @r#"
    [
        "access-control-allow-methods: GET, PUT",
        "access-control-allow-headers: authorization, x-own",
        "access-control-max-age: 77",
        "access-control-allow-origin: https://app.example.org",
        "access-control-allow-credentials: true",
        "access-control-expose-headers: ratelimit",
        "vary: origin",
    ]
    "#);
    for origin in [
        "https://evil.example.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org.evil.example",
        "null",
    ] {
        let asked = preflight(origin);
        let (status, headers, answer) = ask(&stack, Method::OPTIONS, "/shop/1", &asked).await;
        assert_eq!(
            (status.as_u16(), code(&answer)),
            (403, "ORIGIN_NOT_ALLOWED"),
            "{origin}"
        );
        assert_eq!(told(&headers), ["vary: origin"], "{origin}");
    }

    // A page may read why it was refused, too.
    let (status, headers, _) = ask(&stack, Method::GET, "/shop/1", &[("origin", APP)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers["access-control-allow-origin"], APP);
    let (_, headers, _) = ask(&stack, Method::GET, "/shop/1", &[]).await;
    assert_eq!(told(&headers), ["vary: origin"]);

    let (status, headers, seen) = ask(&stack, Method::OPTIONS, "/closed", &preflight(APP)).await;
    assert_eq!((status.as_u16(), &seen["method"]), (200, &"OPTIONS".into()));
    assert_eq!(told(&headers), [""; 0], "the service decides");
}

#[tokio::test]
async fn pages_of_the_named_origins_may_call_the_api() {
    let stack = start_changed(lab::TopologyName::Single, SERVING, Some(CHEAP), |setup| {
        setup.gateway = Some(json!({ "routes": {}, "cors": cors() }));
    })
    .await;
    let (status, headers, _) = ask(&stack, Method::OPTIONS, "/graphql", &preflight(APP)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers["access-control-allow-origin"], APP);
    let answer = stack
        .request("{ __typename }", json!({}))
        .header("origin", APP)
        .send()
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()["access-control-allow-origin"], APP);
    assert_eq!(answer.status(), StatusCode::OK);

    let closed = start(SERVING).await;
    let (status, headers, _) = ask(&closed, Method::OPTIONS, "/graphql", &preflight(APP)).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(told(&headers), [""; 0]);
}

#[tokio::test]
async fn a_route_is_for_the_addresses_that_it_names() {
    let parts = ["auth1", "gateway", "sample1"];
    let mut stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let client = |number: u8| format!("{}.{}", setup.network.prefix(), 128 + number);
        setup.gateway = Some(json!({ "routes": {
            "/inside": with(to("sample1:8080"), json!({
                "allow": [client(0) + "/31"],
                "deny": [client(1)],
            })),
            "/open": with(to("sample1:8080"), json!({ "deny": [client(1)] })),
        }}));
    })
    .await;
    for (number, inside, open) in [(0, 200, 200), (1, 403, 403), (2, 403, 200)] {
        stack.move_client_to(number);
        for (path, expected) in [("/inside", inside), ("/open", open)] {
            let (status, _, answer) = ask(&stack, Method::GET, path, &[]).await;
            assert_eq!(status, expected, "client {number} at {path}");
            if expected == 403 {
                assert_eq!(code(&answer), "ADDRESS_NOT_ALLOWED");
            }
        }
    }
}

#[tokio::test]
async fn a_route_that_is_being_maintained_says_so_and_asks_no_server() {
    let route = with(to("sample1:8080"), json!({ "maintenance": true }));
    let stack = start_with_routes(json!({ "/shop": route, "/open": to("sample1:8080") })).await;
    let (status, headers, answer) = ask(&stack, Method::GET, "/shop", &[]).await;
    assert_eq!((status.as_u16(), code(&answer)), (503, "MAINTENANCE"));
    assert_eq!(headers["retry-after"], "60");
    assert_eq!(ask(&stack, Method::GET, "/open", &[]).await.0, 200);
}

#[tokio::test]
async fn answers_are_compressed_where_the_route_says_so_and_never_the_apis() {
    let route = with(to("sample1:8080"), json!({ "compress": true }));
    let stack = start_with_routes(json!({ "/shop": route, "/plain": to("sample1:8080") })).await;
    // As it is: the client of other tests would decompress it and say nothing.
    let encoded = async |path: &str| {
        let host = stack.gateway_address();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        );
        let answer = raw::send(&stack, 1, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.contains("content-encoding: gzip")
    };
    assert!(encoded("/shop").await);
    assert!(!encoded("/plain").await);
    assert!(!encoded("/graphql?query={__typename}").await);
}

#[tokio::test]
async fn answers_are_kept_where_route_and_service_allow_it_and_never_anything_personal() {
    let route = with(to("sample1:8080"), json!({ "cacheSeconds": 60 }));
    let stack = start_with_routes(json!({ "/shop": route, "/plain": to("sample1:8080") })).await;
    // The gateway's own header tells one answer of the service from another.
    let answered = async |path: &str, headers: &[(&str, &str)]| {
        let (status, _, seen) = ask(&stack, Method::GET, path, headers).await;
        assert_eq!(status, 200, "{path}");
        seen["headers"]["x-request-id"].clone()
    };
    let kept = "/shop/a?max-age=60";
    let first = answered(kept, &[]).await;
    assert_eq!(answered(kept, &[]).await, first, "kept");
    for (path, headers) in [
        (kept, [("authorization", "Bearer x")]),
        (kept, [("cookie", "a=b")]),
        ("/shop/a?max-age=60&b", [("accept", "*/*")]),
        ("/shop/a", [("accept", "*/*")]),
        ("/shop/a?max-age=60&visitor=1", [("accept", "*/*")]),
        ("/plain/a?max-age=60", [("accept", "*/*")]),
    ] {
        let once = answered(path, &headers).await;
        let again = answered(path, &headers).await;
        assert_ne!(once, first, "{path} {headers:?}");
        if path != "/shop/a?max-age=60&b" {
            assert_ne!(once, again, "{path} {headers:?}");
        }
    }
    // What came with credentials was not kept for those without.
    assert_eq!(answered(kept, &[]).await, first);
    let short = "/shop/b?max-age=1";
    let once = answered(short, &[]).await;
    crate::support::eventually("a kept answer that ends", async || {
        (answered(short, &[]).await != once).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_the_headers_that_protect_browsers() {
    let stack = start_with_routes(json!({ "/shop": to("sample1:8080") })).await;
    let protecting = |headers: &HeaderMap| {
        let mut all: Vec<_> = headers
            .iter()
            .filter(|(name, _)| {
                let name = name.as_str();
                name.starts_with("x-content")
                    || name.starts_with("x-frame")
                    || name.contains("security")
                    || name.contains("referrer")
            })
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("a text")))
            .collect();
        all.sort();
        all
    };
    let (_, of_api, _) = ask(&stack, Method::GET, "/graphql?query={__typename}", &[]).await;
    assert_eq!(
        protecting(&of_api),
        [
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "referrer-policy: no-referrer",
            "strict-transport-security: max-age=63072000",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
        ]
    );
    let (_, of_error, _) = ask(&stack, Method::GET, "/nothing", &[]).await;
    assert_eq!(protecting(&of_error), protecting(&of_api));
    let (_, of_route, seen) =
        ask(&stack, Method::GET, "/shop", &[("x-request-id", "forged")]).await;
    assert_eq!(
        protecting(&of_route),
        [
            "referrer-policy: strict-origin-when-cross-origin",
            "strict-transport-security: max-age=63072000",
            "x-content-type-options: nosniff",
            "x-frame-options: SAMEORIGIN",
        ]
    );
    let id = of_route["x-request-id"].to_str().expect("a text");
    assert_eq!(seen["headers"]["x-request-id"], json!([id]));
    assert_eq!(of_route["x-trace-id"], id);
}

#[tokio::test]
async fn urls_and_headers_that_are_too_long_are_refused_with_their_own_status() {
    let stack = start_with_routes(json!({ "/shop": to("sample1:8080") })).await;
    for (path, header, status) in [
        (format!("/shop?{}", "a".repeat(8000)), 1, 200),
        (format!("/shop?{}", "a".repeat(9000)), 1, 414),
        ("/shop".to_owned(), 12_000, 200),
        ("/shop".to_owned(), 13_000, 431),
    ] {
        let long = "a".repeat(header);
        let (answered, _, answer) = ask(&stack, Method::GET, &path, &[("x-long", &long)]).await;
        assert_eq!(answered, status, "{} {header}", path.len());
        if status != 200 {
            assert_eq!(code(&answer), "BAD_REQUEST");
        }
    }
}
