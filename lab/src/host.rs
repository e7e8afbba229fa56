//! A command as if it had a host of its own: whatever it leaves behind ends with it.
//!
//! Patroni starts PostgreSQL as a daemon, which outlives it on purpose. In the lab the host would be the whole machine.

use std::{
    io,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, wait,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::process::{TiedTo, tied, with_descendants};

/// Runs `command` until it ends, or a signal asks for it, and kills what it has left.
///
/// SIGTERM is passed on. SIGHUP kills everything, and comes when who started this has died.
///
/// # Errors
/// When it cannot be started.
pub async fn run(command: &[String], group: u32) -> Result<ExitCode> {
    // Whoever loses its parent becomes a child of this process.
    set_child_subreaper(Some(getpid()))?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = signal(SignalKind::child())?;
    // Not the SIGKILL that other parts get, after which nobody could kill the daemon.
    set_parent_process_death_signal(Some(Signal::HUP))?;
    let (program, arguments) = tied(command, TiedTo::Group(group));
    let started = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("cannot start {}", command[0]))?;
    let own = Pid::from_raw(started.id() as i32).context("the process has no id")?;
    let status = loop {
        tokio::select! {
            _ = terminate.recv() => drop(kill_process(own, Signal::TERM)),
            _ = hangup.recv() => break None,
            _ = child.recv() => if let Some(status) = reap(own) { break Some(status) },
        }
    };
    kill_all();
    let code = status.and_then(WaitStatus::exit_status).unwrap_or(1);
    Ok(ExitCode::from(code as u8))
}

/// Takes note of all that have ended; how `own` did, if it is among them.
fn reap(own: Pid) -> Option<WaitStatus> {
    let mut status = None;
    while let Ok(Some((pid, ended))) = wait(WaitOptions::NOHANG) {
        if pid == own {
            status = Some(ended);
        }
    }
    status
}

/// Kills all descendants, those that start meanwhile too.
fn kill_all() {
    loop {
        for pid in with_descendants(getpid()).into_iter().skip(1) {
            let _ = kill_process(pid, Signal::KILL);
        }
        match wait(WaitOptions::empty()).map_err(io::Error::from) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}
