//! `auth-core audit`: the audit stream, for people and for programs.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};

use super::database::{self, cause};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::email::Email;
use crate::error::Cause;
use crate::store::{Recorded, Store};

/// Entries that are read at once.
const PAGE: u16 = 1000;

/// Which entries to print, and how.
#[derive(Args)]
pub struct AuditArgs {
    /// Only what happened to one account: its e-mail address, or its id if it was deleted
    #[arg(long, value_name = "EMAIL|ID")]
    account: Option<String>,
    /// Only the newest so many
    #[arg(long, value_name = "COUNT")]
    last: Option<u32>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Prints the entries, oldest first.
///
/// # Errors
/// The database cannot be used, or there is no such account.
pub async fn run(audit: &AuditArgs, config: &Config, out: &mut impl Write) -> Result<(), Cause> {
    let printed = database::with(config, async |store| print(audit, store, out).await).await;
    match printed {
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        printed => printed,
    }
}

fn is_broken_pipe(error: &Cause) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn print(audit: &AuditArgs, store: &Store, out: &mut impl Write) -> Result<(), Cause> {
    let account = match &audit.account {
        Some(account) => Some(id_of(store, account).await?),
        None => None,
    };
    let account = account.as_deref();
    let mut after = match audit.last {
        Some(count) => store
            .audit_before_last(account, count)
            .await
            .map_err(cause)?,
        None => 0,
    };
    if !audit.json {
        writeln!(out, "{}", line(["TIME", "EVENT", "CLIENT", "WHO"]))?;
    }
    loop {
        let page = store.audit(account, after, PAGE).await.map_err(cause)?;
        let Some(last) = page.last() else {
            return Ok(out.flush()?);
        };
        after = last.id;
        for entry in page {
            if audit.json {
                writeln!(out, "{}", object(&entry))?;
            } else {
                writeln!(out, "{}", row(&entry))?;
            }
        }
    }
}

async fn id_of(store: &Store, account: &str) -> Result<String, Cause> {
    if !account.contains('@') {
        return Ok(account.to_owned());
    }
    let found = store
        .account_by_email(&Email::parse(account)?)
        .await
        .map_err(cause)?;
    let unknown =
        || format!("there is no account {account}; one that was deleted is found by its id");
    Ok(found.ok_or_else(unknown)?.id)
}

fn line(columns: [&str; 4]) -> String {
    let [time, event, client, who] = columns;
    format!("{time:<20}  {event:<20}  {client:<15}  {who}")
}

fn row(entry: &Recorded) -> String {
    let mut who: Vec<String> = Vec::new();
    who.extend(entry.email.clone().or_else(|| entry.account_id.clone()));
    who.extend(entry.detail.as_ref().map(|detail| format!("({detail})")));
    who.extend(
        entry
            .operator
            .as_ref()
            .map(|user| format!("by operator {user}")),
    );
    let client = entry.client.as_deref().unwrap_or("-");
    line([&rfc3339(entry.at), &entry.event, client, &who.join(" ")])
}

/// As programs read it.
pub(super) fn object(entry: &Recorded) -> Value {
    json!({
        "id": entry.id,
        "timestamp": rfc3339(entry.at),
        "event": entry.event,
        "account_id": entry.account_id,
        "email": entry.email,
        "client": entry.client,
        "operator": entry.operator,
        "trace_id": entry.trace_id,
        "detail": entry.detail,
    })
}
