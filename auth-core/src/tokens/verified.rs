//! Tokens that were verified a moment ago: who asks again with the same token is spared the check of its signature.
//!
//! A token is found by the SHA-256 of all its bytes, so one that differs in a bit is another one. Whoever has a token can
//! write it in a second way, for an ECDSA signature (r, n − s) is as good as (r, s): good for remembering, as that one is
//! checked anew, but never deny tokens by their bytes.
//!
//! What is kept belongs to one key ring and goes with it: after a reload every token is checked anew. Whether its session
//! has ended is not kept here; that is asked each time.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::claims::{Claims, LEEWAY_SECONDS};
use crate::recent::Recent;

/// Tokens of one generation; two are kept, with a kilobyte for each token.
const MOST: usize = 4096;

type Digest = [u8; 32];

/// The tokens that were verified with one key ring.
pub(super) struct Verified(Recent<Digest, Arc<Claims>>);

impl Default for Verified {
    fn default() -> Self {
        Self(Recent::new(MOST))
    }
}

impl Verified {
    /// The claims of a token that was verified before and has not expired at `now` (seconds since 1970).
    pub(super) fn get(&self, token: &str, now: u64) -> Option<Arc<Claims>> {
        let claims = self.0.get(&key(token))?;
        claims.is_current(now).then_some(claims)
    }

    /// Remembers a token that has just been verified.
    pub(super) fn keep(&self, token: &str, claims: &Arc<Claims>) {
        self.0.keep(key(token), Arc::clone(claims));
    }
}

impl Claims {
    fn is_current(&self, now: u64) -> bool {
        self.exp.saturating_add(LEEWAY_SECONDS) >= now
    }
}

fn key(token: &str) -> Digest {
    let mut key = Digest::default();
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(exp: u64) -> Arc<Claims> {
        Arc::new(Claims {
            iss: String::new(),
            aud: String::new(),
            sub: String::new(),
            sid: String::new(),
            email: String::new(),
            role: String::new(),
            iat: 0,
            exp,
            jti: String::new(),
        })
    }

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let verified = Verified::default();
        verified.keep("a token", &claims(1000));
        assert_eq!(verified.get("a token", 1030), Some(claims(1000)));
        assert_eq!(verified.get("a token", 1031), None);
    }

    #[test]
    fn another_token_is_not_taken_for_it() {
        let verified = Verified::default();
        verified.keep("a token", &claims(1000));
        for other in ["A token", "a token ", "a toke", ""] {
            assert_eq!(verified.get(other, 0), None, "{other:?}");
        }
    }
}
