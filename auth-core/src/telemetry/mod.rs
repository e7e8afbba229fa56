//! Where logs and spans go, and what is counted.

pub mod metrics;
pub mod request_trace;
pub mod sampling;
pub mod zipkin;

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Config, ConfigError, LogFormat, LogLevel};

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
    let provider = zipkin::exporter(config)?.map(|exporter| {
        let ratio = config.tracing.sample_ratio;
        SdkTracerProvider::builder()
            .with_span_processor(sampling::processor(exporter, ratio))
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
