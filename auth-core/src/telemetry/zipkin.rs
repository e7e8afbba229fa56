//! Spans to Zipkin, in its v2 JSON, and the trace that a caller names in Zipkin's headers.
//!
//! The only module that knows opentelemetry-zipkin, which is deprecated: `docs/dependencies.md` says what comes after it.
#![allow(deprecated, reason = "the whole crate is marked so")]

use std::time::Duration;

use async_trait::async_trait;
use hyper::Uri;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_zipkin::{B3Encoding, Propagator, ZipkinExporter};
use serde_json::Value;

use crate::config::{Config, ConfigError};

/// A Zipkin that takes longer than this for a batch is taken to be away, and the batch is lost.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Where Zipkin takes spans.
pub const EXPECTED: &str = "http://HOST:PORT/api/v2/spans";

/// Whether a URL can be one of Zipkin's.
pub fn is_collector(url: &str) -> bool {
    url.parse::<Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
}

/// What sends spans to `tracing.zipkin_url`; nothing without it.
///
/// # Errors
/// A URL that is not `http://…`
pub fn exporter(config: &Config) -> Result<Option<ZipkinExporter>, ConfigError> {
    let Some(url) = &config.tracing.zipkin_url else {
        return Ok(None);
    };
    let unusable = || ConfigError(format!("tracing.zipkin_url = {url:?}: expected {EXPECTED}"));
    if !is_collector(url) {
        return Err(unusable());
    }
    let client = Client {
        agent: ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .build()
            .into(),
        node: config.node.clone(),
    };
    ZipkinExporter::builder()
        .with_http_client(client)
        .with_service_address(config.listen)
        .with_collector_endpoint(url)
        .build()
        .map(Some)
        .map_err(|_| unusable())
}

/// Takes batches to Zipkin. The batching thread calls it, so it may block.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    node: String,
}

#[async_trait]
impl HttpClient for Client {
    /// Since 0.28 the crate leaves out whose spans they are, so that Zipkin shows them under no service: that is added here.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut spans: Vec<Value> = serde_json::from_slice(&body)?;
        for span in &mut spans {
            span["localEndpoint"]["serviceName"] = "auth-core".into();
            span["tags"]["node"] = self.node.clone().into();
        }
        let request = Request::from_parts(head, serde_json::to_vec(&spans)?);
        Ok(self.agent.run(request)?.map(|_| Bytes::new()))
    }
}

/// The readers of `b3` and of `X-B3-TraceId` and its like, <https://github.com/openzipkin/b3-propagation>.
///
/// Both read both. The first knows the debug flag `d`, the second the `true` from before there was a specification.
pub fn b3() -> [impl TextMapPropagator; 2] {
    [B3Encoding::SingleHeader, B3Encoding::MultipleHeader].map(Propagator::with_encoding)
}
