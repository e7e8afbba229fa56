//! A line of HAProxy's access log as a span. Tags are named as in OpenTelemetry's semantic conventions for HTTP.

use opentelemetry::trace::TraceId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::telemetry::sampling::is_sampled;

/// What HAProxy says of a request: `nixos-modules/render/haproxy/log.nix`. Times are in milliseconds, -1 for what did not happen.
#[derive(Deserialize)]
struct Line {
    trace_id: String,
    span_id: String,
    /// Microseconds since 1970.
    began: String,
    ended: String,
    client: String,
    method: String,
    path: String,
    route: String,
    status: i32,
    node: String,
    queue_ms: i64,
    connect_ms: i64,
    response_ms: i64,
    /// With a `+` where another node was tried.
    retries: String,
    end: String,
}

/// The span of a request, as Zipkin takes it (its API of version 2). `None` for what is not the line of a request in a trace, and
/// for a trace that is not in the share of `ratio`, unless the request failed or was tried again.
pub fn span(line: &[u8], ratio: f64) -> Option<Value> {
    let line: Line = serde_json::from_slice(line).ok()?;
    if !is_id(&line.trace_id, 32) || !is_id(&line.span_id, 16) {
        return None;
    }
    let retries = line.retries.trim_start_matches('+');
    let trace = TraceId::from_hex(&line.trace_id).ok()?;
    if line.status < 500 && retries == "0" && !is_sampled(trace, ratio) {
        return None;
    }
    let began: u64 = line.began.parse().ok()?;
    let ended: u64 = line.ended.parse().ok()?;
    let mut span = json!({
        "traceId": line.trace_id,
        "id": line.span_id,
        "kind": "SERVER",
        "name": name(&line),
        "timestamp": began,
        "duration": ended.saturating_sub(began).max(1),
        "localEndpoint": { "serviceName": "gateway" },
        "tags": {
            "client.address": line.client,
            "http.request.method": line.method,
            "url.path": line.path,
            "retries": retries,
            "end": line.end,
        },
    });
    let mut tag = |name: &str, value: String| span["tags"][name] = value.into();
    if line.route != "-" {
        tag("http.route", prefix(&line.route));
    }
    if line.node != "<NOSRV>" {
        tag("node", line.node);
    }
    for (name, milliseconds) in [
        ("queue_ms", line.queue_ms),
        ("connect_ms", line.connect_ms),
        ("response_ms", line.response_ms),
    ] {
        if milliseconds >= 0 {
            tag(name, milliseconds.to_string());
        }
    }
    if line.status > 0 {
        tag("http.response.status_code", line.status.to_string());
    }
    if line.status >= 500 {
        tag("error", line.status.to_string());
    }
    Some(span)
}

fn is_id(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// One of few, whatever clients send.
fn name(line: &Line) -> String {
    // Of RFC 9110 and RFC 5789; any other is called `HTTP`.
    let method = match &*line.method {
        method @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE"
        | "PATCH") => method,
        _ => "HTTP",
    };
    match &*line.route {
        "-" => match &*line.path {
            path @ ("/graphql" | "/.well-known/jwks.json") => format!("{method} {path}"),
            _ => method.to_owned(),
        },
        route => format!("{method} {}", prefix(route)),
    }
}

/// A route's prefix of its name, in which HAProxy allows no `/`.
fn prefix(route: &str) -> String {
    route.replace(':', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(changes: &Value) -> Value {
        let mut line = json!({
            "timestamp": "2026-11-24T13:20:26.123Z",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "span_id": "00f067aa0ba902b7",
            "began": "1795526423200908",
            "ended": "1795526423207006",
            "client": "192.0.2.7",
            "method": "GET",
            "path": "/shop/7",
            "route": ":shop",
            "status": 200,
            "node": "10.0.0.8:9000",
            "duration_ms": 6,
            "queue_ms": 0,
            "connect_ms": 1,
            "response_ms": 4,
            "retries": "0",
            "end": "----",
        });
        for (name, value) in changes.as_object().unwrap() {
            line[name] = value.clone();
        }
        line
    }

    fn read(changes: &Value) -> Option<Value> {
        span(line(changes).to_string().as_bytes(), 1.0)
    }

    #[test]
    fn a_request_becomes_a_span_of_the_gateway() {
        let expected = json!({
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
            "id": "00f067aa0ba902b7",
            "kind": "SERVER",
            "name": "GET /shop",
            "timestamp": 1_795_526_423_200_908_u64,
            "duration": 6098,
            "localEndpoint": { "serviceName": "gateway" },
            "tags": {
                "client.address": "192.0.2.7",
                "http.request.method": "GET",
                "http.response.status_code": "200",
                "http.route": "/shop",
                "url.path": "/shop/7",
                "node": "10.0.0.8:9000",
                "queue_ms": "0",
                "connect_ms": "1",
                "response_ms": "4",
                "retries": "0",
                "end": "----",
            },
        });
        assert_eq!(read(&json!({})), Some(expected));
    }

    #[test]
    fn a_failure_is_marked_with_its_retries_and_a_refusal_is_neither_a_failure_nor_a_nodes() {
        let failed =
            read(&json!({ "status": 502, "retries": "+3", "response_ms": -1, "end": "SH--" }));
        let tags = &failed.unwrap()["tags"];
        assert_eq!(
            [&tags["error"], &tags["retries"], &tags["end"]],
            ["502", "3", "SH--"]
        );
        assert_eq!(tags["response_ms"], Value::Null);

        let refused = json!({
            "status": 429, "node": "<NOSRV>", "queue_ms": -1, "connect_ms": -1, "response_ms": -1, "end": "PR--",
        });
        let tags = &read(&refused).unwrap()["tags"];
        assert_eq!(tags["http.response.status_code"], "429");
        for missing in ["error", "node", "queue_ms", "connect_ms"] {
            assert_eq!(tags[missing], Value::Null, "{missing}");
        }
        let gone = read(&json!({ "status": -1, "end": "CR--" })).unwrap();
        assert_eq!(gone["tags"]["http.response.status_code"], Value::Null);
    }

    #[test]
    fn of_traces_that_are_not_sampled_what_failed_or_was_tried_again_is_reported() {
        let reported = |changes: &Value| span(line(changes).to_string().as_bytes(), 0.0).is_some();
        for (changes, expected) in [
            (json!({}), false),
            (json!({ "status": 429 }), false),
            (json!({ "status": -1 }), false),
            (json!({ "status": 503 }), true),
            (json!({ "retries": "+1" }), true),
        ] {
            assert_eq!(reported(&changes), expected, "{changes}");
        }
    }

    #[test]
    fn names_are_few_whatever_clients_send() {
        for (method, route, path, expected) in [
            ("POST", "-", "/graphql", "POST /graphql"),
            (
                "GET",
                "-",
                "/.well-known/jwks.json",
                "GET /.well-known/jwks.json",
            ),
            ("GET", "-", "/elsewhere/1", "GET"),
            ("BREW", "-", "/graphql", "HTTP /graphql"),
            (
                "PATCH",
                "shop.example.org:",
                "/x",
                "PATCH shop.example.org/",
            ),
            ("GET", ":orders:new", "/orders/new/7", "GET /orders/new"),
        ] {
            let changes = json!({ "method": method, "route": route, "path": path });
            assert_eq!(read(&changes).unwrap()["name"], expected);
        }
    }

    #[test]
    fn what_is_no_line_of_a_request_in_a_trace_is_no_span() {
        for changes in [
            json!({ "trace_id": "-" }),
            json!({ "trace_id": "4BF92F3577B34DA6A3CE929D0E0E4736" }),
            json!({ "span_id": "-" }),
            json!({ "began": "-" }),
            json!({ "ended": "-1" }),
            json!({ "status": "200" }),
            json!({ "client": null }),
        ] {
            assert_eq!(read(&changes), None, "{changes}");
        }
        for text in ["", "Server auth-core/auth1 is DOWN", "{}", "[]", "\u{0}"] {
            assert_eq!(span(text.as_bytes(), 1.0), None, "{text}");
        }
        let whole = line(&json!({})).to_string();
        assert_eq!(span(&whole.as_bytes()[..whole.len() - 1], 1.0), None, "cut");
    }
}
