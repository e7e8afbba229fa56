//! What Prometheus scrapes from `/metrics`. Every label set is closed: no client can add a series.

use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::operation::Operation;
use crate::outcome::Outcome;
use crate::telemetry::sampling;

/// The metrics of one node.
pub struct Metrics {
    registry: Registry,
    /// GraphQL requests by [`Operation`] and [`Outcome`].
    pub requests_total: IntCounterVec,
    /// How long GraphQL requests took.
    pub request_seconds: HistogramVec,
    /// How long hashes took, without the wait.
    pub hash_seconds: Histogram,
    /// How long requests waited for a hash.
    pub hash_queue_seconds: Histogram,
    /// Requests that wait for their turn to hash.
    pub hashes_waiting: IntGauge,
    /// Hashes that run now.
    pub hashes_in_flight: IntGauge,
    /// Hashes that were started.
    pub hashes_total: IntCounter,
    /// Hashes that were refused because the queue was too long.
    pub hashes_refused_total: IntCounter,
    /// Access tokens that were signed. Each comes with a refresh token.
    pub tokens_issued_total: IntCounter,
    tokens_refused_total: IntCounterVec,
    spans_dropped_total: IntCounterVec,
    database_connections: IntGaugeVec,
    database_connections_max: IntGauge,
}

/// Why a token was refused. The caller is told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// An access token past its time.
    Expired,
    /// No access token of ours at all: not a JWT, or of another type.
    Malformed,
    /// An access token whose key is not in the ring.
    UnknownKey,
    /// An access token whose signature is not its key's.
    Signature,
    /// An access token that is signed well and says something wrong.
    Claims,
    /// A good access token of a session that has ended.
    SessionEnded,
    /// A refresh token of no session: made up, or its session has ended.
    UnknownRefreshToken,
    /// A refresh token that was used before: somebody has stolen it, or a client is broken.
    ReusedRefreshToken,
}

impl TokenRefusal {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Expired,
        Self::Malformed,
        Self::UnknownKey,
        Self::Signature,
        Self::Claims,
        Self::SessionEnded,
        Self::UnknownRefreshToken,
        Self::ReusedRefreshToken,
    ];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::SessionEnded => "session_ended",
            Self::UnknownRefreshToken => "unknown_refresh_token",
            Self::ReusedRefreshToken => "reused_refresh_token",
        }
    }
}

/// The connections to the database at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Those with a query to do.
    pub used: u32,
    /// Those that wait for one.
    pub idle: u32,
    /// Most that there may be.
    pub max: u32,
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
                Opts::new(
                    "auth_requests_total",
                    "GraphQL requests, by what they came to.",
                ),
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
            hashes_waiting: IntGauge::new(
                "auth_hashes_waiting",
                "Requests that wait for their turn to hash.",
            )?,
            hashes_in_flight: IntGauge::new(
                "auth_hashes_in_flight",
                "Password hashes that run now.",
            )?,
            hashes_total: IntCounter::new("auth_hashes_total", "Password hashes started.")?,
            hashes_refused_total: IntCounter::new(
                "auth_hashes_refused_total",
                "Password hashes refused because the wait would have been too long.",
            )?,
            tokens_issued_total: IntCounter::new(
                "auth_tokens_issued_total",
                "Access tokens issued, each with a refresh token.",
            )?,
            tokens_refused_total: IntCounterVec::new(
                Opts::new("auth_tokens_refused_total", "Tokens refused, by reason."),
                &["reason"],
            )?,
            spans_dropped_total: IntCounterVec::new(
                Opts::new(
                    "auth_spans_dropped_total",
                    "Spans that did not reach Zipkin, by reason.",
                ),
                &["reason"],
            )?,
            database_connections: IntGaugeVec::new(
                Opts::new(
                    "auth_database_connections",
                    "Connections to the database, used and idle.",
                ),
                &["state"],
            )?,
            database_connections_max: IntGauge::new(
                "auth_database_connections_max",
                "Most connections to the database that there may be.",
            )?,
        };
        let build_info = IntGaugeVec::new(
            Opts::new("auth_build_info", "Always 1; the labels tell."),
            &["version", "node"],
        )?;
        build_info
            .with_label_values(&[crate::version::VERSION, node])
            .set(1);
        let registry = &metrics.registry;
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(metrics.requests_total.clone()))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.hash_seconds.clone()))?;
        registry.register(Box::new(metrics.hash_queue_seconds.clone()))?;
        registry.register(Box::new(metrics.hashes_waiting.clone()))?;
        registry.register(Box::new(metrics.hashes_in_flight.clone()))?;
        registry.register(Box::new(metrics.hashes_total.clone()))?;
        registry.register(Box::new(metrics.hashes_refused_total.clone()))?;
        registry.register(Box::new(metrics.tokens_issued_total.clone()))?;
        registry.register(Box::new(metrics.tokens_refused_total.clone()))?;
        registry.register(Box::new(metrics.spans_dropped_total.clone()))?;
        registry.register(Box::new(metrics.database_connections.clone()))?;
        registry.register(Box::new(metrics.database_connections_max.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// A rate over a series that is not there yet misses its first increase.
    fn begin_at_zero(&self) {
        for operation in Operation::ALL {
            self.request_seconds.with_label_values(&[operation.name()]);
            for outcome in Outcome::all() {
                self.requests_total
                    .with_label_values(&[operation.name(), &outcome.name()]);
            }
        }
        for reason in TokenRefusal::ALL {
            self.tokens_refused_total
                .with_label_values(&[reason.name()]);
        }
    }

    /// Counts a token that was refused.
    pub fn token_refused(&self, reason: TokenRefusal) {
        self.tokens_refused_total
            .with_label_values(&[reason.name()])
            .inc();
    }

    /// Everything, in Prometheus' text format. The connections are those at this moment.
    pub fn text(&self, connections: Connections) -> Vec<u8> {
        for (state, count) in [("used", connections.used), ("idle", connections.idle)] {
            self.database_connections
                .with_label_values(&[state])
                .set(count.into());
        }
        self.database_connections_max.set(connections.max.into());
        for (reason, total) in sampling::dropped() {
            let shown = self.spans_dropped_total.with_label_values(&[reason]);
            shown.inc_by(total.saturating_sub(shown.get()));
        }
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot write the metrics");
        }
        text
    }
}
