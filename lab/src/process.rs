//! One running part: started so that it cannot outlive the lab, signalled with all of its children, its end always noticed.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Command, sync::watch, time::timeout};

/// The user that Debian's PostgreSQL brings along; used when the lab runs as root.
const UNPRIVILEGED_USER: &str = "postgres";

/// A started process. Dropping it does not end it; ending the lab does.
#[derive(Clone, Debug)]
pub struct Process {
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts `command` in `folder`, its output appended to `log`.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start(
        command: &[String],
        folder: &Path,
        log: &Path,
        unprivileged: bool,
    ) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = detached_command(command, unprivileged)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal reaches the lab alone, which ends its parts in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", command[0]))?;
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(id as i32))
            .context("the process has no id")?;
        let (exited, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = child
                .wait()
                .await
                .unwrap_or_else(|_| ExitStatus::from_raw(0xff00));
            let _ = exited.send(Some(status));
        });
        Ok(Self { pid, exit })
    }

    /// The process's id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// How it ended; `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        match self.exit.wait_for(Option::is_some).await {
            Ok(status) => status.unwrap_or_default(),
            Err(_) => ExitStatus::default(),
        }
    }

    /// Sends `signal` to the process alone.
    pub fn signal(&self, signal: Signal) {
        if self.exit_status().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Sends `signal` to the process and everything that it started.
    pub fn signal_all(&self, signal: Signal) {
        if self.exit_status().is_none() {
            for pid in with_descendants(self.pid) {
                let _ = kill_process(pid, signal);
            }
        }
    }

    /// Sends `signal`, and SIGKILL to what still runs after `grace_period`.
    pub async fn stop(&mut self, signal: Signal, grace_period: Duration) -> ExitStatus {
        self.signal(signal);
        // A paused process handles no signal until it is resumed.
        self.signal_all(Signal::CONT);
        match timeout(grace_period, self.ended()).await {
            Ok(status) => status,
            Err(_) => {
                self.signal_all(Signal::KILL);
                self.ended().await
            }
        }
    }
}

/// As whom a command runs that ends with who started it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TiedTo {
    /// The user who runs the lab.
    Us,
    /// One without root's rights.
    Unprivileged,
    /// The same, in a group by which the kernel knows its packets.
    Group(u32),
}

/// The program and the arguments that run `command` tied to the life of who starts it, without root's rights where it must not have
/// them.
pub(crate) fn tied(command: &[String], to: TiedTo) -> (&'static str, Vec<String>) {
    // The kernel kills it when the lab dies, however the lab dies.
    let mut arguments = vec!["--pdeathsig".to_owned(), "KILL".to_owned()];
    let group = match to {
        TiedTo::Us => None,
        TiedTo::Unprivileged => Some(UNPRIVILEGED_USER.to_owned()),
        TiedTo::Group(number) => Some(number.to_string()),
    };
    if let Some(group) = group.filter(|_| rustix::process::geteuid().is_root()) {
        arguments.extend(
            [
                "--reuid",
                UNPRIVILEGED_USER,
                "--regid",
                &group,
                "--init-groups",
            ]
            .map(str::to_owned),
        );
    }
    arguments.push("--".to_owned());
    arguments.extend_from_slice(command);
    ("setpriv", arguments)
}

/// `command` with a clean environment, tied to the lab's life, and without root's rights where it must not have them.
pub fn detached_command(command: &[String], unprivileged: bool) -> Command {
    let to = if unprivileged {
        TiedTo::Unprivileged
    } else {
        TiedTo::Us
    };
    let (program, arguments) = tied(command, to);
    let mut tied = Command::new(program);
    tied.args(arguments).env_clear();
    for name in ["PATH", "HOME", "TZ", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            tied.env(name, value);
        }
    }
    tied
}

/// Makes the user as whom unprivileged parts run the owner of `paths`.
///
/// # Errors
/// When there is no such user.
pub fn chown_to_unprivileged(paths: &[impl AsRef<Path>]) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let entry = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == UNPRIVILEGED_USER)
        .with_context(|| {
            format!("PostgreSQL refuses to run as root and there is no user {UNPRIVILEGED_USER}: run the lab as an ordinary user")
        })?;
    for path in paths {
        std::os::unix::fs::chown(
            path.as_ref(),
            Some(entry[2].parse()?),
            Some(entry[3].parse()?),
        )?;
    }
    Ok(())
}

/// How a process ended, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".into(),
    }
}

/// The process and its descendants, parents first. What forks meanwhile is missed: good enough for servers that have settled.
pub(crate) fn with_descendants(root: Pid) -> Vec<Pid> {
    let parents: Vec<(Pid, Pid)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold spaces; what follows it does not: state, then the parent.
            let parent = stat
                .rsplit(')')
                .next()?
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()?;
            Some((pid, Pid::from_raw(parent)?))
        })
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    family
}
