//! Logs, and spans joined to the caller's trace.

use std::io::IsTerminal;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, SdkTracerProvider,
};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Level, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Config, ConfigError, LogFormat, LogLevel};
use crate::zipkin::Zipkin;

/// How long the last spans may take to leave at the end. A Zipkin that is away costs no more than this.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Ends the export of spans.
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends what is left, for a second at most. Blocks.
    pub fn shutdown(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(LAST_SPANS)
        {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

/// Starts logging to standard error and, if there is a Zipkin, the export of spans in batches from a thread of its own.
///
/// # Errors
/// A Zipkin URL that cannot be used.
pub fn start(config: &Config) -> Result<Telemetry, ConfigError> {
    let provider = Zipkin::new(config)?.map(|zipkin| {
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(4096)
            .with_scheduled_delay(Duration::from_secs(1))
            .build();
        let batches = BatchSpanProcessor::builder(zipkin)
            .with_batch_config(batch)
            .build();
        SdkTracerProvider::builder()
            .with_span_processor(batches)
            .build()
    });
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("auth-core"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target("auth_core", LevelFilter::INFO))
    });

    let level = match config.log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let human = match config.log.format {
        Some(format) => format == LogFormat::Human,
        None => std::io::stderr().is_terminal(),
    };
    // Of our own code only: what libraries log at lower levels might have an input in it.
    let only_ours = Targets::new()
        .with_target("auth_core", level)
        .with_default(LevelFilter::WARN.min(level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    // Spans have their own layer; left to this one, it would write each into a text that no line shows.
    let events = filter_fn(|metadata| metadata.is_event()).with_max_level_hint(LevelFilter::TRACE);
    let only_ours = only_ours.and(events);
    let lines = if human {
        lines.with_filter(only_ours).boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_filter(only_ours)
            .boxed()
    };
    tracing_subscriber::registry()
        .with(spans)
        .with(lines)
        .init();
    Ok(Telemetry(provider))
}

/// The trace of a GraphQL request: the caller's if it sent `traceparent` (W3C), `b3` or
/// `X-B3-TraceId` and its like, or a new one.
pub struct RequestTrace {
    /// The server's span. Without a Zipkin there is none, as for all spans, and only log lines have the trace's id.
    pub span: Span,
    /// Its id, never zero.
    pub id: TraceId,
}

impl RequestTrace {
    /// Begins the span.
    pub fn begin(headers: &HeaderMap) -> Self {
        let span = info_span!(
            "request",
            otel.kind = "server",
            operation = Empty,
            outcome = Empty,
            http.response.status_code = Empty,
        );
        let caller = caller(headers);
        if let Some(caller) = &caller {
            // Fails only where spans are off.
            let _ = span.set_parent(Context::new().with_remote_span_context(caller.clone()));
        }
        let own = span.context().span().span_context().trace_id();
        let id = [Some(own), caller.map(|caller| caller.trace_id())]
            .into_iter()
            .flatten()
            .find(|id| *id != TraceId::INVALID)
            .unwrap_or_else(|| RandomIdGenerator::default().new_trace_id());
        Self { span, id }
    }

    /// Does a part of the request's work, whose log lines can tell [`trace_id`].
    pub async fn follow<F: Future>(&self, work: F) -> F::Output {
        TRACE_ID
            .scope(self.id, work.instrument(self.span.clone()))
            .await
    }

    /// Completes the span of a request and writes its log line, at `INFO` or `DEBUG`. It has no status if nobody waited
    /// for the answer.
    pub fn finish(
        &self,
        log_level: Level,
        node: &str,
        operation: &str,
        outcome: &str,
        status: Option<StatusCode>,
        seconds: f64,
    ) {
        let span = &self.span;
        span.record("operation", operation);
        span.record("outcome", outcome);
        let status = status.map(|status| status.as_u16());
        span.record("http.response.status_code", status);
        if matches!(outcome, "internal" | "unavailable") {
            span.set_status(Status::error(outcome.to_owned()));
        }
        // The span has started, so recording `otel.name` would come too late.
        span.context().span().update_name(operation.to_owned());
        let duration_ms = (seconds * 1e6).round() / 1e3;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    trace_id = %self.id,
                    node, operation, outcome, status, duration_ms, "request"
                )
            };
        }
        if log_level == Level::INFO {
            line!(info);
        } else {
            line!(debug);
        }
    }
}

tokio::task_local! {
    static TRACE_ID: TraceId;
}

/// The id of the trace that the running request belongs to, for its log lines; zero outside of requests.
pub fn trace_id() -> TraceId {
    TRACE_ID.try_get().unwrap_or(TraceId::INVALID)
}

fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let w3c =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    let w3c = w3c.span().span_context().clone();
    if w3c.is_valid() {
        return Some(w3c);
    }
    let header = |name| headers.get(name)?.to_str().ok();
    if let Some(single) = header("b3") {
        return b3(single);
    }
    let sampled = header("x-b3-sampled").unwrap_or("1");
    b3(&format!(
        "{}-{}-{sampled}",
        header("x-b3-traceid")?,
        header("x-b3-spanid")?
    ))
}

/// `{trace id}-{span id}[-{sampled}[-{parent}]]`, <https://github.com/openzipkin/b3-propagation>.
fn b3(header: &str) -> Option<SpanContext> {
    let mut parts = header.split('-');
    let trace_id =
        TraceId::from_hex(parts.next().filter(|id| matches!(id.len(), 16 | 32))?).ok()?;
    let span_id = SpanId::from_hex(parts.next().filter(|id| id.len() == 16)?).ok()?;
    let flags = match parts.next() {
        // The word is from before there was a specification.
        Some("0" | "false") => TraceFlags::default(),
        _ => TraceFlags::SAMPLED,
    };
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
