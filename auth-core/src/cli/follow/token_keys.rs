//! The keys that verify tokens, in the files that HAProxy reads when it starts and when it is reloaded.
//!
//! HAProxy's configuration names `1.pem`, `2.pem` and so on, and `kids.map`, which has a line `KID ALGORITHM-NUMBER` for each key in
//! use. A key keeps its number as long as it is published, and the map is written last: whenever HAProxy is reloaded, it never
//! takes one key for another. Files that the map does not mention stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jsonwebtoken::jwk::Jwk;
use serde_json::Value;

use super::whole_file::{put, replace};
use crate::tokens::keys::Key;

const MAP: &str = "kids.map";

/// A published key as HAProxy takes it: its algorithm and its SPKI in PEM, by its `kid`.
pub type Published = BTreeMap<String, (String, String)>;

/// Which keys these are.
pub fn names(published: &Published) -> String {
    let names: Vec<_> = published.keys().map(String::as_str).collect();
    names.join(", ")
}

/// The keys of a JWKS (RFC 7517), those that HAProxy can check (ES256, RS256).
pub fn parse(set: &Value) -> Published {
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
///
/// # Errors
/// The directory cannot be written.
pub fn write(directory: &Path, slots: usize, published: &Published) -> io::Result<bool> {
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

/// Whether any key is there.
pub fn any(directory: &Path) -> bool {
    !read_map(directory).is_empty()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tokens::keys::{Change, Kind};

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
    fn a_published_key_is_the_one_of_the_key_ring() {
        let directory = tempfile::tempdir().unwrap();
        let change = Change::begin(directory.path()).unwrap();
        let expected: Published = [(Kind::Es256, "ES256"), (Kind::Rs256, "RS256")]
            .map(|(kind, algorithm)| {
                let kid = change.generate(kind, 1).unwrap();
                let path = directory.path().join(format!("{kid}.pem"));
                let key = change.ring().unwrap();
                let pem = key.get(&kid).unwrap().public_pem(&path).unwrap();
                (kid, (algorithm.to_owned(), pem))
            })
            .into();
        let keys = change.ring().unwrap().keys;
        let published: Vec<_> = keys.into_iter().filter_map(|key| key.public).collect();
        assert_eq!(parse(&json!({ "keys": published })), expected);
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
