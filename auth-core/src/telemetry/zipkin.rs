//! Spans to Zipkin, in its v2 JSON.
//!
//! Our own because opentelemetry-zipkin is deprecated and, since 0.28, sends no service name, so that Zipkin shows its
//! spans under no service. The batching thread calls this, so it may block.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::Uri;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::{Map, Value, json};

use crate::config::{Config, ConfigError};

/// A Zipkin that takes longer than this for a batch is taken to be away, and the batch is lost.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Sends batches of spans.
#[derive(Debug)]
pub struct Zipkin {
    agent: ureq::Agent,
    url: String,
    endpoint: Value,
    node: String,
}

impl Zipkin {
    /// Reads `tracing.zipkin_url`; none without it.
    ///
    /// # Errors
    /// A URL that is not `http://…`
    pub fn new(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(url) = &config.tracing.zipkin_url else {
            return Ok(None);
        };
        let usable = url
            .parse::<Uri>()
            .is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if !usable {
            return Err(ConfigError(format!(
                "tracing.zipkin_url = {url:?}: expected http://HOST:PORT/api/v2/spans"
            )));
        }
        let mut endpoint = json!({ "serviceName": "auth-core", "port": config.listen.port() });
        let address = if config.listen.is_ipv4() {
            "ipv4"
        } else {
            "ipv6"
        };
        endpoint[address] = config.listen.ip().to_string().into();
        Ok(Some(Self {
            agent: ureq::Agent::config_builder()
                .timeout_global(Some(TIMEOUT))
                .build()
                .into(),
            url: url.clone(),
            endpoint,
            node: config.node.clone(),
        }))
    }

    fn span(&self, span: SpanData) -> Value {
        let mut tags: Map<String, Value> = span
            .attributes
            .iter()
            .map(|tag| (tag.key.to_string(), tag.value.to_string().into()))
            .collect();
        tags.insert("node".to_owned(), self.node.clone().into());
        if let Status::Error { description } = &span.status {
            tags.insert("error".to_owned(), description.to_string().into());
        }
        let microseconds =
            |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let since = |later: SystemTime, earlier| {
            microseconds(later.duration_since(earlier).unwrap_or_default())
        };
        let annotations: Vec<Value> = span
            .events
            .iter()
            .map(|event| json!({ "timestamp": since(event.timestamp, UNIX_EPOCH), "value": event.name }))
            .collect();
        let mut sent = json!({
            "traceId": span.span_context.trace_id().to_string(),
            "id": span.span_context.span_id().to_string(),
            "name": span.name,
            "timestamp": since(span.start_time, UNIX_EPOCH),
            "duration": since(span.end_time, span.start_time).max(1),
            "localEndpoint": self.endpoint,
            "annotations": annotations,
            "tags": tags,
        });
        if span.parent_span_id != SpanId::INVALID {
            sent["parentId"] = span.parent_span_id.to_string().into();
        }
        match span.span_kind {
            SpanKind::Server => sent["kind"] = "SERVER".into(),
            SpanKind::Client => sent["kind"] = "CLIENT".into(),
            _ => {}
        }
        sent
    }
}

impl SpanExporter for Zipkin {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans: Value = batch.into_iter().map(|span| self.span(span)).collect();
        self.agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(spans.to_string())
            .map(drop)
            .map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }
}
