//! `auth-core keys follow`: a gateway's copy of the published keys, in the files that HAProxy reads.
//!
//! HAProxy's configuration names `1.pem`, `2.pem` and so on, and `kids.map`, which has a line `KID ALGORITHM-NUMBER` for each key in
//! use. A key keeps its number as long as it is published, and the map is written last: whenever HAProxy is reloaded, it never
//! takes one key for another. Files that the map does not mention stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use clap::Args;
use jsonwebtoken::jwk::Jwk;
use serde_json::Value;
use ureq::Agent;

use crate::error::Cause;
use crate::tokens::keys::Key;

/// Between two looks as long as no key is known.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// How long a node may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A node publishes no more than this, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

const MAP: &str = "kids.map";

/// Where keys are published, and what to do with them.
#[derive(Args)]
pub struct Follow {
    /// The nodes' published keys, such as http://10.0.0.1:8080/.well-known/jwks.json
    #[arg(required = true)]
    urls: Vec<String>,
    /// Directory for N.pem and kids.map
    #[arg(long)]
    to: PathBuf,
    /// How many keys the gateway knows at a time
    #[arg(long)]
    slots: usize,
    /// Seconds between two looks
    #[arg(long)]
    every: u64,
    /// What to run after each change
    #[arg(last = true)]
    then: Vec<String>,
}

/// Follows the keys until the process is ended.
///
/// # Errors
/// A directory that cannot be written.
pub fn run(follow: &Follow) -> Result<(), Cause> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    loop {
        let known = look(follow, &agent)?;
        thread::sleep(if known {
            Duration::from_secs(follow.every)
        } else {
            IMPATIENCE
        });
    }
}

/// Looks once. Answers whether any key is known.
fn look(follow: &Follow, agent: &Agent) -> Result<bool, Cause> {
    let answers: Vec<_> = follow
        .urls
        .iter()
        .filter_map(|url| {
            fetch(agent, url)
                .inspect_err(|error| eprintln!("{url}: {error}"))
                .ok()
        })
        .collect();
    if answers.is_empty() {
        return Ok(!read_map(&follow.to).is_empty());
    }
    // Each node's: while keys are changed on one after the other, some know more than others.
    let published: Published = answers.into_iter().flatten().collect();
    if write(&follow.to, follow.slots, &published)? {
        println!("the keys have changed: {}", names(&published));
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

/// A published key as HAProxy takes it: its algorithm and its SPKI in PEM, by its `kid`.
type Published = BTreeMap<String, (String, String)>;

fn names(published: &Published) -> String {
    let names: Vec<_> = published.keys().map(String::as_str).collect();
    names.join(", ")
}

/// The keys that a node publishes, those that HAProxy can check (ES256, RS256).
fn fetch(agent: &Agent, url: &str) -> Result<Published, Cause> {
    let mut answer = agent.get(url).call()?;
    let text = answer
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER)
        .read_to_string()?;
    Ok(parse(&serde_json::from_str(&text)?))
}

fn parse(set: &Value) -> Published {
    let keys = set["keys"].as_array().map_or(&[][..], Vec::as_slice);
    keys.iter()
        .filter_map(|key| {
            let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
            let (algorithm, pem) = Key::published_pem(&jwk)?;
            Some((jwk.common.key_id?, (format!("{algorithm:?}"), pem)))
        })
        .collect()
}

/// Puts the keys into the directory. Answers whether anything is new.
fn write(directory: &Path, slots: usize, published: &Published) -> io::Result<bool> {
    // With too many of them, the younger ones: names sort by age.
    let published: Vec<_> = published.iter().rev().take(slots).collect();
    let before = read_map(directory);
    let mut places: BTreeMap<&str, usize> = published
        .iter()
        .filter_map(|(kid, _)| Some((kid.as_str(), *before.get(*kid)?)))
        .filter(|(_, place)| (1..=slots).contains(place))
        .collect();
    let mut free: Vec<_> = (1..=slots)
        .filter(|place| !places.values().any(|taken| taken == place))
        .collect();
    for (kid, _) in &published {
        if !places.contains_key(kid.as_str())
            && let Some(place) = free.pop()
        {
            places.insert(kid, place);
        }
    }

    let mut changed = false;
    let mut map = String::new();
    for (kid, (algorithm, pem)) in published {
        if let Some(place) = places.get(kid.as_str()) {
            changed |= replace(&directory.join(format!("{place}.pem")), pem)?;
            map += &format!("{kid} {algorithm}-{place}\n");
        }
    }
    let path = directory.join(MAP);
    if changed && fs::read_to_string(&path).is_ok_and(|old| old == map) {
        // Whoever waits for a change watches this file.
        put(&path, &map)?;
    }
    Ok(changed | replace(&path, &map)?)
}

/// The places that keys have. Two keys at one place are none.
fn read_map(directory: &Path) -> BTreeMap<String, usize> {
    let text = fs::read_to_string(directory.join(MAP)).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (kid, place) = line.split_once(' ')?;
            let (_, place) = place.rsplit_once('-')?;
            Some((kid.to_owned(), place.parse().ok()?))
        })
        .collect()
}

/// Writes a file, whole or not at all, unless it says so already.
fn replace(path: &Path, text: &str) -> io::Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    put(path, text).map(|()| true)
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_added_extension("new");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Published {
        let key = |name: &&str| {
            let pem = format!("PEM of {name}");
            ((*name).to_owned(), ("ES256".to_owned(), pem))
        };
        names.iter().map(key).collect()
    }

    /// What HAProxy would take the key for.
    fn pem(directory: &Path, kid: &str) -> Option<String> {
        let place = *read_map(directory).get(kid)?;
        fs::read_to_string(directory.join(format!("{place}.pem"))).ok()
    }

    #[test]
    fn a_key_keeps_its_file_while_others_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path();
        assert!(write(to, 3, &keys(&["b"])).unwrap());
        let place = read_map(to)["b"];
        for names in [&["a", "b"][..], &["a", "b", "c"], &["b", "c"], &["b", "d"]] {
            assert!(write(to, 3, &keys(names)).unwrap());
            assert!(
                !write(to, 3, &keys(names)).unwrap(),
                "nothing is new the second time"
            );
            assert_eq!(read_map(to)["b"], place);
            for name in names {
                assert_eq!(pem(to, name), Some(format!("PEM of {name}")));
            }
            assert_eq!(read_map(to).len(), names.len());
        }
    }

    #[test]
    fn of_too_many_keys_the_youngest_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), 2, &keys(&["a", "b", "c"])).unwrap();
        let map = read_map(directory.path());
        assert_eq!(map.keys().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn what_is_no_key_that_haproxy_can_check_is_left_out() {
        for text in [
            r#"{}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}"#,
            r#"{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
            r#"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}, 7, null]}"#,
        ] {
            assert!(
                parse(&serde_json::from_str(text).unwrap()).is_empty(),
                "{text}"
            );
        }
    }
}
