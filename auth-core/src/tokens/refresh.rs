//! Refresh tokens: opaque, random, good once (RFC 9700, 4.14.2).
//!
//! A token has two parts: 16 bytes that all tokens of a session share, by which the session is found, and 32 bytes that
//! are new with each use. The database holds SHA-256 of both, so nobody can use what they read there.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::idempotency::IdempotencyKey;

const FAMILY: usize = 16;
const BYTES: usize = FAMILY + 32;

/// A refresh token in plaintext: wiped from memory when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(Zeroizing<[u8; BYTES]>);

impl RefreshToken {
    /// The first token of a session.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> Result<Self, Unspecified> {
        let mut token = Self(Zeroizing::new([0; BYTES]));
        rand::fill(token.0.as_mut())?;
        Ok(token)
    }

    /// Reads what a client sent; none if it cannot be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let mut token = Self(Zeroizing::new([0; BYTES]));
        let length = BASE64_URL_SAFE_NO_PAD
            .decode_slice(text, token.0.as_mut())
            .ok()?;
        (length == BYTES).then_some(token)
    }

    /// What the client gets: 64 characters of base64url.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0.as_ref())
    }

    /// SHA-256 of what the session's tokens share.
    pub fn family_hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.0[..FAMILY])
            .as_ref()
            .to_vec()
    }

    /// SHA-256 of the token.
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.0.as_ref())
            .as_ref()
            .to_vec()
    }

    /// The token that follows this one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn next(&self) -> Result<Self, Unspecified> {
        let mut next = self.clone();
        rand::fill(&mut next.0[FAMILY..])?;
        Ok(next)
    }

    /// The token that a request with an idempotency key leads to: the one after `used`, or the first of its session.
    ///
    /// A repeat of the request gets the same one, without the token being stored: who reads the database has neither the
    /// key nor the request, which has a password or another token in it.
    pub fn made_for(key: &IdempotencyKey, session: &str, used: Option<&Self>) -> Self {
        let mut token = used.cloned().unwrap_or_else(|| {
            let mut first = Self(Zeroizing::new([0; BYTES]));
            first.0[..FAMILY].copy_from_slice(&key.derive("family", session)[..FAMILY]);
            first
        });
        token.0[FAMILY..].copy_from_slice(&key.derive("refresh token", session));
        token
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}
