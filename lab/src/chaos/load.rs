//! The load under which faults are done: `authload` in the open model, and what it reported.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::stage::{Stage, Whose};
use crate::{process::Process, programs, stack::log_end};

/// What users do: most have a token already.
const MIX: &str = "verify=10,refresh=5,session=1,log-in=1,edge=3";
/// Users for each arrival a second: as many as a hanging node can hold up, and more.
const USERS_PER_ARRIVAL: u32 = 3;
/// The longest that faults may take; the run is ended when they are over.
const LONGEST: &str = "600";
/// How long the accounts of all users may take.
const ACCOUNTS: Duration = Duration::from_secs(180);

/// What load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Arrivals per second.
    pub rate: u32,
    /// Whether all that users do is done, or tokens are verified alone.
    pub mixed: bool,
    /// How long users wait for an answer, in seconds.
    pub patience: u32,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Running {
    process: Process,
    log: PathBuf,
    report: PathBuf,
    events: PathBuf,
}

/// What of authload's report is looked at here; `docs/how-to/load-test.md` has the rest.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Why it has not passed.
    pub problems: Vec<String>,
    /// What became of the schedule; none where it was not begun.
    pub arrivals: Option<Arrivals>,
    /// Requests that succeeded or failed.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Before, during and after.
    pub phases: Vec<Phase>,
    /// By the kind of request.
    pub operations: Vec<Operation>,
    /// What failed, and why.
    pub failures: Vec<Failure>,
}

/// The schedule of the open model.
#[derive(Debug, Deserialize)]
pub struct Arrivals {
    /// How many were due.
    pub scheduled: u64,
    /// How many of them a user took.
    pub taken: u64,
}

/// The requests of a phase.
#[derive(Debug, Deserialize)]
pub struct Phase {
    /// `before`, `during` or `after`.
    pub phase: String,
    /// Half were at most this long, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Ninety-nine in a hundred were at most this long, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// The requests of one kind.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// How often each HTTP status came; 0 is no answer.
    pub statuses: BTreeMap<u16, u64>,
}

/// Requests that failed alike.
#[derive(Debug, Deserialize)]
pub struct Failure {
    /// What was asked for.
    pub operation: String,
    /// Why it failed.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// When the first of them failed, in seconds from the start.
    pub first_second: f64,
    /// When the last of them failed, in seconds from the start.
    pub last_second: f64,
}

/// Why a request failed.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// A status without a GraphQL answer.
    Http {
        /// It.
        status: u16,
    },
    /// A GraphQL error.
    Graphql {
        /// Its stable code.
        code: String,
    },
    /// A wrong answer.
    Content {
        /// What is wrong with it.
        what: String,
    },
    /// No complete answer.
    Transport {
        /// The cause.
        what: String,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http { status } => write!(f, "HTTP {status}"),
            Self::Graphql { code } => write!(f, "GraphQL {code}"),
            Self::Content { what } | Self::Transport { what } => f.write_str(what),
        }
    }
}

impl Load {
    /// Begins it. Its reports get their names from `name`, in `folder`.
    ///
    /// # Errors
    /// When authload is not built, or cannot begin.
    pub async fn begin(
        self,
        stage: &Stage,
        rules: &[String],
        folder: &Path,
        name: &str,
    ) -> Result<Running> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let events = stage.directory().join("events");
        fs::write(&events, "")?;
        let report = folder.join(format!("{name}.json"));
        // That of the run before is none of this one.
        let _ = fs::remove_file(&report);
        let scenario = if self.mixed { "mixed" } else { "verify" };
        let users = (self.rate * USERS_PER_ARRIVAL).max(if self.mixed { 20 } else { 1 });
        let page = folder.join(format!("{name}.html"));
        let mut arguments = [
            ("--mix", MIX),
            ("--arrivals", &self.rate.to_string()),
            ("--users", &users.to_string()),
            ("--run-time", LONGEST),
            ("--timeout", &self.patience.to_string()),
            ("--events", path(&events)?),
            ("--report", path(&report)?),
            ("--report", path(&page)?),
        ]
        .map(|(option, value)| [option.to_owned(), value.to_owned()])
        .concat();
        for rule in rules {
            arguments.extend(["--threshold".to_owned(), rule.clone()]);
        }
        let from = stage.addresses(Whose::Users, users);
        let (process, log) = authload(stage, scenario, &from, &arguments)?;
        let running = Running {
            process,
            log,
            report,
            events,
        };
        // It makes an account for each user first; where hashes have their cost, that takes a while.
        let begin = Instant::now();
        while !running.has_begun() {
            ensure!(
                begin.elapsed() < ACCOUNTS,
                "authload has not begun after {} s{}",
                ACCOUNTS.as_secs(),
                log_end(&running.log)
            );
            sleep(Duration::from_millis(50)).await;
        }
        if let Some(status) = running.process.exit_status() {
            bail!("authload broke off ({status}){}", log_end(&running.log));
        }
        Ok(running)
    }
}

impl Running {
    fn has_begun(&self) -> bool {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        self.process.exit_status().is_some() || log.contains("users launched")
    }

    /// Marks the begin or the end of a fault.
    ///
    /// # Errors
    /// When the file of events cannot be written.
    pub fn mark(&self, name: &str, phase: &str) -> Result<()> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let mut file = File::options().append(true).open(&self.events)?;
        Ok(writeln!(
            file,
            "{}",
            json!({ "at": at, "name": name, "phase": phase })
        )?)
    }

    /// Ends it, and reads its report.
    ///
    /// # Errors
    /// When there is none.
    pub async fn end(mut self) -> Result<Report> {
        self.process.signal(Signal::INT);
        // It waits for the answers that are under way.
        let ended = tokio::time::timeout(Duration::from_secs(30), self.process.ended());
        ended.await.context("authload does not end")?;
        let text = fs::read_to_string(&self.report)
            .with_context(|| format!("authload left no report{}", log_end(&self.log)))?;
        serde_json::from_str(&text).context("authload's report")
    }
}

/// Another run beside it, by others, for so many seconds.
///
/// # Errors
/// When there is no report of it.
pub async fn beside(
    stage: &Stage,
    scenario: &str,
    users: u32,
    rate: u32,
    seconds: u32,
) -> Result<Report> {
    let report = stage.directory().join("beside.json");
    let _ = fs::remove_file(&report);
    let arguments = [
        ("--arrivals", rate.to_string()),
        ("--users", users.to_string()),
        ("--run-time", seconds.to_string()),
        ("--report", path(&report)?.to_owned()),
    ]
    .map(|(option, value)| [option.to_owned(), value])
    .concat();
    let from = stage.addresses(Whose::Others, users);
    let (mut process, log) = authload(stage, scenario, &from, &arguments)?;
    process.ended().await;
    let text = fs::read_to_string(&report)
        .with_context(|| format!("authload left no report{}", log_end(&log)))?;
    serde_json::from_str(&text).context("authload's report")
}

fn authload(
    stage: &Stage,
    scenario: &str,
    from: &str,
    arguments: &[String],
) -> Result<(Process, PathBuf)> {
    let program = programs::built("authload")
        .context("authload is not built: `cargo build --workspace` builds it, `./dev chaos` does so by itself")?;
    let gateway = &stage.stack.part("gateway")?.url;
    let mut command = [
        path(&program)?,
        "run",
        scenario,
        "--url",
        gateway,
        "--from",
        from,
        "--ca",
        path(stage.stack.ca())?,
    ]
    .map(str::to_owned)
    .to_vec();
    command.extend_from_slice(arguments);
    let log = stage.directory().join(format!("load-{scenario}.log"));
    let _ = fs::remove_file(&log);
    let process = Process::start(&command, stage.directory(), &log, false)?;
    stage.take_load(process.clone());
    Ok((process, log))
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}
