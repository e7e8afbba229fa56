//! The API keys, in a map that HAProxy reads when it starts, and that is replaced while it runs.
//!
//! The map has a line `DIGEST NAME` for each key, and `DIGEST@ROUTE NAME` for each route that it is good for. A line `version HASH` tells
//! one state of it from the others.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use serde_json::Value;

use crate::api_keys::{ApiKey, hex};
use crate::error::Cause;

pub const MAP: &str = "api-keys.map";

/// How long HAProxy may take for a command.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Longest payload of a command, in bytes: with the command it has to fit into HAProxy's buffer, of 16 KiB by default.
const PAYLOAD: usize = 12 * 1024;

/// The keys that a node publishes. None at all if one of them cannot be a key: the others may not be what they seem either.
pub fn parse(published: &Value) -> Option<Vec<ApiKey>> {
    let keys: Vec<ApiKey> = serde_json::from_value(published["keys"].clone()).ok()?;
    keys.iter().all(|key| key.check().is_ok()).then_some(keys)
}

/// The text of the map.
pub fn map(keys: &[ApiKey]) -> String {
    let mut lines = String::new();
    for ApiKey {
        name,
        digest,
        scopes,
    } in keys
    {
        let _ = writeln!(lines, "{digest} {name}");
        for scope in scopes {
            // As the gateway names its routes.
            let _ = writeln!(lines, "{digest}@{} {name}", scope.replace('/', ":"));
        }
    }
    let version = hex(digest::digest(&digest::SHA256, lines.as_bytes()).as_ref());
    format!("version {version}\n{lines}")
}

/// Sees to it that HAProxy has what is in the file: all of it at once.
///
/// # Errors
/// HAProxy is not there, or says no.
pub fn tell(socket: &Path, file: &Path) -> Result<(), Cause> {
    let text = fs::read_to_string(file)?;
    let name = file.display();
    let version = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("version "))
        .unwrap_or_default();
    let has = command(socket, &format!("get map {name} version\n"))?;
    if version.is_empty() || has.contains(&format!("\"{version}\"")) {
        return Ok(());
    }
    let prepared = command(socket, &format!("prepare map {name}\n"))?;
    let number: u32 = prepared
        .trim()
        .strip_prefix("New version created: ")
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("HAProxy cannot take up API keys: {}", prepared.trim()))?;
    for lines in chunks(&text) {
        silent(socket, &format!("add map @{number} {name} <<\n{lines}\n"))?;
    }
    silent(socket, &format!("commit map @{number} {name}\n"))
}

/// Whole lines, in texts that are short enough.
fn chunks(text: &str) -> Vec<String> {
    let mut chunks = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if chunks
            .last()
            .is_some_and(|last| last.len() + line.len() > PAYLOAD)
        {
            chunks.push(String::new());
        }
        if let Some(last) = chunks.last_mut() {
            last.push_str(line);
        }
    }
    chunks
}

/// A command to which nothing is said when it succeeds.
fn silent(socket: &Path, text: &str) -> Result<(), Cause> {
    match command(socket, text)?.trim() {
        "" => Ok(()),
        said => Err(format!("HAProxy cannot take up API keys: {said}").into()),
    }
}

fn command(socket: &Path, text: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(text.as_bytes())?;
    let mut said = String::new();
    stream.take(64 * 1024).read_to_string(&mut said)?;
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str, scopes: &[&str]) -> ApiKey {
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        ApiKey::new(name, &scopes).unwrap().0
    }

    #[test]
    fn the_map_has_a_line_for_each_key_and_each_of_its_routes() {
        let key = key("billing", &["/orders", "shop.example.org/a/b", "/"]);
        let text = map(std::slice::from_ref(&key));
        let (version, lines) = text.split_once('\n').unwrap();
        assert!(version.starts_with("version "));
        let digest = key.digest;
        let expected = [
            format!("{digest} billing"),
            format!("{digest}@:orders billing"),
            format!("{digest}@shop.example.org:a:b billing"),
            format!("{digest}@: billing"),
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_could_be_no_key_is_refused_with_all_that_came_with_it() {
        let good = key("good", &["/orders"]);
        let with = |other: Value| parse(&json!({ "keys": [good, other] }));
        assert!(with(json!(key("other", &["/"]))).is_some());
        let digest = "0".repeat(64);
        for bad in [
            json!({ "name": "a b", "digest": digest, "scopes": ["/"] }),
            json!({ "name": "a\nb", "digest": digest, "scopes": ["/"] }),
            json!({ "name": "a", "digest": "0", "scopes": ["/"] }),
            json!({ "name": "a", "digest": digest, "scopes": [] }),
            json!({ "name": "a", "digest": digest, "scopes": ["/a b"] }),
            json!({ "name": "a", "digest": digest, "scopes": ["orders"] }),
            json!({ "name": "a", "digest": digest }),
        ] {
            assert_eq!(with(bad.clone()), None, "{bad}");
        }
        assert_eq!(parse(&json!({})), None);
    }

    #[test]
    fn long_maps_are_told_in_pieces_of_whole_lines() {
        let keys: Vec<_> = (0..1000)
            .map(|number| key(&format!("key{number}"), &["/a"]))
            .collect();
        let text = map(&keys);
        let chunks = chunks(&text);
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() <= PAYLOAD));
        assert!(chunks.iter().all(|chunk| chunk.ends_with('\n')));
        assert_eq!(chunks.concat(), text);
    }
}
