//! `auth-core session`: what an operator does with sessions, straight in the database, while nodes run or not.

use std::fmt::Write as _;

use clap::Subcommand;

use super::database::{self, cause};
use super::user::find;
use crate::audit::{Entry, Event};
use crate::clock::{began, rfc3339};
use crate::config::Config;
use crate::error::Cause;
use crate::store::Store;

/// What to do with sessions.
#[derive(Subcommand)]
pub enum SessionCommand {
    /// Show the sessions of an account, oldest first
    List {
        /// E-mail address
        email: String,
    },
    /// End the sessions of an account, or the one that is named
    Revoke {
        /// E-mail address
        email: String,
        /// The session, as `list` shows it
        id: Option<String>,
    },
}

/// Runs a command and returns what to tell the operator.
///
/// # Errors
/// What cannot be done and why; then nothing was changed.
pub async fn run(command: &SessionCommand, config: &Config) -> Result<String, Cause> {
    database::with(config, async |store| {
        carry_out(command, config, store).await
    })
    .await
}

async fn carry_out(
    command: &SessionCommand,
    config: &Config,
    store: &Store,
) -> Result<String, Cause> {
    match command {
        SessionCommand::List { email } => {
            let account = find(store, email).await?;
            let mut text = format!("{:<36}  {:<20}  EXPIRES\n", "ID", "BEGAN");
            for session in store.sessions(&account.id).await.map_err(cause)? {
                let (began, expires) = (began(&session.id), rfc3339(session.expires_at));
                let _ = writeln!(text, "{:<36}  {began:<20}  {expires}", session.id);
            }
            Ok(text)
        }
        SessionCommand::Revoke { email, id } => {
            let account = find(store, email).await?;
            let entry = Entry::by_operator(Event::SessionsRevoked, Some(&account.id));
            let entry = entry.with(id.as_deref().unwrap_or("all"));
            let ended = store.end_sessions(&account.id, id.as_deref(), &entry);
            let ended = ended.await.map_err(cause)?;
            if let (0, Some(id)) = (ended, id) {
                return Err(format!(
                    "{email} has no session {id}; `auth-core session list {email}` shows what there is"
                )
                .into());
            }
            Ok(format!(
                "{ended} sessions of {email} have ended; access tokens that are out expire within {} s\n",
                config.tokens.access_token_seconds
            ))
        }
    }
}
