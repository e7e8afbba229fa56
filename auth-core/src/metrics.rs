//! What Prometheus scrapes from `/metrics`. Every label set is closed: no client can add a series.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The metrics of one node.
pub struct Metrics {
    registry: Registry,
    /// GraphQL requests by operation and outcome.
    pub requests_total: IntCounterVec,
    /// How long GraphQL requests took.
    pub request_seconds: HistogramVec,
    /// How long hashes took, without the wait.
    pub hash_seconds: Histogram,
    /// How long requests waited for a hash.
    pub hash_queue_seconds: Histogram,
    /// Hashes that run now.
    pub hashes_in_flight: IntGauge,
    /// Hashes that were started.
    pub hashes_total: IntCounter,
    /// Hashes that were refused because the line was too long.
    pub hashes_refused_total: IntCounter,
}

const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

impl Metrics {
    /// Registers everything in a registry of its own, so that several nodes can live in one process.
    ///
    /// # Errors
    /// A metric name that is used twice or is not a name.
    pub fn new(node: &str) -> Result<Self, prometheus::Error> {
        let seconds =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        let metrics = Self {
            registry: Registry::new(),
            requests_total: IntCounterVec::new(
                Opts::new("auth_requests_total", "GraphQL requests answered."),
                &["operation", "outcome"],
            )?,
            request_seconds: HistogramVec::new(
                seconds("auth_request_seconds", "Time to answer a GraphQL request."),
                &["operation"],
            )?,
            hash_seconds: Histogram::with_opts(seconds(
                "auth_hash_seconds",
                "Time to compute a password hash.",
            ))?,
            hash_queue_seconds: Histogram::with_opts(seconds(
                "auth_hash_queue_seconds",
                "Time that a request waited for its turn to hash.",
            ))?,
            hashes_in_flight: IntGauge::new(
                "auth_hashes_in_flight",
                "Password hashes that run now.",
            )?,
            hashes_total: IntCounter::new("auth_hashes_total", "Password hashes started.")?,
            hashes_refused_total: IntCounter::new(
                "auth_hashes_refused_total",
                "Password hashes refused because the wait would have been too long.",
            )?,
        };
        let build_info = IntGaugeVec::new(
            Opts::new("auth_build_info", "Always 1; the labels tell."),
            &["version", "node"],
        )?;
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION"), node])
            .set(1);
        let registry = &metrics.registry;
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(metrics.requests_total.clone()))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.hash_seconds.clone()))?;
        registry.register(Box::new(metrics.hash_queue_seconds.clone()))?;
        registry.register(Box::new(metrics.hashes_in_flight.clone()))?;
        registry.register(Box::new(metrics.hashes_total.clone()))?;
        registry.register(Box::new(metrics.hashes_refused_total.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        for operation in crate::graphql::Operation::ALL {
            // A rate over a series that is not there yet misses its first increase.
            metrics
                .requests_total
                .with_label_values(&[operation.name(), "ok"]);
        }
        Ok(metrics)
    }

    /// Everything, in Prometheus' text format.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot write the metrics");
        }
        text
    }
}
