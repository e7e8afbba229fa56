//! Load on the stack from the page: a bounded run of `authload`, one at a time.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    process::{Process, describe},
    programs,
    stack::Stack,
};

/// The longest run, in seconds.
const LONGEST: u32 = 300;
/// The highest rate, in requests per second.
const HIGHEST: u32 = 200;
/// How many users share the rate.
const USERS: u32 = 8;
/// The name of its log: `./dev logs load` shows it.
const LOG: &str = "load";

/// What the page asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Requests per second.
    rate: u32,
    seconds: u32,
}

/// The run that goes on, and what came of the last.
#[derive(Debug, Default)]
pub(super) struct Load(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    last: Option<String>,
}

/// What the page shows of it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    /// Seconds until its end; `null` when none runs.
    left: Option<u64>,
    /// What came of the last one.
    last: Option<String>,
}

impl Load {
    /// Begins a run.
    ///
    /// # Errors
    /// When one runs already, more is wanted than is allowed, or `authload` cannot be started.
    pub fn start(&self, stack: &Stack, wanted: &Wanted) -> Result<String> {
        let Wanted { rate, seconds } = *wanted;
        ensure!(
            (1..=HIGHEST).contains(&rate),
            "from 1 to {HIGHEST} requests a second"
        );
        ensure!(
            (1..=LONGEST).contains(&seconds),
            "from 1 to {LONGEST} seconds"
        );
        let mut state = self.lock();
        if state.until.is_some() {
            bail!("load is running already");
        }
        let command = command(stack, rate, seconds)?;
        let mut process = Process::start(&command, stack.directory(), &stack.log(LOG), false)?;
        state.until = Some(Instant::now() + Duration::from_secs(seconds.into()));
        let run = self.0.clone();
        tokio::spawn(async move {
            let status = process.ended().await;
            let mut state = run.lock().expect("no holder of the lock panics");
            state.until = None;
            state.last = Some(match status.code() {
                Some(0) => "The load has ended: every answer was right.".into(),
                Some(1) => {
                    "The load has ended: requests FAILED, `./dev logs load` says which.".into()
                }
                _ => format!(
                    "The load broke off with {}: `./dev logs load` says why.",
                    describe(status)
                ),
            });
        });
        Ok(format!(
            "Load is running: {rate} requests a second for {seconds} s."
        ))
    }

    pub fn shown(&self) -> Shown {
        let state = self.lock();
        Shown {
            left: state
                .until
                .map(|until| until.saturating_duration_since(Instant::now()).as_secs()),
            last: state.last.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

/// The one place where the lab calls `authload`. Its exit code: 0 when every answer was right, 1 when one was not.
fn command(stack: &Stack, rate: u32, seconds: u32) -> Result<Vec<String>> {
    let authload = programs::built("authload")
        .context("authload is not built yet: `./dev watch` builds it, in another terminal")?;
    let gateway = &stack.part("gateway")?.url;
    let mut command = vec![authload.display().to_string()];
    command.extend(["run", "session", "--url", gateway, "--ca"].map(str::to_owned));
    command.push(stack.ca().display().to_string());
    // Each from another address, as limits count by address.
    command.extend(["--from".to_owned(), stack.client_addresses()]);
    for (option, value) in [
        ("--users", USERS),
        ("--throttle-requests", rate),
        ("--run-time", seconds),
    ] {
        command.extend([option.to_owned(), value.to_string()]);
    }
    Ok(command)
}
