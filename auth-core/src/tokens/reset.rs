//! Reset tokens: how somebody who has lost their password gets another one, by an operator's hand. Random, good once and not for long.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// How long a token is good, in seconds: for as long as it may take to reach somebody.
pub const LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// A reset token in plaintext: wiped from memory when dropped, and never printed by accident.
pub struct ResetToken(Zeroizing<[u8; 32]>);

impl ResetToken {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> Result<Self, Unspecified> {
        let mut token = Self(Zeroizing::new([0; 32]));
        rand::fill(token.0.as_mut())?;
        Ok(token)
    }

    /// Reads what a client sent; none if it cannot be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let mut token = Self(Zeroizing::new([0; 32]));
        let length = BASE64_URL_SAFE_NO_PAD
            .decode_slice(text, token.0.as_mut())
            .ok()?;
        (length == token.0.len()).then_some(token)
    }

    /// What the operator gets: 43 characters of base64url.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.0.as_ref()))
    }

    /// SHA-256 of it, which is all that the database has.
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.0.as_ref())
            .as_ref()
            .to_vec()
    }
}
