//! A bounded pool for password hashing, the one expensive thing this service does.
//!
//! A hash fills 128 MiB and a core for a quarter of a second, so only `concurrent_hashes` run at once, on blocking
//! threads; everybody else waits in a queue without holding up cheap requests. A caller that goes away leaves it.
//!
//! The queue is fair between clients, so that a flood from one address delays the others by no more than the hash that it
//! is at. And it is bounded by time, not by length: who cannot begin before the deadline is refused at once (load
//! shedding), which costs next to nothing, instead of being kept until they give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tracing::Instrument;

use super::fair_queue::{FairQueue, Slot};
use crate::caller::{Caller, Client};
use crate::error::AuthError;
use crate::operation::Executed;
use crate::passwords::{HashError, Hasher, Password};
use crate::telemetry::metrics::Metrics;

/// Hands out permits to hash.
pub struct HashPool {
    queue: Arc<FairQueue<Client>>,
    hasher: Hasher,
    pace: Arc<Pace>,
    /// Longest wait.
    deadline: Duration,
    metrics: Arc<Metrics>,
}

/// How fast the queue moves.
struct Pace {
    /// Hashes that run at once.
    width: usize,
    /// How long a hash takes of late, in microseconds; 0 before the first.
    hash_micros: AtomicU64,
}

impl Pace {
    /// How long who has this place in the queue, from 1, will wait until it begins.
    fn wait(&self, place: usize) -> Duration {
        let rounds = u32::try_from(place.div_ceil(self.width)).unwrap_or(u32::MAX);
        Duration::from_micros(self.hash_micros.load(Ordering::Relaxed)).saturating_mul(rounds)
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
}

/// Shows one more in the queue for as long as it lives.
struct Waiting<'a>(&'a IntGauge);

impl<'a> Waiting<'a> {
    fn new(shown: &'a IntGauge) -> Self {
        shown.inc();
        Self(shown)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The right to hash. The slot is free again when the permit is dropped and its last hash has ended.
pub struct HashPermit {
    // Shared with the blocking task: a hash whose caller went away still fills its memory until it ends.
    slot: Arc<Slot<Client>>,
    executed: Arc<Executed>,
    hasher: Hasher,
    pace: Arc<Pace>,
    metrics: Arc<Metrics>,
}

impl HashPool {
    /// A pool in which `concurrent` hashes run at once, and nobody waits longer than `deadline`.
    pub fn new(hasher: Hasher, concurrent: u32, deadline: Duration, metrics: Arc<Metrics>) -> Self {
        let width = concurrent as usize;
        Self {
            queue: Arc::new(FairQueue::new(width)),
            pace: Arc::new(Pace {
                width,
                hash_micros: AtomicU64::new(0),
            }),
            deadline,
            hasher,
            metrics,
        }
    }

    /// Waits for a turn: clients take turns, and of one client's requests the first to come is the first to be served.
    ///
    /// # Errors
    /// [`AuthError::Overloaded`], at once if the deadline cannot be kept, else when it has passed; [`AuthError::Internal`] if
    /// the queue is gone, which does not happen.
    pub async fn permit(&self, caller: &Caller) -> Result<HashPermit, AuthError> {
        let wait = self.pace.wait(self.queue.next_place(caller.client));
        let overloaded = || {
            self.metrics.hashes_refused_total.inc();
            AuthError::Overloaded {
                retry_after_seconds: wait.as_secs().clamp(1, 60),
            }
        };
        if wait > self.deadline {
            return Err(overloaded());
        }
        let timer = self.metrics.hash_queue_seconds.start_timer();
        let waiting = Waiting::new(&self.metrics.hashes_waiting);
        let turn = self
            .queue
            .enter(caller.client)
            .instrument(tracing::info_span!("wait for hash"));
        let slot = match tokio::time::timeout(self.deadline, turn).await {
            Ok(slot) => slot.ok_or_else(|| AuthError::Internal("the queue is gone".into()))?,
            Err(_) => return Err(overloaded()),
        };
        drop(waiting);
        timer.observe_duration();
        Ok(HashPermit {
            slot: Arc::new(slot),
            executed: Arc::clone(&caller.executed),
            hasher: self.hasher,
            pace: Arc::clone(&self.pace),
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
        let pace = Arc::clone(&self.pace);
        self.executed.count_hash();
        let hashing = tokio::task::spawn_blocking(move || {
            metrics.hashes_total.inc();
            metrics.hashes_in_flight.inc();
            let started = Instant::now();
            let result = work();
            metrics
                .hash_seconds
                .observe(started.elapsed().as_secs_f64());
            pace.took(started.elapsed());
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::task::{Context, Poll, Waker};

    use scrypt::Params;

    use super::*;

    /// Two hashes at a time, of which each takes next to nothing, and a second to wait.
    fn pool() -> HashPool {
        let hasher = Hasher::new(Params::new(1, 1, 1).unwrap());
        let metrics = Arc::new(Metrics::new("auth1").unwrap());
        HashPool::new(hasher, 2, Duration::from_secs(1), metrics)
    }

    fn caller(number: u8) -> Caller {
        let address = IpAddr::from([192, 0, 2, number]);
        Caller {
            bearer: None,
            idempotency_key: None,
            address,
            client: Client::at(address),
            executed: Arc::default(),
        }
    }

    /// What somebody is told who comes now: none while they wait.
    fn told_at_once(pool: &HashPool, caller: &Caller) -> Option<Result<HashPermit, AuthError>> {
        let mut asking = Box::pin(pool.permit(caller));
        match asking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn who_would_begin_too_late_is_told_at_once_and_who_would_not_waits() {
        let pool = pool();
        let _hashing = [
            pool.permit(&caller(1)).await.ok(),
            pool.permit(&caller(2)).await.ok(),
        ];
        let caller = caller(3);
        // Of two at a time the next waits for a whole hash, as long as it takes of late.
        for (took, is_told) in [(1000, false), (5000, true)] {
            pool.pace.hash_micros.store(0, Ordering::Relaxed);
            pool.pace.took(Duration::from_millis(took));
            let told = told_at_once(&pool, &caller);
            let refused = matches!(told, Some(Err(AuthError::Overloaded { .. })));
            assert_eq!(refused, is_told, "a hash takes {took} ms");
            assert_eq!(told.is_some(), is_told, "a hash takes {took} ms");
        }
    }

    #[test]
    fn a_hash_changes_the_average_by_a_quarter_and_whoever_waits_does_so_for_whole_rounds() {
        let pace = pool().pace;
        for (took, expected) in [(1000, 1000), (2000, 1250), (250, 1000), (1000, 1000)] {
            pace.took(Duration::from_millis(took));
            let waits = [1, 2, 3, 5].map(|place| pace.wait(place).as_millis());
            assert_eq!(waits, [1, 1, 2, 3].map(|rounds| rounds * expected));
        }
    }

    #[tokio::test]
    async fn each_hash_tells_how_long_the_next_will_take() {
        let pool = pool();
        let permit = pool.permit(&caller(1)).await.unwrap();
        let password = Arc::new(Password::new("whatever it is".to_owned()));
        assert_eq!(pool.pace.wait(1), Duration::ZERO);
        permit.hash(&password).await.unwrap();
        assert!(pool.pace.wait(1) > Duration::ZERO);
    }
}
