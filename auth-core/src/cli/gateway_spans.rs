//! `auth-core gateway-spans`: the gateway's own span of each request, from HAProxy's access log to Zipkin.
//!
//! HAProxy begins each trace, and cannot report a span. But it sends each line of its log as a datagram, too, without ever waiting:
//! here the line becomes a span, the parent of the core's. Tags are named as in OpenTelemetry's semantic conventions for HTTP.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixDatagram;
use tokio::signal::unix::{SignalKind, signal};
use ureq::Agent;

use crate::error::Cause;
use crate::telemetry::zipkin;

/// Bytes of a line: more than HAProxy sends (`nixos-modules/render/haproxy/log.nix`). One that is cut is no JSON.
const LINE: usize = 4096;

/// Spans that wait for Zipkin. Those that come when so many do are lost.
const QUEUE: usize = 4096;

/// Spans that are sent at once, and how long the first of them waits for the others.
const BATCH: usize = 500;
const GATHERING: Duration = Duration::from_secs(1);

/// A Zipkin that takes longer than this for a batch is taken to be away, and the batch is lost.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Between two lines about lost spans.
const SILENCE: Duration = Duration::from_secs(60);

/// Where lines come from, and where spans go.
#[derive(Args)]
pub struct GatewaySpans {
    /// Unix socket to make, as HAProxy's `log` names it; for its owner and group
    #[arg(long)]
    listen: PathBuf,
    /// Zipkin's collector, such as http://10.0.0.9:9411/api/v2/spans
    #[arg(long)]
    zipkin: String,
}

/// Reports spans until SIGTERM or SIGINT, then what is left, for some seconds at most.
///
/// # Errors
/// A URL that is not `http://…`, and a socket that cannot be made.
pub fn run(args: &GatewaySpans) -> Result<(), Cause> {
    if !zipkin::is_collector(&args.zipkin) {
        return Err(format!("--zipkin {:?}: expected {}", args.zipkin, zipkin::EXPECTED).into());
    }
    let (queue, spans) = sync_channel(QUEUE);
    let state = Arc::new(State::default());
    let sender = thread::spawn({
        let (state, url) = (Arc::clone(&state), args.zipkin.clone());
        move || send(&spans, &url, &state)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let received = runtime.block_on(receive(&args.listen, &queue, &state));
    state.ending.store(true, Relaxed);
    drop(queue);
    let sent = sender.join();
    received?;
    sent.map_err(|_| "the thread that sends spans has panicked".into())
}

/// What both sides of the queue know.
#[derive(Default)]
struct State {
    /// Spans that were lost and not told of.
    lost: AtomicU64,
    /// No more spans come.
    ending: AtomicBool,
}

async fn receive(path: &Path, queue: &SyncSender<Value>, state: &State) -> Result<(), io::Error> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let socket = bind(path)?;
    let mut line = [0; LINE];
    let take = |line: &[u8]| {
        if let Some(span) = span(line)
            && queue.try_send(span).is_err()
        {
            state.lost.fetch_add(1, Relaxed);
        }
    };
    loop {
        tokio::select! {
            length = socket.recv(&mut line) => take(&line[..length?]),
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    // Nothing comes after that.
    fs::remove_file(path)?;
    while let Ok(length) = socket.try_recv(&mut line) {
        take(&line[..length]);
    }
    Ok(())
}

/// Makes the socket, in the place of one that is there: HAProxy looks for it anew with each line.
fn bind(path: &Path) -> Result<UnixDatagram, io::Error> {
    let unfinished = path.with_added_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(&unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o660))?;
    fs::rename(&unfinished, path)?;
    Ok(socket)
}

/// Takes spans to Zipkin until no more come.
fn send(spans: &Receiver<Value>, url: &str, state: &State) {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let mut told: Option<Instant> = None;
    let mut why = String::new();
    while let Ok(first) = spans.recv() {
        let mut batch = vec![first];
        let end = Instant::now() + GATHERING;
        while batch.len() < BATCH
            && let Ok(next) = spans.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            batch.push(next);
        }
        let size = batch.len() as u64;
        let sent = agent
            .post(url)
            .content_type("application/json")
            .send(Value::from(batch).to_string());
        if let Err(error) = sent {
            why = error.to_string();
            state.lost.fetch_add(size, Relaxed);
            if state.ending.load(Relaxed) {
                state.lost.fetch_add(spans.iter().count() as u64, Relaxed);
            }
        }
        if told.is_none_or(|told| told.elapsed() > SILENCE) && tell(state, url, &why) {
            told = Some(Instant::now());
        }
    }
    tell(state, url, &why);
}

/// Says how many spans were lost since it was said last. Answers whether there were any.
fn tell(state: &State, url: &str, why: &str) -> bool {
    let lost = state.lost.swap(0, Relaxed);
    if lost > 0 {
        let why = if why.is_empty() { "too many" } else { why };
        eprintln!("{lost} spans are lost: {url}: {why}");
    }
    lost > 0
}

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

/// The span of a request, as Zipkin takes it (its API of version 2). `None` for what is not the line of a request in a trace.
fn span(line: &[u8]) -> Option<Value> {
    let line: Line = serde_json::from_slice(line).ok()?;
    if !is_id(&line.trace_id, 32) || !is_id(&line.span_id, 16) {
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
            "retries": line.retries.trim_start_matches('+'),
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
        span(line(changes).to_string().as_bytes())
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
            assert_eq!(span(text.as_bytes()), None, "{text}");
        }
        let whole = line(&json!({})).to_string();
        assert_eq!(span(&whole.as_bytes()[..whole.len() - 1]), None, "cut");
    }
}
