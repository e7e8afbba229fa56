//! How other terminals speak to a running stack: one JSON line each way over a Unix socket in the state directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

/// What can be asked of a running stack.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// What runs, and whether it can be used.
    Status,
    /// Start the part, whether it is stopped, dead or paused.
    Start(String),
    /// Stop the part gracefully.
    Stop(String),
    /// Kill the part, as a crash would.
    Kill(String),
    /// Pause the part, as a hang would.
    Pause(String),
    /// Give the part this share of the requests, in proportion to the others'.
    Weight(String, u16),
    /// Stop the whole stack.
    Down,
}

/// What `./dev status --json` prints.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// The page that shows all of it.
    pub page: String,
    /// The CA certificate that clients must trust.
    pub ca: PathBuf,
    /// Every part, running or not.
    pub parts: Vec<PartStatus>,
    /// The parts that this machine lacks something of.
    pub left_out: Vec<LeftOutStatus>,
}

/// One part of [`Status`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PartStatus {
    /// Its name, such as `auth1`.
    pub name: String,
    /// What it is, such as `auth-core`.
    pub kind: String,
    /// Where it is reached.
    pub url: String,
    /// Its process; `null` when it does not run.
    pub pid: Option<i32>,
    /// Whether it can be used now.
    pub ready: bool,
}

/// One part of [`Status`] that is left out.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeftOutStatus {
    /// Its name, such as `zipkin`.
    pub name: String,
    /// What is missing, and how to get it.
    pub reason: String,
}

/// The answer to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is done; a line that says so.
    Done(String),
    /// To [`Request::Status`].
    Status(Status),
    /// It isn't done, and why.
    Refused(String),
}

/// Where the socket of the stack in `directory` is.
pub fn socket(directory: &Path) -> PathBuf {
    directory.join("control.sock")
}

/// Takes requests for the stack in `directory`.
///
/// # Errors
/// When another stack already runs there, or the socket can't be made.
pub async fn listen(directory: &Path) -> Result<UnixListener> {
    let path = socket(directory);
    if UnixStream::connect(&path).await.is_ok() {
        return Err(anyhow!(
            "it is already running: `./dev status` shows it, `./dev down` ends it"
        ));
    }
    // What is left is the socket of a stack that was killed.
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))
}

/// Asks the stack in `directory`; `None` when none runs there.
///
/// # Errors
/// When it breaks off without an answer.
pub async fn ask(directory: &Path, request: &Request) -> Result<Option<Answer>> {
    let Ok(mut stream) = UnixStream::connect(socket(directory)).await else {
        return Ok(None);
    };
    send(&mut stream, request).await?;
    Ok(Some(receive(&mut stream).await?))
}

/// Sends one line.
///
/// # Errors
/// When the other side has gone.
pub async fn send(stream: &mut UnixStream, message: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(message)? + "\n";
    Ok(stream.write_all(line.as_bytes()).await?)
}

/// Receives one line.
///
/// # Errors
/// When the other side has gone or says something else.
pub async fn receive<T: for<'a> Deserialize<'a>>(stream: &mut UnixStream) -> Result<T> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    serde_json::from_str(&line).context("the stack broke off without an answer")
}
