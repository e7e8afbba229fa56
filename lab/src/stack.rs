//! The whole stack: starts every part, watches them, injects faults and restarts parts on request, and leaves nothing behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::Client;
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    sync::mpsc::UnboundedSender,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    control::{LeftOutStatus, PartStatus, Status},
    haproxy,
    process::{Process, describe},
    programs, ready,
    setup::{Prepared, Setup},
    topology::{LeftOut, Part, StopSignal},
};

/// A part that is not ready after this long has failed to start. A member of a database has to wait for the first one, and to copy all
/// that it has; on a busy machine that takes most of a minute.
const START_TIMEOUT: Duration = Duration::from_secs(300);
/// A part that still runs this long after its stop signal is killed.
const STOP_GRACE_PERIOD: Duration = Duration::from_secs(10);
/// The page's place on the stack's network: the last number of its address, and its port.
const PAGE_HOST: u8 = 9;
const PAGE_PORT: u16 = 7780;

/// What happens to the parts, told as it happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A part can be used, so long after it was started.
    Ready(String, Duration),
    /// A part exited that was not stopped.
    Died(String, ExitStatus),
}

/// A stack of processes.
#[derive(Debug)]
pub struct Stack {
    prepared: Prepared,
    client: Client,
    running: Mutex<BTreeMap<String, Running>>,
    events: UnboundedSender<Event>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    /// Set before the process is stopped on purpose.
    exit_expected: Arc<AtomicBool>,
}

impl Stack {
    /// Makes everything ready for a start, see [`Setup::prepare`]. Starts nothing yet.
    ///
    /// # Errors
    /// See [`Setup::prepare`].
    pub async fn prepare(setup: Setup, events: UnboundedSender<Event>) -> Result<Self> {
        let prepared = setup.prepare().await?;
        Ok(Self {
            client: ready::client(&prepared.ca)?,
            prepared,
            running: Mutex::default(),
            events,
        })
    }

    /// Starts every part and waits until all are ready.
    ///
    /// # Errors
    /// When a part dies or isn't ready in time: names it and shows the end of its log. The others go on; [`Self::stop`] ends them.
    pub async fn start(&self) -> Result<()> {
        let mut pending: Vec<&Part> = self.prepared.parts.iter().collect();
        let mut ready = BTreeSet::new();
        let mut waiting = JoinSet::new();
        loop {
            let (now, later): (Vec<_>, Vec<_>) = pending
                .into_iter()
                .partition(|part| part.after.iter().all(|name| ready.contains(name)));
            pending = later;
            for part in now {
                let process = self.launch(part).await?;
                let log = self.log(&part.name);
                waiting.spawn(until_ready(self.client.clone(), part.clone(), process, log));
            }
            let Some(part) = waiting.join_next().await else {
                break;
            };
            let (name, took) = part??;
            let _ = self.events.send(Event::Ready(name.clone(), took));
            ready.insert(name);
        }
        Ok(())
    }

    /// Brings one part back: starts it when it does not run, resumes it when it is paused, and waits until it is ready.
    ///
    /// # Errors
    /// When there is no such part, or it does not become ready.
    pub async fn start_part(&self, name: &str) -> Result<Duration> {
        let part = self.part(name)?;
        let process = match self.process(name) {
            Some(process) => {
                process.signal_all(Signal::CONT);
                process
            }
            None => self.launch(part).await?,
        };
        let (_, took) =
            until_ready(self.client.clone(), part.clone(), process, self.log(name)).await?;
        Ok(took)
    }

    /// Stops one part gracefully, and waits until it has exited.
    ///
    /// # Errors
    /// When there is no such part or it does not run.
    pub async fn stop_part(&self, name: &str) -> Result<ExitStatus> {
        let signal = stop_signal(self.part(name)?);
        let mut process = self.running_process(name)?;
        self.expect_exit(name);
        Ok(process.stop(signal, STOP_GRACE_PERIOD).await)
    }

    /// Kills one part with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When there is no such part or it does not run.
    pub async fn kill_part(&self, name: &str) -> Result<()> {
        let mut process = self.running_process(name)?;
        process.signal_all(Signal::KILL);
        process.ended().await;
        Ok(())
    }

    /// Pauses one part with SIGSTOP, as a hang would: its connections stay open and nothing answers.
    ///
    /// # Errors
    /// When there is no such part or it does not run.
    pub fn pause_part(&self, name: &str) -> Result<()> {
        self.running_process(name)?.signal_all(Signal::STOP);
        Ok(())
    }

    /// Lets a paused part go on, and does not wait for it.
    ///
    /// # Errors
    /// When there is no such part or it does not run.
    pub fn resume_part(&self, name: &str) -> Result<()> {
        self.running_process(name)?.signal_all(Signal::CONT);
        Ok(())
    }

    /// Sends a part's first process a signal, such as the one by which it reads its files again.
    ///
    /// # Errors
    /// When there is no such part or it does not run.
    pub fn signal_part(&self, name: &str, signal: Signal) -> Result<()> {
        self.running_process(name)?.signal(signal);
        Ok(())
    }

    /// Lets a part be started by another program, such as `env`. For one that does not run yet.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn run_by(&mut self, name: &str, program: &[String]) -> Result<()> {
        self.part(name)?;
        for part in &mut self.prepared.parts {
            if part.name == name {
                part.command.splice(0..0, program.iter().cloned());
            }
        }
        Ok(())
    }

    /// Gives a part this share of the requests at every gateway that runs, in proportion to the others'. A gateway that is started
    /// again has forgotten it.
    ///
    /// # Errors
    /// When there is no such part, no gateway sends it requests, or one refuses.
    pub async fn set_weight(&self, name: &str, weight: u16) -> Result<()> {
        self.part(name)?;
        let mut servers = 0;
        for gateway in self
            .prepared
            .parts
            .iter()
            .filter(|part| part.kind == "haproxy")
        {
            if self.process(&gateway.name).is_some() {
                let socket = self.admin_socket(&gateway.name);
                servers += haproxy::set_weight(&socket, name, weight).await?;
            }
        }
        ensure!(servers > 0, "no gateway sends requests to {name}");
        Ok(())
    }

    /// Where a gateway takes HAProxy's runtime commands.
    pub fn admin_socket(&self, gateway: &str) -> PathBuf {
        self.prepared
            .directory
            .join("parts")
            .join(gateway)
            .join("admin.sock")
    }

    /// Where [`crate::watch`] serves the page on which one watches this stack.
    pub fn page_address(&self) -> SocketAddr {
        (self.prepared.network.address(PAGE_HOST), PAGE_PORT).into()
    }

    /// The part of the stack's network that belongs to its clients, as CIDR: limits count by address.
    pub fn client_addresses(&self) -> String {
        format!("{}/25", self.prepared.network.address(128))
    }

    /// The first three bytes of the stack's network.
    pub fn network_prefix(&self) -> String {
        self.prepared.network.prefix()
    }

    /// Where the database keeps its data.
    pub fn scratch(&self) -> &Path {
        self.prepared.scratch.path()
    }

    /// Where state, logs and configuration are; absolute.
    pub fn directory(&self) -> &Path {
        &self.prepared.directory
    }

    /// Stops every part, all at the same time.
    pub async fn stop(&self) {
        let mut ending = JoinSet::new();
        for part in &self.prepared.parts {
            if let Some(mut process) = self.process(&part.name) {
                self.expect_exit(&part.name);
                let signal = stop_signal(part);
                ending.spawn(async move { process.stop(signal, STOP_GRACE_PERIOD).await });
            }
        }
        ending.join_all().await;
    }

    /// What runs, and whether it can be used.
    pub async fn status(&self) -> Status {
        let mut asking = JoinSet::new();
        for (index, part) in self.prepared.parts.iter().enumerate() {
            let (client, part, pid) = (
                self.client.clone(),
                part.clone(),
                self.process(&part.name).map(|p| p.pid()),
            );
            asking.spawn(async move {
                let ready = pid.is_some() && ready::is_ready(&client, &part.ready).await;
                (
                    index,
                    PartStatus {
                        name: part.name,
                        kind: part.kind,
                        url: part.url,
                        pid,
                        ready,
                    },
                )
            });
        }
        let mut parts = asking.join_all().await;
        parts.sort_by_key(|(index, _)| *index);
        Status {
            page: format!("http://{}", self.page_address()),
            ca: self.prepared.ca.clone(),
            parts: parts.into_iter().map(|(_, part)| part).collect(),
            left_out: self
                .left_out()
                .iter()
                .map(|part| LeftOutStatus {
                    name: part.name.clone(),
                    reason: part.reason(),
                })
                .collect(),
        }
    }

    /// Every part, in the order in which they are shown.
    pub fn parts(&self) -> &[Part] {
        &self.prepared.parts
    }

    /// The parts that are not run because the machine lacks something of them.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.prepared.left_out
    }

    /// What holds unless a setting says otherwise: `nixos-modules/render/defaults.nix`.
    pub fn defaults(&self) -> &Value {
        &self.prepared.defaults
    }

    /// The CA certificate that clients must trust.
    pub fn ca(&self) -> &Path {
        &self.prepared.ca
    }

    /// A part's log file.
    pub fn log(&self, name: &str) -> PathBuf {
        self.prepared
            .directory
            .join("logs")
            .join(format!("{name}.log"))
    }

    /// A part by its name.
    ///
    /// # Errors
    /// When there is none: lists those that there are. When it is left out: says why.
    pub fn part(&self, name: &str) -> Result<&Part> {
        if let Some(part) = self.left_out().iter().find(|part| part.name == name) {
            bail!("{name} is left out: {}", part.reason());
        }
        self.prepared
            .parts
            .iter()
            .find(|part| part.name == name)
            .with_context(|| {
                let names: Vec<_> = self
                    .prepared
                    .parts
                    .iter()
                    .map(|part| part.name.as_str())
                    .collect();
                format!(
                    "there is no part named {name}; there are {}",
                    names.join(", ")
                )
            })
    }

    async fn launch(&self, part: &Part) -> Result<Process> {
        let log = self.log(&part.name);
        let folder = if part.unprivileged {
            self.prepared.scratch.path().to_owned()
        } else {
            self.prepared.directory.join("parts").join(&part.name)
        };
        if let Some(prepare) = &part.prepare
            && !prepare.creates.exists()
        {
            let mut run = Process::start(&prepare.command, &folder, &log, part.unprivileged)?;
            let status = run.ended().await;
            if !status.success() {
                bail!(
                    "preparing {} failed with {}{}",
                    part.name,
                    describe(status),
                    log_end(&log)
                );
            }
        }
        let process = match part.host {
            None => Process::start(&part.command, &folder, &log, part.unprivileged)?,
            // It has our rights, to kill what does not.
            Some(group) => Process::start(&as_host(&part.command, group)?, &folder, &log, false)?,
        };
        let exit_expected = Arc::new(AtomicBool::new(false));
        let running = Running {
            process: process.clone(),
            exit_expected: exit_expected.clone(),
        };
        self.lock().insert(part.name.clone(), running);

        let (mut watched, name, events) = (process.clone(), part.name.clone(), self.events.clone());
        tokio::spawn(async move {
            let status = watched.ended().await;
            if !exit_expected.load(Ordering::Relaxed) {
                let _ = events.send(Event::Died(name, status));
            }
        });
        Ok(process)
    }

    /// The part's process, if it runs.
    fn process(&self, name: &str) -> Option<Process> {
        let process = self.lock().get(name)?.process.clone();
        process.exit_status().is_none().then_some(process)
    }

    fn running_process(&self, name: &str) -> Result<Process> {
        self.part(name)?;
        self.process(name)
            .ok_or_else(|| anyhow!("{name} does not run"))
    }

    fn expect_exit(&self, name: &str) {
        if let Some(running) = self.lock().get(name) {
            running.exit_expected.store(true, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().expect("no holder of the lock panics")
    }
}

/// For whoever does not [`stop`](Stack::stop) it, as a test: nothing may write to the folders that are removed next.
impl Drop for Stack {
    fn drop(&mut self) {
        for running in self.lock().values() {
            running.process.signal_all(Signal::KILL);
        }
    }
}

/// The end of a part's log, for an error message.
pub fn log_end(log: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES)..];
    format!(
        "\n  the end of {}:\n    {}",
        log.display(),
        shown.join("\n    ")
    )
}

async fn until_ready(
    client: Client,
    part: Part,
    process: Process,
    log: PathBuf,
) -> Result<(String, Duration)> {
    let begin = Instant::now();
    let wait = async {
        while !ready::is_ready(&client, &part.ready).await {
            if let Some(status) = process.exit_status() {
                bail!(
                    "{} died while starting, with {}{}",
                    part.name,
                    describe(status),
                    log_end(&log)
                );
            }
            sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    };
    match timeout(START_TIMEOUT, wait).await {
        Ok(result) => result.map(|()| (part.name.clone(), begin.elapsed())),
        Err(_) => bail!(
            "{} is not ready after {} s{}",
            part.name,
            START_TIMEOUT.as_secs(),
            log_end(&log)
        ),
    }
}

/// The command that runs `command` as [`crate::host`] says.
fn as_host(command: &[String], group: u32) -> Result<Vec<String>> {
    let own = programs::built("lab").context("lab is not built")?;
    let own = own.to_str().context("a path in UTF-8")?;
    let mut whole = [own, "host", "--group", &group.to_string(), "--"]
        .map(str::to_owned)
        .to_vec();
    whole.extend_from_slice(command);
    Ok(whole)
}

fn stop_signal(part: &Part) -> Signal {
    match part.stop_signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
    }
}
