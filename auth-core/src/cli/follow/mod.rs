//! `auth-core keys follow`: a gateway's copy of the keys that nodes publish: of those that verify tokens, and of those of machines.

mod api_keys;
mod token_keys;
mod whole_file;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use ureq::Agent;

use super::authorities;
use crate::config::ConfigError;
use crate::error::Cause;
use token_keys::Published;

/// Between two looks as long as no key is known.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// How long a node may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A node publishes no more than this, in bytes: a thousand API keys with all scopes that they may have.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// Where keys are published, and what to do with them.
#[derive(Args)]
pub struct Follow {
    /// The nodes, such as http://10.0.0.1:8080
    #[arg(required = true)]
    nodes: Vec<String>,
    /// PEM file with the certificates by which nodes at https:// are known
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Directory for N.pem, kids.map and api-keys.map
    #[arg(long)]
    to: PathBuf,
    /// How many keys that verify tokens the gateway knows at a time
    #[arg(long)]
    slots: usize,
    /// Seconds between two looks
    #[arg(long)]
    every: u64,
    /// HAProxy's runtime socket (level admin): API keys are followed, too, and told to it
    #[arg(long, value_name = "SOCKET")]
    api_keys: Option<PathBuf>,
    /// What to run after each change of the keys that verify tokens
    #[arg(last = true)]
    then: Vec<String>,
}

/// Follows the keys until the process is ended.
///
/// # Errors
/// A directory that cannot be written, or no certificates where `--ca` says.
pub fn run(follow: &Follow) -> Result<(), Cause> {
    let agent = agent(follow.ca.as_deref())?;
    loop {
        let known = follow_token_keys(follow, &agent)?;
        if let Some(socket) = &follow.api_keys {
            follow_api_keys(follow, &agent, socket)?;
        }
        thread::sleep(if known {
            Duration::from_secs(follow.every)
        } else {
            IMPATIENCE
        });
    }
}

fn agent(ca: Option<&Path>) -> Result<Agent, ConfigError> {
    let known = match ca {
        Some(path) => authorities::read("--ca", path)?,
        None => Vec::new(),
    };
    Ok(authorities::client(known, TIMEOUT).build().into())
}

/// Looks once at the keys that verify tokens. Answers whether any is known.
fn follow_token_keys(follow: &Follow, agent: &Agent) -> Result<bool, Cause> {
    // Each node's: while keys are changed on one after the other, some know more than others.
    let published: Vec<_> = follow
        .nodes
        .iter()
        .filter_map(|node| fetch(agent, node, "/.well-known/jwks.json"))
        .map(|set| token_keys::parse(&set))
        .collect();
    if published.is_empty() {
        return Ok(token_keys::any(&follow.to));
    }
    let published: Published = published.into_iter().flatten().collect();
    if token_keys::write(&follow.to, follow.slots, &published)? {
        println!("the keys have changed: {}", token_keys::names(&published));
        if let [program, arguments @ ..] = follow.then.as_slice() {
            match Command::new(program).args(arguments).status() {
                Ok(status) if status.success() => {}
                Ok(status) => eprintln!("{program}: {status}"),
                Err(error) => eprintln!("{program}: {error}"),
            }
        }
    }
    Ok(true)
}

/// Looks once at the API keys, which all nodes have in one database.
fn follow_api_keys(follow: &Follow, agent: &Agent, socket: &Path) -> Result<(), Cause> {
    let found = follow
        .nodes
        .iter()
        .find_map(|node| api_keys::parse(&fetch(agent, node, "/api-keys")?));
    let file = follow.to.join(api_keys::MAP);
    if let Some(keys) = found
        && whole_file::replace(&file, &api_keys::map(&keys))?
    {
        println!("there are {} API keys now", keys.len());
    }
    // Each time: it may have been started with an older file meanwhile.
    if let Err(problem) = api_keys::tell(socket, &file) {
        eprintln!("{}: {problem}", socket.display());
    }
    Ok(())
}

/// What a node publishes at a path, in JSON.
fn fetch(agent: &Agent, node: &str, path: &str) -> Option<Value> {
    let url = format!("{}{path}", node.trim_end_matches('/'));
    let read = || -> Result<Value, Cause> {
        let mut answer = agent.get(&url).call()?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()?;
        Ok(serde_json::from_str(&text)?)
    };
    read().inspect_err(|error| eprintln!("{url}: {error}")).ok()
}
