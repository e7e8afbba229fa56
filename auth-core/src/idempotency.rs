//! `Idempotency-Key`: by it the repeat of a request is told apart from a second one
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! A gateway repeats a request whose answer it did not get, and so do clients. What a repeat gets is for
//! [`crate::accounts`] to decide.

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

/// How long a key is remembered, in seconds.
pub const REMEMBERED_SECONDS: u64 = 24 * 60 * 60;

/// The traces of a key and of the request it came with. What is stored gives neither away, if the key cannot be guessed.
#[derive(Clone)]
pub struct IdempotencyKey {
    /// SHA-256 of the key. Stored.
    pub key_hash: Vec<u8>,
    /// HMAC-SHA-256 of the request, its `Authorization` and body, under the key. Stored.
    ///
    /// The body has the password in it, and a plain fast hash of it could be guessed offline by whoever reads the
    /// table. The key is not in the table, so the tag cannot.
    pub request_tag: Vec<u8>,
    /// The same with another label: only who has the key and the request can make it. Never stored.
    secret: Zeroizing<Vec<u8>>,
}

/// The key is not 8 to 255 visible ASCII characters.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAKey;

impl IdempotencyKey {
    /// Reads the header's value, for a request with this access token and body.
    ///
    /// # Errors
    /// [`NotAKey`]
    pub fn new(key: &[u8], bearer: Option<&str>, body: &[u8]) -> Result<Self, NotAKey> {
        if !(8..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            return Err(NotAKey);
        }
        let bearer = bearer.unwrap_or_default().as_bytes();
        let length = bearer.len().to_be_bytes();
        let signed = |label: &[u8]| sign(key, &[label, &length, bearer, body]);
        Ok(Self {
            key_hash: digest::digest(&digest::SHA256, key).as_ref().to_vec(),
            request_tag: signed(b"tag"),
            secret: Zeroizing::new(signed(b"key")),
        })
    }

    /// 32 bytes for one use in one session, the same for each repeat and unknown to all others.
    pub fn derive(&self, purpose: &str, session: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(sign(
            &self.secret,
            &[purpose.as_bytes(), session.as_bytes()],
        ))
    }
}

fn sign(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}
