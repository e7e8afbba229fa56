//! Which spans leave the node, and how many are lost.
//!
//! A share of all traces is exported, and of the others each request that failed by our fault, or was shed. What a request comes to is known at
//! its end, so until then the spans of a trace that is not in the share are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, Status, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

/// Spans that wait to be exported. Those that come when so many do are lost.
const QUEUE: usize = 4096;

/// Traces whose requests have not ended, and spans of each. More are lost.
const UNDECIDED: usize = 1000;
const SPANS: usize = 32;

static QUEUE_FULL: AtomicU64 = AtomicU64::new(0);
static EXPORT_FAILED: AtomicU64 = AtomicU64::new(0);

/// How many spans of this process were lost, by reason.
pub fn dropped() -> [(&'static str, u64); 2] {
    [
        ("queue_full", QUEUE_FULL.load(Relaxed)),
        ("export_failed", EXPORT_FAILED.load(Relaxed)),
    ]
}

/// Whether a trace is in the share that is exported: by its id, so that all who see it decide alike.
pub fn is_sampled(trace: TraceId, ratio: f64) -> bool {
    let [.., a, b, c, d] = trace.to_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) < ratio * 2_f64.powi(32)
}

/// What takes spans to `exporter` in batches, from a thread of its own: of `ratio` of all traces, and of each request
/// that failed.
pub(super) fn processor(exporter: impl SpanExporter + 'static, ratio: f64) -> impl SpanProcessor {
    let waiting = Arc::new(AtomicUsize::new(0));
    let batch = BatchConfigBuilder::default()
        // It is never full: what is too much does not get there.
        .with_max_queue_size(2 * QUEUE)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let counted = Counted {
        exporter,
        waiting: Arc::clone(&waiting),
    };
    Sampling {
        batches: BatchSpanProcessor::builder(counted)
            .with_batch_config(batch)
            .build(),
        waiting,
        ratio,
        undecided: Mutex::default(),
    }
}

/// Counts what leaves the queue, and what does not arrive.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Relaxed);
        let exported = self.exporter.export(batch).await;
        if exported.is_err() {
            EXPORT_FAILED.fetch_add(spans as u64, Relaxed);
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[derive(Debug)]
struct Sampling {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    ratio: f64,
    undecided: Mutex<Undecided>,
}

impl Sampling {
    fn export(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Relaxed) < QUEUE {
            self.batches.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Relaxed);
            QUEUE_FULL.fetch_add(1, Relaxed);
        }
    }
}

impl SpanProcessor for Sampling {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let trace = span.span_context.trace_id();
        if is_sampled(trace, self.ratio) {
            return self.export(span);
        }
        let mut undecided = self
            .undecided
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if span.span_kind != SpanKind::Server {
            return undecided.keep(trace, span);
        }
        let others = undecided.take(trace);
        drop(undecided);
        if matches!(span.status, Status::Error { .. }) {
            for span in others.into_iter().chain([span]) {
                self.export(span);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The spans of requests that have not ended.
#[derive(Debug, Default)]
struct Undecided {
    spans: HashMap<TraceId, Vec<SpanData>>,
    /// The traces among them, and some that were decided since, oldest first.
    order: VecDeque<TraceId>,
}

impl Undecided {
    fn keep(&mut self, trace: TraceId, span: SpanData) {
        if !self.spans.contains_key(&trace) {
            // What a request began may end after it, and then nobody decides.
            if self.order.len() == UNDECIDED
                && let Some(oldest) = self.order.pop_front()
            {
                self.spans.remove(&oldest);
            }
            self.order.push_back(trace);
        }
        let spans = self.spans.entry(trace).or_default();
        if spans.len() < SPANS {
            spans.push(span);
        }
    }

    fn take(&mut self, trace: TraceId) -> Vec<SpanData> {
        self.spans.remove(&trace).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

    #[test]
    fn a_ratio_of_all_traces_is_in_the_share() {
        let ids: Vec<_> = (0..10_000)
            .map(|_| RandomIdGenerator::default().new_trace_id())
            .collect();
        let share = |ratio| ids.iter().filter(|id| is_sampled(**id, ratio)).count();
        assert_eq!((share(0.0), share(1.0)), (0, ids.len()));
        assert!((2_200..2_800).contains(&share(0.25)), "{}", share(0.25));
    }
}
