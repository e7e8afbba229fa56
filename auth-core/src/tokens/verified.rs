//! Tokens that were verified a moment ago: who asks again with the same token is spared the check of its signature.
//!
//! A token is found by the SHA-256 of all its bytes, so one that differs in a bit is another one. What is kept belongs to
//! one key ring and goes with it: after a reload every token is checked anew. Whether its session has ended is not kept
//! here; that is asked each time.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use super::{Claims, LEEWAY_SECONDS};

/// Tokens of one generation; two are kept, with a kilobyte for each token.
const MOST: usize = 4096;

type Digest = [u8; 32];

/// The tokens that were verified with one key ring.
#[derive(Default)]
pub(super) struct Verified(Mutex<Generations>);

/// What was not asked for while a whole generation came is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Claims>,
    old: HashMap<Digest, Claims>,
}

impl Verified {
    /// The claims of a token that was verified before and has not expired at `now` (seconds since 1970).
    pub(super) fn get(&self, token: &str, now: u64) -> Option<Claims> {
        let key = key(token);
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = generations.young.get(&key) {
            return claims.is_current(now).then(|| claims.clone());
        }
        let claims = generations.old.remove(&key)?;
        let current = claims.is_current(now).then(|| claims.clone());
        generations.keep(key, claims);
        current
    }

    /// Remembers a token that has just been verified.
    pub(super) fn keep(&self, token: &str, claims: &Claims) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.keep(key(token), claims.clone());
    }
}

impl Generations {
    fn keep(&mut self, key: Digest, claims: Claims) {
        if self.young.len() >= MOST {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, claims);
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

    fn claims(exp: u64) -> Claims {
        Claims {
            iss: String::new(),
            aud: String::new(),
            sub: String::new(),
            sid: String::new(),
            email: String::new(),
            role: String::new(),
            iat: 0,
            exp,
            jti: String::new(),
        }
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

    #[test]
    fn no_more_than_two_generations_are_kept_and_of_these_what_was_asked_for_last() {
        let verified = Verified::default();
        for i in 0..10 * MOST {
            verified.keep(&i.to_string(), &claims(i as u64));
            assert!(verified.get("0", 0).is_some(), "asked for all the time");
        }
        let generations = verified.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * MOST + 1);
    }
}
