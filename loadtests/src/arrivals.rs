//! The open model: arrivals on a schedule that does not wait for answers.
//!
//! A user who is free takes the next arrival. Its latency counts from when it was due, so who had to wait for a user
//! that was itself kept waiting by the service counts that wait, too: a stall shows in the percentiles at its full
//! length ("coordinated omission" is what hides it in a closed model).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How often the schedule looks whether the run was ended.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// When arrivals are due, as offsets from the start.
pub(crate) struct Schedule {
    per_second: f64,
    length: Duration,
    /// `None`: evenly spaced.
    random: Option<fastrand::Rng>,
    next: Duration,
}

impl Schedule {
    /// `per_second` arrivals for `length`, evenly spaced, or by a Poisson process that follows from `seed`.
    pub(crate) fn new(per_second: f64, length: Duration, seed: Option<u64>) -> Self {
        Self {
            per_second,
            length,
            random: seed.map(fastrand::Rng::with_seed),
            next: Duration::ZERO,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let due = self.next;
        // The gaps of a Poisson process are exponential: by inversion, of a number above 0.
        let gaps = self
            .random
            .as_mut()
            .map_or(1.0, |random| -(1.0 - random.f64()).ln());
        self.next += Duration::from_secs_f64(gaps / self.per_second);
        (due < self.length).then_some(due)
    }
}

/// What users who are free take arrivals from.
pub(crate) struct Arrivals {
    queue: Mutex<UnboundedReceiver<Instant>>,
    start: OnceLock<()>,
    waiting: Arc<Waiting>,
    pub(crate) taken: AtomicU64,
    /// The longest that an arrival waited for a free user, in microseconds.
    pub(crate) longest_wait: AtomicU64,
}

/// What the thread that keeps the schedule needs, until it starts.
struct Waiting {
    schedule: std::sync::Mutex<Option<(Schedule, UnboundedSender<Instant>)>>,
    over: AtomicBool,
}

impl Arrivals {
    /// The schedule begins when the first user asks for an arrival.
    pub(crate) fn new(schedule: Schedule) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self {
            queue: Mutex::new(receiver),
            start: OnceLock::new(),
            waiting: Arc::new(Waiting {
                schedule: std::sync::Mutex::new(Some((schedule, sender))),
                over: AtomicBool::new(false),
            }),
            taken: AtomicU64::new(0),
            longest_wait: AtomicU64::new(0),
        }
    }

    /// Waits for the next arrival: when it was due. `None` when there are no more.
    pub(crate) async fn next(&self) -> Option<Instant> {
        self.start.get_or_init(|| {
            let waiting = Arc::clone(&self.waiting);
            // A thread, as its timer is twenty times finer than that of tokio.
            thread::spawn(move || waiting.keep());
        });
        let due = self.queue.lock().await.recv().await?;
        if goose::is_killswitch_triggered() {
            return None;
        }
        let waited = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.longest_wait.fetch_max(waited, Ordering::Relaxed);
        Some(due)
    }

    /// Ends the schedule, and counts the arrivals that nobody took.
    pub(crate) async fn end(&self) -> u64 {
        self.waiting.over.store(true, Ordering::Relaxed);
        let schedule = self.waiting.schedule.lock().expect("no panic").take();
        // Never begun: nobody asked.
        if let Some((schedule, _)) = schedule {
            return schedule.count() as u64;
        }
        let mut left = 0;
        let mut queue = self.queue.lock().await;
        while queue.recv().await.is_some() {
            left += 1;
        }
        left
    }
}

impl Waiting {
    fn keep(&self) {
        let start = Instant::now();
        let Some((schedule, sender)) = self.schedule.lock().expect("no panic").take() else {
            return;
        };
        for offset in schedule {
            let due = start + offset;
            // What is due after the run counts as not taken, and is not waited for.
            while !self.over.load(Ordering::Relaxed) {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                if goose::is_killswitch_triggered() {
                    return;
                }
                thread::sleep(left.min(POLL_INTERVAL));
            }
            if sender.send(due).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_is_evenly_spaced_and_complete() {
        let schedule = Schedule::new(4.0, Duration::from_secs(1), None);
        let due: Vec<_> = schedule.map(|due| due.as_millis()).collect();
        assert_eq!(due, [0, 250, 500, 750]);
    }

    #[test]
    fn a_poisson_process_has_its_mean_and_spread_and_follows_from_its_seed() {
        let due = |seed| -> Vec<f64> {
            let schedule = Schedule::new(100.0, Duration::from_secs(200), Some(seed));
            schedule.map(|due| due.as_secs_f64()).collect()
        };
        let times = due(7);
        assert_eq!(times, due(7));
        assert_ne!(times, due(8));
        // 20,000 expected, with a standard deviation of 141; gaps have their mean as standard deviation.
        assert!((19_400..=20_600).contains(&times.len()), "{}", times.len());
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn arrivals_come_when_they_are_due_and_those_that_nobody_took_are_counted() {
        let arrivals = Arrivals::new(Schedule::new(100.0, Duration::from_millis(200), None));
        let first = arrivals.next().await.unwrap();
        let second = arrivals.next().await.unwrap();
        assert_eq!(second - first, Duration::from_millis(10));
        assert!(Instant::now() >= second);
        assert_eq!(arrivals.end().await, 18);
        assert_eq!(arrivals.taken.load(Ordering::Relaxed), 2);
        let never = Arrivals::new(Schedule::new(100.0, Duration::from_millis(200), None));
        assert_eq!(never.end().await, 20);
    }
}
