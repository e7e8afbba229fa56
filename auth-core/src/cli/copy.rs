//! `auth-core database copy`: moves from SQLite to PostgreSQL.

use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};

use crate::config::{ConfigError, Database};
use crate::error::Cause;
use crate::store::Source;
use crate::store::copy::{Progress, copy};

/// What to do with a whole database.
#[derive(Subcommand)]
pub enum DatabaseCommand {
    /// Copy an SQLite file into an empty PostgreSQL database, compare all rows
    ///
    /// Stop the nodes first: what they write meanwhile is not in the copy.
    /// A copy that was interrupted goes on where it was when it is started again.
    /// The source is not changed.
    #[command(verbatim_doc_comment)]
    Copy(CopyArgs),
}

/// From where, and where to.
#[derive(Args)]
pub struct CopyArgs {
    /// The source: sqlite:FILE
    #[arg(long, value_name = "URL")]
    from: String,
    /// The target: postgres://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "URL")]
    to: String,
    /// File with the target's password
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
}

/// Runs a command, and answers what came of it.
///
/// # Errors
/// What cannot be done and why.
pub async fn run(command: &DatabaseCommand) -> Result<String, Cause> {
    let DatabaseCommand::Copy(args) = command;
    let begin = Instant::now();
    let Some(from) = args.from.strip_prefix("sqlite:") else {
        return Err("--from: expected sqlite:FILE".into());
    };
    if has_password(&args.to) {
        let text = "--to: all users of this machine see the arguments: name a file with the password by --to-password-file";
        return Err(text.into());
    }
    let target = Database {
        url: args.to.clone(),
        password_file: args.to_password_file.clone(),
        ..Database::default()
    };
    let as_arguments = |ConfigError(text)| {
        let text = text.replace("database.password_file", "--to-password-file");
        text.replace("database.url", "--to")
    };
    let Source::Postgres(to) = Source::new(&target).map_err(as_arguments)? else {
        return Err("--to: expected postgres://USER@HOST:PORT/DATABASE".into());
    };
    let rows = copy(Path::new(from.trim_start_matches("//")), *to, show).await?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(format!(
        "{rows} rows copied and compared in {seconds:.0} s\n"
    ))
}

/// Whether a URL has a password in it, in one of the two places where sqlx looks for it.
fn has_password(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = before_query.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

/// A line for each table; on a terminal, one that grows.
fn show(progress: Progress<'_>) {
    let Progress {
        table,
        copied,
        rows,
        verified,
    } = progress;
    let mut out = stderr().lock();
    // Nobody to tell is no reason to stop.
    let _ = match (verified, out.is_terminal()) {
        (true, true) => writeln!(
            out,
            "\r\x1b[2K{table:<17} {rows:>10} rows, the same on both sides"
        ),
        (true, false) => writeln!(out, "{table:<17} {rows:>10} rows, the same on both sides"),
        (false, true) => {
            write!(out, "\r\x1b[2K{table:<17} {copied:>10} of {rows}").and_then(|()| out.flush())
        }
        (false, false) => Ok(()),
    };
}
