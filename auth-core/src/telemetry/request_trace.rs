//! Which trace a request belongs to, in its span and in its log lines.

use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, Status, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use tracing::field::Empty;
use tracing::{Instrument, Level, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::error_code::ErrorCode;
use crate::outcome::Outcome;
use crate::telemetry::zipkin;

/// The trace of a GraphQL request: the caller's if it sent `traceparent` (W3C), `b3` or
/// `X-B3-TraceId` and its like, or a new one.
pub struct RequestTrace {
    /// The server's span. Without a Zipkin there is none, as for all spans, and only log lines have the trace's id.
    span: Span,
    /// Its id, never zero.
    id: TraceId,
}

impl RequestTrace {
    /// Begins the span.
    pub fn begin(method: &Method, headers: &HeaderMap) -> Self {
        // One of the two that get so far (OpenTelemetry's names of HTTP spans).
        let name = if method == Method::GET {
            "GET /graphql"
        } else {
            "POST /graphql"
        };
        let span = info_span!(
            "request",
            otel.name = name,
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
        let context = span.context();
        let own = context.span().span_context().clone();
        let id = caller
            .or(Some(own).filter(SpanContext::is_valid))
            .map_or_else(
                || RandomIdGenerator::default().new_trace_id(),
                |known| known.trace_id(),
            );
        Self { span, id }
    }

    /// The trace's id.
    pub fn id(&self) -> TraceId {
        self.id
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
        outcome: Outcome,
        status: Option<StatusCode>,
        seconds: f64,
    ) {
        let span = &self.span;
        span.record("operation", operation);
        let word = outcome.name();
        span.record("outcome", &*word);
        let status = status.map(|status| status.as_u16());
        span.record("http.response.status_code", status);
        // What the gateway answers with 500 and above.
        if let Outcome::Error(
            ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::Overloaded,
        ) = outcome
        {
            span.set_status(Status::error(word.clone()));
        }
        let duration_ms = (seconds * 1e6).round() / 1e3;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    trace_id = %self.id,
                    node, operation, outcome = %word, status, duration_ms, "request"
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
    let read = |propagator: &dyn TextMapPropagator| {
        let context = propagator.extract_with_context(&Context::new(), &Headers(headers));
        Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
    };
    read(&TraceContextPropagator::new()).or_else(|| {
        let b3 = zipkin::b3().iter().find_map(|b3| read(b3))?;
        // Who leaves it to us whether to sample, or debugs, has flags of its own, and is sampled.
        let refused = b3.trace_flags() == TraceFlags::default();
        let flags = if refused {
            TraceFlags::default()
        } else {
            TraceFlags::SAMPLED
        };
        Some(SpanContext::new(
            b3.trace_id(),
            b3.span_id(),
            flags,
            true,
            TraceState::default(),
        ))
    })
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
