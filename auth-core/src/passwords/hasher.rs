//! Passwords: in which form they are taken, and how they are stored (scrypt in PHC string format, RFC 7914).

use scrypt::password_hash::{PasswordHasher, PasswordVerifier};
use scrypt::phc::PasswordHash;
use scrypt::{Params, Scrypt};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::config::{self, ConfigError};

/// Longest password, in bytes, as received and in normal form. Far beyond any passphrase; it only bounds the work of a
/// request.
pub const MAX_BYTES: usize = 1024;

/// NFC makes no text longer than this many times its bytes (UAX #15, 9.1).
const NFC_GROWTH: usize = 3;

/// OWASP's first choice for scrypt (N = 2^17, r = 8) fills 128 MiB.
const OWASP_MEMORY: u64 = 128 << 20;

/// A verification may do this many times its memory bound in mixing (the `p` of scrypt).
const MAX_PARALLELISM: u32 = 16;

/// A plaintext password that is wiped from memory when dropped and never printed.
///
/// It is taken in Unicode's normal form NFC (NIST SP 800-63B-4, 3.1.1.2), because keyboards differ in how they write
/// "é", and people do not see it. Apart from that it is what was received: no trimming, no change of case, no truncation
/// (ASVS 5.0, 6.2.8).
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the plaintext over. What is longer than [`MAX_BYTES`] is kept as it is, for it is refused anyway.
    pub fn new(plaintext: String) -> Self {
        let plaintext = Zeroizing::new(plaintext);
        if plaintext.len() > MAX_BYTES {
            return Self(plaintext);
        }
        Self(normal_form(&plaintext))
    }

    /// Whether no account can have this password, whatever the configured policy.
    pub fn is_impossible(&self) -> bool {
        self.is_too_long() || self.has_nul()
    }

    /// Whether it has more than [`MAX_BYTES`].
    pub fn is_too_long(&self) -> bool {
        self.0.len() > MAX_BYTES
    }

    /// Whether it has the NUL character. The HMAC in scrypt pads with it, so "secret" and "secret\0" have the same hash.
    pub fn has_nul(&self) -> bool {
        self.0.contains('\0')
    }

    fn matches(&self, hash: &PasswordHash) -> bool {
        #[cfg(test)]
        tests::count(hash);
        Scrypt::new()
            .verify_password(self.0.as_bytes(), hash)
            .is_ok()
    }

    /// The text, for those who judge it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// NFC, without leaving copies behind: the text never outgrows what is allocated first.
pub(crate) fn normal_form(text: &str) -> Zeroizing<String> {
    let mut normal = Zeroizing::new(String::with_capacity(NFC_GROWTH * text.len()));
    normal.extend(text.nfc());
    normal
}

/// The form in which two texts that differ only in their case or in their Unicode normal form are the same.
pub(crate) fn folded(text: &str) -> Zeroizing<String> {
    let lower = Zeroizing::new(text.to_lowercase());
    normal_form(&lower)
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How new passwords are hashed, and how much work a stored hash may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Hasher {
    params: Params,
}

/// A stored hash that cannot or must not be computed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HashError {
    /// Not a PHC string of scrypt.
    #[error("the stored password hash is not a scrypt PHC string")]
    Malformed,
    /// A planted `ln=30` would ask for a terabyte.
    #[error("the stored password hash asks for more work than is allowed")]
    TooExpensive,
    /// No randomness for a salt.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

impl Hasher {
    /// Hashes with the configured parameters, if they and all else that is configured of passwords are within bounds.
    ///
    /// # Errors
    /// The key, its value and its bounds.
    pub fn from_config(password: &config::Password) -> Result<Self, ConfigError> {
        let config::Scrypt { log_n, r, p } = password.scrypt;
        let within = |key: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            let text = format!("password.{key} = {value} is out of bounds: {least} to {most}");
            Err(ConfigError(text))
        };
        within("scrypt.log_n", log_n.into(), 1, 24)?;
        within("scrypt.r", r, 1, 64)?;
        within("scrypt.p", p, 1, 16)?;
        within("concurrent_hashes", password.concurrent_hashes, 1, 1024)?;
        within(
            "queue_seconds",
            u32::try_from(password.queue_seconds).unwrap_or(u32::MAX),
            1,
            60,
        )?;
        within(
            "min_length",
            u32::try_from(password.min_length).unwrap_or(u32::MAX),
            1,
            256,
        )?;
        let memory = memory(log_n.into(), r);
        if memory > 1 << 30 {
            let mib = memory >> 20;
            return Err(ConfigError(format!(
                "password.scrypt: log_n = {log_n} with r = {r} asks for {mib} MiB a hash, more than 1024"
            )));
        }
        Params::new(log_n, r, p)
            .map(Self::new)
            .map_err(|error| ConfigError(format!("password.scrypt: {error}")))
    }

    /// Hashes with these parameters; they were checked with the configuration.
    pub fn new(params: Params) -> Self {
        Self { params }
    }

    /// The PHC string of a password, with a new random salt. Blocks for as long as the parameters ask for.
    ///
    /// # Errors
    /// [`HashError::Failed`]
    pub fn hash(&self, password: &Password) -> Result<String, HashError> {
        Scrypt::new_with_params(self.params)
            .hash_password(password.0.as_bytes())
            .map(|hash: PasswordHash| hash.to_string())
            .map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Whether the password is the one that was hashed, compared in constant time.
    ///
    /// A wrong one costs what a hash of the current cost does, even where the stored hash is older and cheaper: else the time
    /// would tell which e-mails have an account. A hash that is dearer stays so until its password is changed.
    ///
    /// # Errors
    /// [`HashError::Malformed`] or [`HashError::TooExpensive`], before any work is done
    pub fn verify(&self, password: &Password, stored: &str) -> Result<bool, HashError> {
        let hash = PasswordHash::new(stored).map_err(|_| HashError::Malformed)?;
        if hash.algorithm != scrypt::phc::ALG_ID || hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Malformed);
        }
        let cost = |name, default| hash.params.get_decimal(name).unwrap_or(default);
        let (log_n, r, p) = (cost("ln", 17), cost("r", 8), cost("p", 1));
        if memory(log_n, r) > self.memory().max(OWASP_MEMORY)
            || p > self.params.p().max(MAX_PARALLELISM)
        {
            return Err(HashError::TooExpensive);
        }
        let right = password.matches(&hash);
        if !right {
            for params in self.padding(log_n, r, p) {
                let filler = unmatchable(params);
                password.matches(&PasswordHash::new(&filler).map_err(|_| HashError::Malformed)?);
            }
        }
        Ok(right)
    }

    /// The hashes that are left to do after one of this cost, until the work is that of one of the current cost.
    ///
    /// The largest first that fits what is left. For the same `r` and `p` = 1 these are the powers of two from the current
    /// N / 2 down to the old N, which add up exactly. Work that is too little for N = 2 is left out.
    pub fn padding(&self, log_n: u32, r: u32, p: u32) -> Vec<Params> {
        let done = work(log_n, r, p);
        let mut left =
            work(self.params.log_n().into(), self.params.r(), self.params.p()).saturating_sub(done);
        let mut padding = Vec::new();
        for log_n in (1..=self.params.log_n()).rev() {
            let step = work(log_n.into(), self.params.r(), 1);
            while left >= step
                && let Ok(params) = Params::new(log_n, self.params.r(), 1)
            {
                padding.push(params);
                left -= step;
            }
        }
        padding
    }

    /// Whether a stored hash cost less work than a new one would.
    pub fn is_outdated(&self, stored: &str) -> bool {
        let Ok(hash) = PasswordHash::new(stored) else {
            return false;
        };
        let cost = |name, default| hash.params.get_decimal(name).unwrap_or(default);
        let current = work(self.params.log_n().into(), self.params.r(), self.params.p());
        work(cost("ln", 17), cost("r", 8), cost("p", 1)) < current
    }

    /// A hash of the current cost that no password matches.
    ///
    /// Verifying against it makes a log-in with an unknown e-mail cost what a wrong password costs. It needs no
    /// randomness: the result of the comparison is thrown away.
    pub fn unmatchable(&self) -> String {
        unmatchable(self.params)
    }

    /// Whether a hash costs less than every choice of OWASP's for scrypt (Password Storage Cheat Sheet, 2026).
    pub fn is_weak(&self) -> bool {
        const OWASP: [(u8, u32); 5] = [(17, 1), (16, 2), (15, 3), (14, 5), (13, 10)];
        let (log_n, r, p) = (self.params.log_n(), self.params.r(), self.params.p());
        !OWASP
            .iter()
            .any(|(least_log_n, least_p)| log_n >= *least_log_n && r >= 8 && p >= *least_p)
    }

    fn memory(&self) -> u64 {
        memory(self.params.log_n().into(), self.params.r())
    }
}

fn unmatchable(params: Params) -> String {
    let (log_n, r, p) = (params.log_n(), params.r(), params.p());
    format!(
        "$scrypt$ln={log_n},r={r},p={p}$bm8gYWNjb3VudCBoZXJl${}",
        "A".repeat(43)
    )
}

/// Memory that is mixed for one hash, in bytes.
fn work(log_n: u32, r: u32, p: u32) -> u64 {
    memory(log_n, r).saturating_mul(p.into())
}

/// Memory that one hash fills, in bytes: 128 · r · N.
pub fn memory(log_n: u32, r: u32) -> u64 {
    let n = 1u64.checked_shl(log_n).unwrap_or(u64::MAX);
    n.saturating_mul(u64::from(r)).saturating_mul(128)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static WORK: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count(hash: &PasswordHash) {
        let cost = |name| hash.params.get_decimal(name).unwrap();
        WORK.set(WORK.get() + work(cost("ln"), cost("r"), cost("p")));
    }

    fn hasher(log_n: u8, p: u32) -> Hasher {
        Hasher::new(Params::new(log_n, 8, p).unwrap())
    }

    #[test]
    fn a_wrong_password_costs_the_same_however_cheap_its_hash_was() {
        let (right, wrong) = ["right", "wrong"]
            .map(|text| Password::new(text.to_owned()))
            .into();
        let now = hasher(8, 2);
        for before in [hasher(2, 1), hasher(7, 1), hasher(7, 3), now] {
            let stored = before.hash(&right).unwrap();
            let cost = |password| {
                WORK.set(0);
                (now.verify(password, &stored).unwrap(), WORK.get())
            };
            assert_eq!(cost(&wrong), (false, work(8, 8, 2)), "{stored}");
            assert!(cost(&right).0);
        }
    }
}
