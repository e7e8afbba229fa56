//! `auth-core api-key`: what an operator does with API keys, straight in the database, while nodes run or not.

use std::fmt::Write as _;

use clap::Subcommand;

use super::database;
use crate::api_keys::{ApiKey, MOST};
use crate::audit::{Entry, Event};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::error::Cause;
use crate::store::{Store, StoreError};

/// What to do with API keys.
#[derive(Subcommand)]
pub enum ApiKeyCommand {
    /// Make a key and print it, this once: only a hash of it is kept
    Add {
        /// Whose it is, such as `billing`
        name: String,
        /// Route of the gateway that it is good for, such as /orders; may be repeated
        #[arg(long = "scope", value_name = "ROUTE", required = true)]
        scopes: Vec<String>,
    },
    /// Show all keys: whose they are and what they are good for
    List,
    /// Remove a key: the gateways refuse it within seconds
    Revoke {
        /// Whose it is
        name: String,
    },
}

/// Runs a command and returns what to tell the operator.
///
/// # Errors
/// What cannot be done and why; then nothing was changed.
pub async fn run(command: &ApiKeyCommand, config: &Config) -> Result<String, Cause> {
    database::with(config, async |store| carry_out(command, store).await).await
}

async fn carry_out(command: &ApiKeyCommand, store: &Store) -> Result<String, Cause> {
    match command {
        ApiKeyCommand::Add { name, scopes } => {
            let (key, text) =
                ApiKey::new(name, scopes).map_err(|_| "the system has no randomness")?;
            key.check()?;
            let entry = Entry::by_operator(Event::ApiKeyAdded, None).with(name);
            match store.add_api_key(&key, &entry).await {
                // Alone on its line, so that a script can take it.
                Ok(true) => Ok(format!("{}\n", *text)),
                Ok(false) => {
                    Err(format!("there are {MOST} keys already: revoke some first").into())
                }
                Err(StoreError::Conflict) => Err(format!(
                    "there is a key {name} already: revoke it first, or take another name"
                )
                .into()),
                Err(error) => Err(database::cause(error)),
            }
        }
        ApiKeyCommand::List => {
            let mut text = format!("{:<20}  {:<20}  SCOPES\n", "NAME", "ADDED");
            for (key, added) in store.api_keys().await.map_err(database::cause)? {
                let (added, scopes) = (rfc3339(added), key.scopes.join(" "));
                let _ = writeln!(text, "{:<20}  {added}  {scopes}", key.name);
            }
            Ok(text)
        }
        ApiKeyCommand::Revoke { name } => {
            let entry = Entry::by_operator(Event::ApiKeyRevoked, None).with(name);
            let revoked = store.revoke_api_key(name, &entry).await;
            if revoked.map_err(database::cause)? {
                Ok(format!("revoked {name}\n"))
            } else {
                Err(
                    format!("there is no key {name}; `auth-core api-key list` shows what there is")
                        .into(),
                )
            }
        }
    }
}
