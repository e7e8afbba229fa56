//! A bounded pool for password hashing, the one expensive thing this service does.
//!
//! A hash fills 128 MiB and a core for a quarter of a second, so only `concurrent_hashes` run at once, on blocking
//! threads; everybody else waits in line without holding up cheap requests. A caller that goes away leaves the line.
//!
//! The line is bounded by time, not by length: who cannot begin before the deadline is sent away at once, which costs next
//! to nothing, instead of being kept until they give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use crate::error::AuthError;
use crate::metrics::Metrics;
use crate::password::{HashError, Hasher, Password};

/// Hands out permits to hash.
pub struct HashPool {
    permits: Arc<Semaphore>,
    hasher: Hasher,
    line: Arc<Line>,
    metrics: Arc<Metrics>,
}

/// Who waits, and how fast the line moves.
struct Line {
    /// Hashes that run at once.
    width: u32,
    /// Longest wait.
    deadline: Duration,
    waiting: AtomicU32,
    /// `waiting`, for people to see.
    shown: IntGauge,
    /// How long a hash takes of late, in microseconds; 0 before the first.
    hash_micros: AtomicU64,
}

impl Line {
    /// How long the last of `waiting` will wait until it begins.
    fn wait(&self, waiting: u32) -> Duration {
        let rounds = waiting.div_ceil(self.width);
        Duration::from_micros(self.hash_micros.load(Ordering::Relaxed)) * rounds
    }

    /// Counts a hash in: each changes the average by a quarter, so that it follows the machine's load.
    fn took(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let before = self.hash_micros.load(Ordering::Relaxed);
        let after = if before == 0 {
            time
        } else {
            before - before / 4 + time / 4
        };
        self.hash_micros.store(after, Ordering::Relaxed);
    }

    fn overloaded(&self) -> AuthError {
        let wait = self.wait(self.waiting.load(Ordering::Relaxed));
        AuthError::Overloaded {
            retry_after_seconds: wait.as_secs().clamp(1, 60),
        }
    }
}

/// A place in the line. It is given up when dropped, which is also how a caller that goes away leaves.
struct Place<'a>(&'a Line, u32);

impl<'a> Place<'a> {
    fn take(line: &'a Line) -> Self {
        line.shown.inc();
        Self(line, line.waiting.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.shown.dec();
    }
}

/// The right to hash. The slot is free again when the permit is dropped and its last hash has ended.
pub struct HashPermit {
    // Shared with the blocking task: a hash whose caller went away still fills its memory until it ends.
    slot: Arc<OwnedSemaphorePermit>,
    hasher: Hasher,
    line: Arc<Line>,
    metrics: Arc<Metrics>,
}

impl HashPool {
    /// A pool in which `concurrent` hashes run at once, and nobody waits longer than `deadline`.
    pub fn new(hasher: Hasher, concurrent: u32, deadline: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(concurrent as usize)),
            line: Arc::new(Line {
                width: concurrent,
                deadline,
                waiting: AtomicU32::new(0),
                shown: metrics.hashes_waiting.clone(),
                hash_micros: AtomicU64::new(0),
            }),
            hasher,
            metrics,
        }
    }

    /// Waits in line, first come first served.
    ///
    /// # Errors
    /// [`AuthError::Overloaded`], at once if the deadline cannot be kept, else when it has passed; [`AuthError::Internal`] if the pool is closed, which nothing does.
    pub async fn permit(&self) -> Result<HashPermit, AuthError> {
        let place = Place::take(&self.line);
        if self.permits.available_permits() == 0 && self.line.wait(place.1) > self.line.deadline {
            self.metrics.hashes_refused_total.inc();
            return Err(self.line.overloaded());
        }
        let waiting = self.metrics.hash_queue_seconds.start_timer();
        let turn = Arc::clone(&self.permits)
            .acquire_owned()
            .instrument(tracing::info_span!("wait for hash"));
        let slot = match tokio::time::timeout(self.line.deadline, turn).await {
            Ok(slot) => slot.map_err(|error| AuthError::Internal(error.into()))?,
            Err(_) => {
                self.metrics.hashes_refused_total.inc();
                return Err(self.line.overloaded());
            }
        };
        waiting.observe_duration();
        Ok(HashPermit {
            slot: Arc::new(slot),
            hasher: self.hasher,
            line: Arc::clone(&self.line),
            metrics: Arc::clone(&self.metrics),
        })
    }
}

impl HashPermit {
    /// See [`Hasher::is_outdated`].
    pub fn is_outdated(&self, stored: &str) -> bool {
        self.hasher.is_outdated(stored)
    }

    /// The PHC string of a new password.
    ///
    /// # Errors
    /// [`AuthError::Internal`]
    pub async fn hash(&self, password: &Arc<Password>) -> Result<String, AuthError> {
        let (hasher, password) = (self.hasher, Arc::clone(password));
        self.run(move || hasher.hash(&password)).await
    }

    /// Whether the password is the stored one. With no stored hash the work is the same and the answer is no.
    ///
    /// # Errors
    /// [`AuthError::Internal`] if the stored hash is broken or asks for too much work
    pub async fn verify(
        &self,
        password: &Arc<Password>,
        stored: Option<String>,
    ) -> Result<bool, AuthError> {
        let (hasher, password) = (self.hasher, Arc::clone(password));
        let stored = stored.unwrap_or_else(|| hasher.unmatchable());
        self.run(move || hasher.verify(&password, &stored)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let (slot, metrics) = (Arc::clone(&self.slot), Arc::clone(&self.metrics));
        let line = Arc::clone(&self.line);
        let hashing = tokio::task::spawn_blocking(move || {
            metrics.hashes_total.inc();
            metrics.hashes_in_flight.inc();
            let started = Instant::now();
            let result = work();
            metrics
                .hash_seconds
                .observe(started.elapsed().as_secs_f64());
            line.took(started.elapsed());
            metrics.hashes_in_flight.dec();
            drop(slot);
            result
        });
        hashing
            .instrument(tracing::info_span!("hash"))
            .await
            .map_err(|error| AuthError::Internal(error.into()))?
            .map_err(|error| AuthError::Internal(error.into()))
    }
}
