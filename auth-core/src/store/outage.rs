//! Since when the database has been away: a standby that takes over is there within seconds, and who can wait for it may.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Pools, Store, StoreError};

/// How long an outage may last for requests to wait for its end. After that they are told at once: those who wait take up room.
/// Less than a gateway waits for an answer.
pub const BRIEF_OUTAGE: Duration = Duration::from_secs(6);

/// When the outage began that goes on; none while the database answers.
#[derive(Default)]
pub(super) struct Outage(Mutex<Option<Instant>>);

impl Outage {
    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what came of a query.
    pub(super) fn note<T>(&self, result: &Result<T, StoreError>) {
        let mut since = self.since();
        match result {
            Err(StoreError::Unavailable(_)) => {
                since.get_or_insert_with(Instant::now);
            }
            _ => *since = None,
        }
    }

    fn is_brief(&self) -> bool {
        self.since()
            .is_none_or(|since| since.elapsed() < BRIEF_OUTAGE)
    }
}

impl Store {
    /// Whether a query that failed as `UNAVAILABLE` may succeed soon. A server restarts or has a standby; a file does not.
    pub fn is_away_briefly(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_)) && self.outage.is_brief()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_brief_until_it_has_lasted_and_the_next_one_is_again() {
        let outage = Outage::default();
        let away = || Err::<(), _>(StoreError::Unavailable("away".into()));
        assert!(outage.is_brief());
        outage.note(&away());
        assert!(outage.is_brief());
        // As if it had begun longer ago; what fails later does not begin another one.
        *outage.since() = Instant::now().checked_sub(BRIEF_OUTAGE);
        outage.note(&away());
        assert!(!outage.is_brief());
        outage.note(&Err::<(), _>(StoreError::Conflict));
        outage.note(&away());
        assert!(outage.is_brief());
    }
}
