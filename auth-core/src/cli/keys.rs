//! `auth-core keys`: what an operator does with the key ring.
//!
//! Rotation takes three steps, so that nobody ever meets a token whose key they do not know: `generate` publishes the
//! next key, `rotate` signs with it once everybody has it, `retire` removes the old one when its last token has expired.

use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use clap::Subcommand;

use super::follow::Follow;
use crate::clock::rfc3339;
use crate::config::{ConfigError, Tokens};
use crate::tokens::LEEWAY_SECONDS;
use crate::tokens::keys::{Change, Key, Kind, PUBLISHED_MAX_AGE, Ring, SETTING};

/// What to do with the keys that sign tokens.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// Make the next key: published, but not signing yet (the first one signs at once)
    Generate {
        /// What the key is for
        #[arg(long, value_enum, default_value = "es256")]
        algorithm: Kind,
    },
    /// Sign with the next key from now on, or with the one that is named; the old one stays for its tokens
    Rotate {
        /// The key, where there are several to choose from
        kid: Option<String>,
        /// Do not wait until everybody can know the key
        #[arg(long)]
        now: bool,
    },
    /// Show all keys: which one signs, which come next, which are old
    List,
    /// Print a key's public half in PEM, for a gateway that checks tokens by itself
    Public {
        /// The key
        kid: String,
    },
    /// Keep a gateway's copy of the published keys up to date, until SIGTERM
    Follow(Follow),
    /// Remove the old keys whose last token has expired, or the one that is named
    Retire {
        /// The key to remove
        kid: Option<String>,
        /// Remove it even if tokens of it may still be good
        #[arg(long, requires = "kid")]
        now: bool,
    },
}

/// Runs a command at `now` (seconds since 1970) and returns what to tell the operator.
///
/// # Errors
/// What cannot be done and why; then nothing was changed.
pub fn run(command: &KeysCommand, tokens: &Tokens, now: u64) -> Result<String, ConfigError> {
    let directory = &tokens.key_directory;
    if directory.as_os_str().is_empty() || matches!(command, KeysCommand::List) {
        return Ok(list(&Ring::read(directory)?, directory, tokens));
    }
    if let KeysCommand::Public { kid } = command {
        return public(&Ring::read(directory)?, directory, kid);
    }
    let change = Change::begin(directory)?;
    match command {
        KeysCommand::Generate { algorithm } => {
            let kid = change.generate(*algorithm, now)?;
            let next = if change
                .ring()?
                .signer()
                .is_ok_and(|signer| signer.kid == kid)
            {
                "It signs. Start the nodes, or reload them (SIGHUP)."
            } else {
                "It is not signing yet. Reload the nodes (SIGHUP), give it to the gateways that check tokens, \
                 then: auth-core keys rotate"
            };
            Ok(format!("made {kid}\n{next}\n"))
        }
        KeysCommand::Rotate { kid, now: hurry } => {
            let ring = change.ring()?;
            let key = next(&ring, kid.as_deref())?;
            if ring.signer().is_ok_and(|signer| signer.kid == key.kid) {
                return Ok(format!("{} signs already\n", key.kid));
            }
            let age = now.saturating_sub(published(directory, key));
            if age < PUBLISHED_MAX_AGE && !hurry && ring.signer().is_ok() {
                return Err(ConfigError(format!(
                    "{} is {age} s old, and others may remember the published keys for {PUBLISHED_MAX_AGE} s; \
                     wait, or use --now",
                    key.kid
                )));
            }
            change.sign_with(&ring, &key.kid, now)?;
            Ok(format!(
                "{} signs\nReload the nodes now (SIGHUP). When the last old token has expired: auth-core keys retire\n",
                key.kid
            ))
        }
        KeysCommand::Retire { kid, now: hurry } => {
            let ring = change.ring()?;
            let due = |key: &&Key| expires(&ring, key, tokens).is_some_and(|expires| expires < now);
            let going: Vec<_> = match kid {
                Some(kid) => {
                    let key = ring.get(kid).ok_or_else(|| unknown(kid))?;
                    if ring.signer().is_ok_and(|signer| signer.kid == *kid) {
                        return Err(ConfigError(format!(
                            "{kid} signs: `auth-core keys rotate` first"
                        )));
                    }
                    if !hurry && !due(&key) {
                        return Err(ConfigError(format!(
                            "tokens of {kid} may still be good, or it may be about to sign; wait, or use --now"
                        )));
                    }
                    vec![key]
                }
                None => ring.keys.iter().filter(due).collect(),
            };
            let mut said = String::new();
            for key in &going {
                change.remove(&key.kid)?;
                let _ = writeln!(said, "removed {}", key.kid);
            }
            Ok(if going.is_empty() {
                "nothing to remove yet\n".to_owned()
            } else {
                said + "Reload the nodes (SIGHUP).\n"
            })
        }
        KeysCommand::List => Ok(list(&change.ring()?, directory, tokens)),
        KeysCommand::Public { kid } => public(&change.ring()?, directory, kid),
        // It needs no ring: `cli::follow::run`.
        KeysCommand::Follow(_) => Ok(String::new()),
    }
}

/// The key to sign with: the one that is named, else the only private one that never signed.
fn next<'a>(ring: &'a Ring, kid: Option<&str>) -> Result<&'a Key, ConfigError> {
    if let Some(kid) = kid {
        let key = ring.get(kid).ok_or_else(|| unknown(kid))?;
        let public = || ConfigError(format!("{kid} is a public key: it cannot sign"));
        return key.signing.is_some().then_some(key).ok_or_else(public);
    }
    let signer = ring
        .signer()
        .map(|key| key.kid.as_str())
        .unwrap_or_default();
    let mut new = ring
        .keys
        .iter()
        .filter(|key| key.signing.is_some() && key.kid != signer && !ring.has_signed(&key.kid));
    match (new.next(), new.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(ConfigError(
            "there is no next key: `auth-core keys generate` makes and publishes one".to_owned(),
        )),
        (Some(_), Some(_)) => Err(ConfigError(
            "there are several next keys: name one (`auth-core keys list` shows them)".to_owned(),
        )),
    }
}

fn unknown(kid: &str) -> ConfigError {
    ConfigError(format!(
        "there is no key {kid}; `auth-core keys list` shows what there is"
    ))
}

/// When the last token of an old key has expired everywhere, in seconds since 1970; none if the key is not old.
///
/// A node signs with the old key until it is reloaded, which is taken to happen within [`PUBLISHED_MAX_AGE`].
fn expires(ring: &Ring, key: &Key, tokens: &Tokens) -> Option<u64> {
    let stopped = ring.stopped(&key.kid)?;
    Some(stopped + tokens.access_token_seconds + LEEWAY_SECONDS + PUBLISHED_MAX_AGE)
}

fn list(ring: &Ring, directory: &Path, tokens: &Tokens) -> String {
    let signer = ring.signer();
    let mut text = format!("{:<36}  {:<9}  STATE\n", "KID", "ALGORITHM");
    for key in &ring.keys {
        let state = if signer.as_ref().is_ok_and(|signer| signer.kid == key.kid) {
            match ring.history.last() {
                Some((since, _)) => format!("signs since {}", date(*since)),
                None => "signs".to_owned(),
            }
        } else if let Some(expires) = expires(ring, key, tokens) {
            format!("old: its last token expires by {}", date(expires))
        } else if key.signing.is_none() {
            "public: verifies only".to_owned()
        } else {
            format!("next: published since {}", date(published(directory, key)))
        };
        let _ = writeln!(
            text,
            "{:<36}  {:<9}  {state}",
            key.kid,
            format!("{:?}", key.algorithm)
        );
    }
    if let Err(problem) = signer {
        let _ = writeln!(text, "no key signs: {problem}");
    }
    text
}

fn public(ring: &Ring, directory: &Path, kid: &str) -> Result<String, ConfigError> {
    let key = ring.get(kid).ok_or_else(|| unknown(kid))?;
    if key.public.is_none() {
        return Err(ConfigError(format!(
            "{kid} is a shared secret: it has no public half, and whoever checks its tokens can make them"
        )));
    }
    let path = directory.join(format!("{kid}.pem"));
    key.public_pem(&path)
        .map_err(|problem| ConfigError::file(SETTING, &path, problem))
}

/// When the key was put into the directory, in seconds since 1970; 0 if that cannot be told.
fn published(directory: &Path, key: &Key) -> u64 {
    let file = directory.join(format!("{}.pem", key.kid)).metadata();
    let modified = file.and_then(|metadata| metadata.modified()).ok();
    let since = modified.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

fn date(seconds: u64) -> String {
    rfc3339(i64::try_from(seconds).unwrap_or(i64::MAX))
}
