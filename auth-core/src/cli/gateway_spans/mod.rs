//! `auth-core gateway-spans`: the gateway's own span of each request, from HAProxy's access log to Zipkin.
//!
//! HAProxy begins each trace, and cannot report a span. But it sends each line of its log as a datagram, too, without ever waiting:
//! here the line becomes a span, the parent of the core's.

mod span;

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
use serde_json::Value;
use tokio::net::UnixDatagram;
use tokio::signal::unix::{SignalKind, signal};
use ureq::Agent;

use crate::error::Cause;
use crate::telemetry::zipkin;
use span::span;

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
    /// The share of all traces that is reported, from 0 to 1, as the cores' tracing.sample_ratio; what failed or was tried again always is
    #[arg(long, default_value_t = 1.0)]
    sample_ratio: f64,
}

/// Reports spans until SIGTERM or SIGINT, then what is left, for some seconds at most.
///
/// # Errors
/// A URL that is not `http://…`, and a socket that cannot be made.
pub fn run(args: &GatewaySpans) -> Result<(), Cause> {
    if !zipkin::is_collector(&args.zipkin) {
        return Err(format!("--zipkin {:?}: expected {}", args.zipkin, zipkin::EXPECTED).into());
    }
    if !(0.0..=1.0).contains(&args.sample_ratio) {
        return Err(format!("--sample-ratio {}: expected 0 to 1", args.sample_ratio).into());
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
    let received = runtime.block_on(receive(args, &queue, &state));
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

async fn receive(
    args: &GatewaySpans,
    queue: &SyncSender<Value>,
    state: &State,
) -> Result<(), io::Error> {
    let path = &args.listen;
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let socket = bind(path)?;
    let mut line = [0; LINE];
    let take = |line: &[u8]| {
        if let Some(span) = span(line, args.sample_ratio)
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
