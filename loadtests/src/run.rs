//! One run from start to report: goose plays the virtual users, counts, and judges its thresholds; the rest is ours.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use goose::config::GooseConfiguration;
use goose::goose::{Transaction, TransactionFunction};
use goose::metrics::GooseMetrics;
use goose::test_plan::TestPlan;
use goose::{GooseAttack, GooseError};
use log::{LevelFilter, Log, Metadata, Record};

use crate::arrivals::{Arrivals, Schedule};
use crate::html::html;
use crate::report::{ArrivalCounts, Report, Verdict};
use crate::samples::{Recorder, Samples};
use crate::scenario::{Mix, Scenario};
use crate::slo::PhaseRule;
use crate::summary::{self, Load as Planned};
use crate::target::Target;
use crate::user::{Part, Run, step};
use crate::{events, prometheus};

/// What load, and what is watched meanwhile.
pub struct Load {
    /// What the users do.
    pub scenario: Scenario,
    /// What they do in the scenario `mixed`.
    pub mix: Mix,
    /// The route that `edge` and `canary` ask for; `None`: each its own.
    pub path: Option<String>,
    /// Arrivals per second (the open model); `None`: as fast as they are answered (the closed model).
    pub arrivals: Option<f64>,
    /// Whether arrivals are a Poisson process, and not evenly spaced.
    pub poisson: bool,
    /// From which chance follows.
    pub seed: u64,
    /// The file in which others say when they broke the service.
    pub events: Option<PathBuf>,
    /// Prometheus, to ask after the run.
    pub prometheus: Option<String>,
    /// Rules on what happened before, during and after that.
    pub rules: Vec<PhaseRule>,
    /// All else is goose's.
    pub goose: GooseConfiguration,
}

/// What a run left.
pub struct Ran {
    /// For machines, and for [`crate::table`].
    pub report: Report,
    samples: Samples,
}

impl Ran {
    /// The report as a page that needs nothing else.
    pub fn html(&self) -> String {
        html(&self.report, &self.samples)
    }
}

/// How many users there are by default, in the closed model.
const USERS: usize = 10;
/// How long a run is unless told otherwise, in seconds.
const SECONDS: &str = "10";

impl Load {
    /// Fills in what goose has other defaults for, and checks what it cannot know: how many users there will be.
    ///
    /// # Errors
    /// A text that says which options do not go together.
    pub fn complete(&mut self) -> Result<usize> {
        let goose = &mut self.goose;
        // It can be read by this way alone.
        let plan = serde_json::to_value(&*goose)?["test_plan"].take();
        let plan: Option<TestPlan> = serde_json::from_value(plan)?;
        if let Some(rate) = self.arrivals {
            ensure!(
                plan.is_none()
                    && goose.iterations.is_none()
                    && goose.throttle_requests.is_none()
                    && goose.increase_rate.is_none()
                    && goose.increase_time.is_none(),
                "--arrivals sets the pace: it does not go with --test-plan, --iterations, --throttle-requests, \
                 --increase-rate or --increase-time"
            );
            ensure!(
                rate > 0.0 && rate <= 100_000.0,
                "--arrivals must be above 0 and at most 100000"
            );
            // Enough for answers that take two seconds.
            let enough = ((rate * 2.0).ceil() as usize).clamp(USERS, 1000);
            goose.users.get_or_insert(enough);
        }
        if plan.is_none() {
            goose.users.get_or_insert(USERS);
            if goose.increase_rate.is_none() && goose.increase_time.is_none() {
                // All users at once.
                goose.increase_rate = Some("1000000".into());
            }
            if goose.iterations.is_none() {
                goose.run_time.get_or_insert(SECONDS.into());
                // What happens while users start is part of the run.
                goose.no_reset_metrics = true;
            }
        }
        // No port is opened; we print a table of our own.
        goose.no_telnet = true;
        goose.no_print_metrics = goose.running_metrics.is_none();

        let users = plan.map_or(goose.users.unwrap_or(USERS), |plan| plan.total_users());
        ensure!(users >= 1, "--users must be at least 1");
        if self.scenario == Scenario::Mixed {
            let total = self.mix.total();
            ensure!(
                users >= total,
                "the weights of --mix add up to {total}, for {users} users; take more --users or smaller weights"
            );
        }
        Ok(users)
    }

    /// How long users begin requests, where that is known.
    fn seconds(&self) -> Option<usize> {
        let time = self.goose.run_time.as_deref()?;
        goose::util::parse_timespan(time)
    }

    /// The scenarios that are played, with their weights.
    fn parts(&self) -> Result<Vec<(Arc<Part>, usize)>> {
        let mix = match self.scenario {
            Scenario::Mixed => self.mix.clone(),
            alone => Mix(vec![(alone, 1)]),
        };
        let mut parts = Vec::new();
        for (number, (scenario, weight)) in mix.0.iter().copied().enumerate() {
            let arrivals = match self.arrivals {
                None => None,
                Some(rate) => {
                    let seconds = self.seconds().context("--run-time is no time span")?;
                    let rate = rate * weight as f64 / mix.total() as f64;
                    let seed = self.poisson.then(|| self.seed.wrapping_add(number as u64));
                    let length = Duration::from_secs(seconds as u64);
                    Some(Arrivals::new(Schedule::new(rate, length, seed)))
                }
            };
            parts.push((Arc::new(Part { scenario, arrivals }), weight));
        }
        Ok(parts)
    }
}

/// Puts `load` on `target` by `users` users.
///
/// # Errors
/// When the run could not start. Requests that fail are no error here: they are in the report.
pub async fn run(target: Target, load: Load, users: usize) -> Result<Ran> {
    let parts = load.parts()?;
    let target = Arc::new(target);
    let accounts = if parts.iter().any(|(part, _)| part.scenario.needs_account()) {
        eprintln!("Making {users} accounts …");
        Run::make_accounts(Arc::clone(&target), users).await?
    } else {
        Vec::new()
    };
    let (start, started_at) = (Instant::now(), SystemTime::now());
    let started_at = started_at.duration_since(UNIX_EPOCH)?.as_secs_f64();
    let run = Arc::new(Run {
        target,
        path: load.path.clone(),
        recorder: Recorder::new(start),
        accounts,
    });
    let metrics = attack(&load, &parts, &run).await?;
    let ended = start.elapsed();

    let samples = run.recorder.take();
    let mut problems = Vec::new();
    let faults = match &load.events {
        None => Vec::new(),
        Some(file) => events::read(file, started_at).unwrap_or_else(|error| {
            problems.push(format!("{error:#}"));
            Vec::new()
        }),
    };
    let mut thresholds: Vec<Verdict> = (metrics.thresholds.iter())
        .map(|result| Verdict {
            rule: result.rule.clone(),
            observed: result.observed.clone(),
            passed: result.passed,
        })
        .collect();
    thresholds.extend(load.rules.iter().map(|rule| rule.judge(&samples, &faults)));
    let planned = load
        .seconds()
        .map(|seconds| Duration::from_secs(seconds as u64));
    let mut report = summary::report(
        &samples,
        &metrics,
        Planned {
            elapsed: planned.map_or(ended, |planned| planned.min(ended)),
            faults,
            thresholds,
            problems,
            arrivals: arrivals(&load, &parts).await,
            interrupted: goose::is_killswitch_triggered()
                && !metrics.thresholds.iter().any(|result| result.aborted),
        },
    );
    report.scenario = load.scenario.name();
    report.url = run.target.url().into();
    report.users = users;
    report.rate_limit = load.goose.throttle_requests.filter(|rate| *rate > 0);
    report.seed = load.seed;
    report.started_at = (started_at * 1000.0).round() / 1000.0;
    if let Some(url) = &load.prometheus {
        let seen = prometheus::ask(url, started_at, report.elapsed_seconds).await;
        report.monitoring = Some(seen);
    }
    Ok(Ran { report, samples })
}

/// What became of all schedules.
async fn arrivals(load: &Load, parts: &[(Arc<Part>, usize)]) -> Option<ArrivalCounts> {
    let mut counts = ArrivalCounts {
        per_second: load.arrivals?,
        poisson: load.poisson,
        scheduled: 0,
        taken: 0,
        longest_wait_ms: 0.0,
    };
    for arrivals in parts.iter().filter_map(|(part, _)| part.arrivals.as_ref()) {
        let left = arrivals.end().await;
        let taken = arrivals.taken.load(Ordering::Relaxed);
        counts.taken += taken;
        counts.scheduled += taken + left;
        let wait = arrivals.longest_wait.load(Ordering::Relaxed) as f64 / 1000.0;
        counts.longest_wait_ms = counts.longest_wait_ms.max(wait);
    }
    Some(counts)
}

/// Lets goose start the users, end them, and wait for their last answers.
async fn attack(load: &Load, parts: &[(Arc<Part>, usize)], run: &Arc<Run>) -> Result<GooseMetrics> {
    if load.goose.verbose == 0 && load.goose.goose_log.is_none() {
        // goose logs every failed request to standard output unless another logger is there first.
        let _ = log::set_logger(&Silence);
        log::set_max_level(LevelFilter::Off);
    }
    let mut goose = load.goose.clone();
    goose.host = Some(run.target.url().into());
    let mut attack = GooseAttack::initialize_with_config(goose)?;
    for (part, weight) in parts {
        let mut scenario =
            goose::goose::Scenario::new(&part.scenario.name()).set_weight(*weight)?;
        for (number, operation) in part.scenario.steps().iter().enumerate() {
            let (run, part) = (Arc::clone(run), Arc::clone(part));
            let function: TransactionFunction = Arc::new(move |user| {
                let (run, part) = (Arc::clone(&run), Arc::clone(&part));
                Box::pin(step(run, part, number, user))
            });
            scenario = scenario
                .register_transaction(Transaction::new(function).set_name(operation.name()));
        }
        attack = attack.register_scenario(scenario);
    }
    match attack.execute().await {
        Ok(metrics) => Ok(metrics),
        Err(GooseError::ThresholdsFailed { metrics, .. }) => Ok(*metrics.0),
        Err(GooseError::InvalidOption { option, detail, .. }) => {
            bail!("{}: {detail}", option.replace("configuration.", ""))
        }
        Err(error) => Err(error).context("the load could not be started"),
    }
}

struct Silence;

impl Log for Silence {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn log(&self, _: &Record<'_>) {}
    fn flush(&self) {}
}
