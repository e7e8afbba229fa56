//! Keys of machines: opaque, random, good until they are revoked. The gateway checks them; this is what it is told.
//!
//! A key is 32 random bytes, so a fast hash of it tells as little as a slow one would of a password: the database, the gateway and
//! whoever reads theirs have SHA-256 of it alone.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What each key begins with, by which scanners for secrets know it.
pub const PREFIX: &str = "authstack_";

/// How many keys there may be: a gateway holds all of them in memory.
pub const MOST: u16 = 1000;

/// How many routes a key may be good for.
pub const MOST_SCOPES: usize = 16;

const LONGEST_NAME: usize = 50;
const LONGEST_SCOPE: usize = 128;

/// A key as it is stored and published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Whose it is.
    pub name: String,
    /// SHA-256 of the key, in lower-case hexadecimal.
    pub digest: String,
    /// The gateway's routes that it is good for, as its options name them: `/orders` or `shop.example.org/orders`.
    pub scopes: Vec<String>,
}

impl ApiKey {
    /// A new key, and its text, which nobody can find out later.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(name: &str, scopes: &[String]) -> Result<(Self, Zeroizing<String>), Unspecified> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut())?;
        let text = Zeroizing::new(format!(
            "{PREFIX}{}",
            BASE64_URL_SAFE_NO_PAD.encode(bytes.as_ref())
        ));
        let key = Self {
            name: name.to_owned(),
            digest: hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()),
            scopes: scopes.to_vec(),
        };
        Ok((key, text))
    }

    /// Whether it can be a key's: nothing else reaches the gateway's files. `Err` says what is wrong.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if !is_name(&self.name) || self.name.len() > LONGEST_NAME {
            return Err(format!(
                "{:?} is no name of a key: take up to {LONGEST_NAME} letters, digits, `.`, `_` and `-`",
                self.name
            ));
        }
        if self.digest.len() != 64 || !self.digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("the digest of {} is none", self.name));
        }
        if self.scopes.is_empty() || self.scopes.len() > MOST_SCOPES {
            return Err(format!("a key has 1 to {MOST_SCOPES} scopes"));
        }
        for scope in &self.scopes {
            let is_route = scope.split_once('/').is_some_and(|(host, path)| {
                (host.is_empty() || is_name(host))
                    && (path.is_empty() || path.split('/').all(is_name))
            });
            if !is_route || scope.len() > LONGEST_SCOPE {
                return Err(format!(
                    "{scope:?} is no route: a scope is written as the gateway's option has it, such as \"/orders\" or \
                     \"shop.example.org/orders\", in up to {LONGEST_SCOPE} characters"
                ));
            }
        }
        Ok(())
    }
}

/// In lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
