//! `auth-core user`: what an operator does with accounts, straight in the database, while nodes run or not.

use std::fmt::Write as _;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::database::{self, cause};
use crate::audit::{Entry, Event};
use crate::clock::{began, now, rfc3339};
use crate::config::{Config, ConfigError};
use crate::email::Email;
use crate::error::{AuthError, Cause};
use crate::identity::Role;
use crate::passwords::policy::PasswordPolicy;
use crate::passwords::{Hasher, MAX_BYTES, Password};
use crate::store::{Account, Store, StoreError};
use crate::tokens::reset::{LIFETIME_SECONDS, ResetToken};

/// Accounts that are read at once for a list.
const PAGE: u16 = 1000;

/// What to do with accounts.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add an account; its password is the first line of standard input, or of a file
    Add {
        /// E-mail address
        email: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// File with the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Change what an account may do, as soon as its tokens are refreshed
    SetRole {
        /// E-mail address
        email: String,
        /// What it may do from now on
        role: Role,
    },
    /// Disable an account, and end its sessions
    Disable {
        /// E-mail address
        email: String,
    },
    /// Enable an account again
    Enable {
        /// E-mail address
        email: String,
    },
    /// Take a password and all sessions away, and print a token for another password: `resetPassword` takes it once, within a day
    ResetPassword {
        /// E-mail address
        email: String,
    },
    /// Show an account, its sessions and how many wrong passwords were given for it
    Show {
        /// E-mail address
        email: String,
    },
    /// Print all that is stored of an account and may be told: a JSON document
    Export {
        /// E-mail address
        email: String,
    },
    /// Remove an account, with all that belongs to it
    Delete {
        /// E-mail address
        email: String,
    },
    /// Show all accounts, oldest first
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// Runs a command and returns what to tell the operator.
///
/// # Errors
/// What cannot be done and why; then nothing was changed.
pub async fn run(command: &UserCommand, config: &Config) -> Result<String, Cause> {
    database::with(config, async |store| {
        carry_out(command, config, store).await
    })
    .await
}

async fn carry_out(command: &UserCommand, config: &Config, store: &Store) -> Result<String, Cause> {
    match command {
        UserCommand::Add {
            email,
            role,
            password_file,
        } => {
            let email = Email::parse(email)?;
            let password = Password::new(read_password(password_file.as_deref())?);
            PasswordPolicy::new(config)?.check(&password, email.normal())?;
            let account = Account {
                id: Uuid::now_v7().to_string(),
                email: email.as_given().to_owned(),
                password_hash: Hasher::from_config(&config.password)?.hash(&password)?,
                role: role.name().to_owned(),
                disabled: 0,
            };
            let entry = Entry::by_operator(Event::AccountAdded, Some(&account.id));
            match store
                .add_account(&account, &email, None, None, &entry)
                .await
            {
                Ok(()) => Ok(format!("added {} ({})\n", account.email, account.id)),
                Err(StoreError::Conflict) => Err(AuthError::EmailTaken.into()),
                Err(error) => Err(cause(error)),
            }
        }
        UserCommand::SetRole { email, role } => {
            let account = find(store, email).await?;
            let entry = Entry::by_operator(Event::RoleChanged, Some(&account.id)).with(role.name());
            store
                .set_role(&account.id, role.name(), &entry)
                .await
                .map_err(cause)?;
            Ok(format!(
                "{} is {}: in new tokens now, and in all after {} s\n",
                account.email,
                role.name(),
                config.tokens.access_token_seconds
            ))
        }
        UserCommand::Disable { email } => {
            let account = find(store, email).await?;
            let entry = Entry::by_operator(Event::AccountDisabled, Some(&account.id));
            store
                .set_disabled(&account.id, true, &entry)
                .await
                .map_err(cause)?;
            Ok(format!(
                "{} is disabled; access tokens that are out expire within {} s\n",
                account.email, config.tokens.access_token_seconds
            ))
        }
        UserCommand::Enable { email } => {
            let account = find(store, email).await?;
            let entry = Entry::by_operator(Event::AccountEnabled, Some(&account.id));
            store
                .set_disabled(&account.id, false, &entry)
                .await
                .map_err(cause)?;
            Ok(format!("{} is enabled\n", account.email))
        }
        UserCommand::ResetPassword { email } => reset_password(store, config, email).await,
        UserCommand::Show { email } => {
            let account = find(store, email).await?;
            let mut text = HEAD.to_owned() + &row(&account) + "\n";
            let sessions = store.sessions(&account.id).await.map_err(cause)?;
            let email = Email::of_account(&account.email);
            let failed = store.failed_log_ins(&email, now());
            let failed = failed
                .await
                .map_err(cause)?
                .map_or(0, |failed| failed.failures);
            let _ = writeln!(
                text,
                "since {}, {} sessions, {failed} wrong passwords in a row",
                began(&account.id),
                sessions.len()
            );
            Ok(text)
        }
        UserCommand::Export { email } => {
            let account = find(store, email).await?;
            let entry = Entry::by_operator(Event::AccountExported, Some(&account.id));
            store.record(&entry).await.map_err(cause)?;
            export(store, &account).await
        }
        UserCommand::Delete { email } => {
            let account = find(store, email).await?;
            let entry = Entry::by_operator(Event::AccountDeleted, Some(&account.id));
            store
                .remove_account(&account.id, &entry)
                .await
                .map_err(cause)?;
            Ok(format!(
                "{} is deleted; its entries in the audit stream have its id alone, {}\n",
                account.email, account.id
            ))
        }
        UserCommand::List { json } => list(store, *json).await,
    }
}

async fn reset_password(store: &Store, config: &Config, email: &str) -> Result<String, Cause> {
    let account = find(store, email).await?;
    let token = ResetToken::new().map_err(|_| "the system has no randomness")?;
    let unmatchable = Hasher::from_config(&config.password)?.unmatchable();
    let entry = Entry::by_operator(Event::PasswordResetBegun, Some(&account.id));
    let expires = entry.at.saturating_add(LIFETIME_SECONDS);
    store
        .begin_reset(&account.id, &unmatchable, &token.hash(), expires, &entry)
        .await
        .map_err(cause)?;
    // Alone on its line, so that a script can take it.
    Ok(format!("{}\n", *token.text()))
}

/// What the account's owner may ask for (GDPR, article 15): not the hashes, by which nobody is told anything.
async fn export(store: &Store, account: &Account) -> Result<String, Cause> {
    let sessions = store.sessions(&account.id).await.map_err(cause)?;
    let sessions: Vec<_> = sessions
        .iter()
        .map(|session| {
            json!({ "id": session.id, "began": began(&session.id), "expires": rfc3339(session.expires_at) })
        })
        .collect();
    let mut audit: Vec<Value> = Vec::new();
    let mut after = 0;
    loop {
        let page = store
            .audit(Some(&account.id), after, PAGE)
            .await
            .map_err(cause)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        audit.extend(page.iter().map(super::audit::object));
    }
    let mut document = object(account);
    document["sessions"] = sessions.into();
    document["audit"] = audit.into();
    Ok(format!("{document:#}\n"))
}

/// The account that an operator means.
pub(super) async fn find(store: &Store, email: &str) -> Result<Account, Cause> {
    let found = store
        .account_by_email(&Email::parse(email)?)
        .await
        .map_err(cause)?;
    found.ok_or_else(|| format!("there is no account {email}").into())
}

const HEAD: &str = "ID                                    ROLE   STATE     E-MAIL\n";

fn state(account: &Account) -> &'static str {
    if account.disabled == 0 {
        "enabled"
    } else {
        "disabled"
    }
}

fn row(account: &Account) -> String {
    let Account {
        id, role, email, ..
    } = account;
    format!("{id:<36}  {role:<5}  {:<8}  {email}", state(account))
}

fn object(account: &Account) -> Value {
    json!({
        "id": account.id,
        "email": account.email,
        "role": account.role,
        "state": state(account),
        "since": began(&account.id),
    })
}

async fn list(store: &Store, json: bool) -> Result<String, Cause> {
    let mut text = if json { String::new() } else { HEAD.to_owned() };
    let mut after = String::new();
    loop {
        let page = store.accounts(&after, PAGE).await.map_err(cause)?;
        let Some(last) = page.last() else {
            return Ok(text);
        };
        after.clone_from(&last.id);
        for account in page {
            let line = if json {
                object(&account).to_string()
            } else {
                row(&account)
            };
            text += &(line + "\n");
        }
    }
}

/// Not an argument, for everybody on the machine can read those.
pub(super) fn read_password(file: Option<&Path>) -> Result<String, Cause> {
    // The longest that is accepted, one more to tell that it is too long, and the end of the line.
    let most = MAX_BYTES as u64 + 3;
    let mut text = Zeroizing::new(String::new());
    match file {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(most).read_to_string(&mut text))
            .map_err(|error| ConfigError::file("--password-file", path, error))?,
        None if std::io::stdin().is_terminal() => {
            eprint!("Password (it will be visible): ");
            std::io::stdin().read_line(&mut text)?
        }
        None => std::io::stdin().take(most).read_to_string(&mut text)?,
    };
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
