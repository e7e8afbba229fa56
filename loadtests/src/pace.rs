//! When the next request may go: an even schedule over all users, and the end of the run.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// How often a waiting user looks whether the run has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Turns at most every `1/rate` seconds, until the run ends. A turn that nobody takes is not made up for later,
/// so there are no bursts after a stall.
pub(crate) struct Pace {
    ends: Instant,
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// A run of `length` from `start` with at most `rate` turns a second (`None`: no limit).
    pub(crate) fn new(start: Instant, length: Duration, rate: Option<u32>) -> Self {
        Self {
            ends: start + length,
            interval: rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate),
            next: Mutex::new(start),
        }
    }

    /// Waits for the caller's turn; `false` when the run ended first.
    pub(crate) async fn turn(&self) -> bool {
        let mine = self.claim(Instant::now());
        loop {
            let now = Instant::now();
            if now >= self.ends || goose::is_killswitch_triggered() {
                return false;
            }
            if now >= mine {
                return true;
            }
            sleep((mine - now).min(POLL_INTERVAL)).await;
        }
    }

    fn claim(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().expect("no panic while locked");
        let mine = (*next).max(now);
        *next = mine + self.interval;
        mine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_evenly_spaced_and_missed_ones_are_not_made_up_for() {
        let start = Instant::now();
        let pace = Pace::new(start, Duration::from_secs(60), Some(10));
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pace.claim(start), at(0));
        assert_eq!(pace.claim(start), at(100));
        assert_eq!(pace.claim(at(150)), at(200));
        assert_eq!(pace.claim(at(5000)), at(5000));
        assert_eq!(pace.claim(at(5000)), at(5100));
    }

    #[test]
    fn without_a_rate_every_turn_is_now() {
        let start = Instant::now();
        let pace = Pace::new(start, Duration::from_secs(60), None);
        assert_eq!(pace.claim(start), start);
        assert_eq!(pace.claim(start), start);
    }

    #[tokio::test]
    async fn there_is_no_turn_after_the_end() {
        let pace = Pace::new(Instant::now(), Duration::ZERO, None);
        assert!(!pace.turn().await);
    }
}
