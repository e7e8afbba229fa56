//! A bounded pool for password hashing, the one expensive thing this service does.
//!
//! A hash fills 128 MiB and a core for a quarter of a second, so only `concurrent_hashes` run at once, on blocking
//! threads; everybody else waits in line without holding up cheap requests. A caller that goes away leaves the line.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use crate::error::AuthError;
use crate::metrics::Metrics;
use crate::password::{HashError, Hasher, Password};

/// Hands out permits to hash.
pub struct HashPool {
    permits: Arc<Semaphore>,
    hasher: Hasher,
    metrics: Arc<Metrics>,
}

/// The right to hash. The slot is free again when the permit is dropped and its last hash has ended.
pub struct HashPermit {
    // Shared with the blocking task: a hash whose caller went away still fills its memory until it ends.
    slot: Arc<OwnedSemaphorePermit>,
    hasher: Hasher,
    metrics: Arc<Metrics>,
}

impl HashPool {
    /// A pool in which `concurrent` hashes run at once.
    pub fn new(hasher: Hasher, concurrent: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(concurrent)),
            hasher,
            metrics,
        }
    }

    /// Waits in line, first come first served.
    ///
    /// # Errors
    /// [`AuthError::Internal`] if the pool is closed, which nothing does.
    pub async fn permit(&self) -> Result<HashPermit, AuthError> {
        let waiting = self.metrics.hash_queue_seconds.start_timer();
        let slot = Arc::clone(&self.permits)
            .acquire_owned()
            .instrument(tracing::info_span!("wait for hash"))
            .await
            .map_err(|error| AuthError::Internal(error.into()))?;
        waiting.observe_duration();
        Ok(HashPermit {
            slot: Arc::new(slot),
            hasher: self.hasher,
            metrics: Arc::clone(&self.metrics),
        })
    }
}

impl HashPermit {
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
        let hashing = tokio::task::spawn_blocking(move || {
            metrics.hashes_total.inc();
            metrics.hashes_in_flight.inc();
            let started = Instant::now();
            let result = work();
            metrics
                .hash_seconds
                .observe(started.elapsed().as_secs_f64());
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
