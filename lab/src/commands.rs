//! The commands that speak to a stack that already runs, or look at what one left.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, bail};
use lab::control::{self, Answer, Request, Status};
use tokio::{process::Command, time::sleep};

const NOT_RUNNING: &str = "the stack is not running: `./dev up` starts it";

/// Ends the stack and waits until it has gone.
pub async fn down(state: &Path) -> Result<()> {
    match control::ask(state, &Request::Down).await? {
        None => println!("The stack is not running."),
        Some(_) => {
            // The stack itself bounds how long each of its parts may take.
            while control::socket(state).exists() {
                sleep(Duration::from_millis(20)).await;
            }
            println!("The stack has ended.");
        }
    }
    Ok(())
}

/// Shows every part.
pub async fn status(state: &Path, json: bool) -> Result<()> {
    let status = running(state).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    for part in &status.parts {
        let state = match (part.pid, part.ready) {
            (None, _) => "not running".to_owned(),
            (Some(pid), true) => format!("ready, process {pid}"),
            (Some(pid), false) => format!("NOT READY, process {pid}"),
        };
        println!("{:<15} {:<50} {state}", part.name, part.url);
    }
    for part in &status.left_out {
        println!("{:<15} left out: {}", part.name, part.reason);
    }
    Ok(())
}

/// Prints where the page is on which one watches the stack.
pub async fn watch(state: &Path) -> Result<()> {
    println!("{}", running(state).await?.page);
    Ok(())
}

/// What the stack says of itself.
///
/// # Errors
/// When it does not run.
pub async fn running(state: &Path) -> Result<Status> {
    match control::ask(state, &Request::Status).await? {
        Some(Answer::Status(status)) => Ok(status),
        _ => bail!(NOT_RUNNING),
    }
}

/// Sends one request to the stack and prints the answer.
pub async fn send(state: &Path, request: Request) -> Result<()> {
    match control::ask(state, &request).await? {
        Some(Answer::Done(message)) => println!("{message}"),
        Some(Answer::Refused(reason)) => bail!(reason),
        Some(Answer::Status(_)) | None => bail!(NOT_RUNNING),
    }
    Ok(())
}

/// Shows logs by way of `tail`, which knows how to follow several files.
pub async fn logs(state: &Path, part: Option<String>, follow: bool) -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(state.join("logs"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            part.as_ref()
                .is_none_or(|name| path.file_stem().is_some_and(|stem| stem == name.as_str()))
        })
        .collect();
    files.sort();
    if files.is_empty() {
        match part {
            Some(part) => bail!("there is no log of a part named {part}"),
            None => bail!("there are no logs: the stack has not run yet"),
        }
    }
    let mut tail = Command::new("tail");
    tail.arg(if part.is_some() {
        "--lines=200"
    } else {
        "--lines=20"
    });
    if follow {
        tail.arg("--follow=name").arg("--retry");
    }
    tail.args(files).status().await?;
    Ok(())
}

/// Removes what the lab made in the state directory, and the directory itself when nothing else is in it.
pub async fn clean(state: &Path) -> Result<()> {
    if control::ask(state, &Request::Status).await?.is_some() {
        down(state).await?;
    }
    // What a killed lab could not remove.
    if let Ok(scratch) = fs::read_link(state.join("data/scratch")) {
        let _ = fs::remove_dir_all(scratch);
    }
    for made in ["keys", "data", "parts", "logs"] {
        let path = state.join(made);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    let _ = fs::remove_file(control::socket(state));
    let _ = fs::remove_dir(state);
    Ok(())
}
