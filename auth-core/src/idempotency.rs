//! `Idempotency-Key`: a repeated sign-up answers for the account that the first one made.
//!
//! A gateway repeats a request whose answer it did not get. With the key the core can tell a repeat from a second
//! sign-up (draft-ietf-httpapi-idempotency-key-header).

use aws_lc_rs::{digest, hmac};

/// How long a key is remembered, in seconds.
pub const REMEMBERED_SECONDS: u64 = 24 * 60 * 60;

/// The stored traces of a key and of the request it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// SHA-256 of the key.
    pub key_hash: Vec<u8>,
    /// HMAC-SHA-256 of the request body under the key.
    ///
    /// The body has the password in it, and a plain fast hash of it could be guessed offline by whoever reads the
    /// table. The key is not in the table, so the tag cannot.
    pub body_tag: Vec<u8>,
}

/// The key is not 8 to 255 visible ASCII characters.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAKey;

impl IdempotencyKey {
    /// Reads the header's value.
    ///
    /// # Errors
    /// [`NotAKey`]
    pub fn new(key: &[u8], body: &[u8]) -> Result<Self, NotAKey> {
        if !(8..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            return Err(NotAKey);
        }
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), body);
        Ok(Self {
            key_hash: digest::digest(&digest::SHA256, key).as_ref().to_vec(),
            body_tag: tag.as_ref().to_vec(),
        })
    }
}
