//! One run from start to report: goose plays the virtual users, the clock and Ctrl-C end it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use goose::GooseAttack;
use goose::config::GooseConfiguration;
use goose::goose::{Scenario, Transaction, TransactionFunction};
use log::{LevelFilter, Log, Metadata, Record};

use crate::pace::Pace;
use crate::progress;
use crate::recorder::{Counts, Recorder};
use crate::report::Report;
use crate::session::{self, Run};
use crate::target::Target;

/// How much load, and for how long.
pub struct Load {
    /// Requests per second over all users at most; `None`: as fast as they are answered.
    pub rate: Option<u32>,
    /// How long users begin requests, in seconds. Answers still under way then are waited for.
    pub seconds: u64,
}

/// Puts `load` on `target` with the scenario `session`, showing progress on standard error.
///
/// # Errors
/// When the run could not start. Requests that fail are no error here: they are in the report.
pub async fn run(target: &Target, load: &Load) -> Result<Report> {
    let (start, started_at) = (Instant::now(), SystemTime::now());
    let run = Arc::new(Run {
        endpoint: target.endpoint(),
        clients: target.clients(),
        pace: Pace::new(start, Duration::from_secs(load.seconds), load.rate),
        recorder: Recorder::new(start),
    });
    let progress = tokio::spawn(progress::show(Arc::clone(&run), load.seconds));
    let attacked = attack(target, load, Arc::clone(&run)).await;
    progress.abort();
    progress::clear();
    attacked?;

    let elapsed = start.elapsed().min(Duration::from_secs(load.seconds));
    Ok(Report {
        interrupted: goose::is_killswitch_triggered(),
        url: target.url().into(),
        users: target.users(),
        rate_limit: load.rate,
        planned_seconds: load.seconds,
        started_at: started_at.duration_since(UNIX_EPOCH)?.as_secs(),
        ..summary(&run.recorder.counts(), elapsed)
    })
}

/// The report on what was counted in a run of `elapsed`, or longer where the last answer came later.
pub(crate) fn summary(counts: &Counts, elapsed: Duration) -> Report {
    let elapsed = elapsed.max(counts.last).as_secs_f64();
    Report {
        version: Report::VERSION,
        passed: counts.requests > 0 && counts.failed == 0,
        interrupted: false,
        scenario: "session".into(),
        url: String::new(),
        users: 0,
        rate_limit: None,
        planned_seconds: 0,
        started_at: 0,
        elapsed_seconds: (elapsed * 1000.0).round() / 1000.0,
        requests: counts.requests,
        failed: counts.failed,
        requests_per_second: (counts.requests as f64 / elapsed * 10.0).round() / 10.0,
        operations: counts.operations(),
        nodes: counts.nodes.clone(),
        failures: counts.failures(),
        timeline: counts.timeline.clone(),
    }
}

/// Lets goose start the users, end them, and wait for their last answers.
async fn attack(target: &Target, load: &Load, run: Arc<Run>) -> Result<()> {
    // goose logs every failed request to standard output unless another logger is there first.
    let _ = log::set_logger(&Silence);
    log::set_max_level(LevelFilter::Off);

    let iteration: TransactionFunction = Arc::new(move |user| {
        let run = Arc::clone(&run);
        let index = user.weighted_users_index;
        Box::pin(async move {
            session::iterate(&run, index).await;
            Ok(())
        })
    });
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(target.url().into());
    configuration.users = Some(target.users());
    // All users at once.
    configuration.increase_rate = Some("1000000".into());
    configuration.run_time = Some(load.seconds.to_string());
    // We count ourselves, and open no port.
    configuration.no_metrics = true;
    configuration.no_telnet = true;
    GooseAttack::initialize_with_config(configuration)?
        .register_scenario(
            Scenario::new("session").register_transaction(Transaction::new(iteration)),
        )
        .execute()
        .await
        .context("the load could not be started")?;
    Ok(())
}

struct Silence;

impl Log for Silence {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn log(&self, _: &Record<'_>) {}
    fn flush(&self) {}
}
