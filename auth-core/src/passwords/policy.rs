//! Which passwords an account can get (NIST SP 800-63B-4, 3.1.1.2; OWASP ASVS 5.0, 6.2): long enough, and not among those
//! that others try first. No rule asks for digits, capitals or symbols.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::common::{is_digits_only, is_made_of, is_repeated, words_of};
use crate::config::{Config, ConfigError};
use crate::error::AuthError;
use crate::passwords::{MAX_BYTES, Password, folded};

/// The configuration key that names a list.
const SETTING: &str = "password.blocklist_file";

/// Longest list, in bytes: room for a million passwords.
const MAX_LIST: u64 = 16 << 20;

const ADVICE: &str = "Use several words that have nothing to do with each other or with you, or let a password manager make one up.";

/// What a new password is held against.
pub struct PasswordPolicy {
    min_length: usize,
    /// The list of the file, folded; none if the built-in words are used.
    listed: Option<HashSet<String>>,
    /// What the service is called, folded.
    service: Vec<String>,
}

impl PasswordPolicy {
    /// Takes the policy from the configuration, and reads the list if it names one.
    ///
    /// # Errors
    /// A list that cannot be used: the key, the file and what is wrong.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let min_length = config.password.min_length;
        let list = config.password.blocklist_file.as_deref();
        Ok(Self {
            min_length,
            listed: list.map(|path| read_list(path, min_length)).transpose()?,
            service: [&config.tokens.issuer, &config.tokens.audience]
                .into_iter()
                .flat_map(|name| words_of(&folded(name)))
                .collect(),
        })
    }

    /// Accepts or refuses a password for the account with this e-mail address.
    ///
    /// # Errors
    /// [`AuthError::WeakPassword`], which says why and what to do, or [`AuthError::NulInPassword`]
    pub fn check(&self, password: &Password, email: &str) -> Result<(), AuthError> {
        let refused = |why: String| Err(AuthError::WeakPassword(why));
        if password.is_too_long() {
            return refused(format!("The password must have at most {MAX_BYTES} bytes."));
        }
        if password.has_nul() {
            return Err(AuthError::NulInPassword);
        }
        if password.text().chars().count() < self.min_length {
            let least = self.min_length;
            return refused(format!(
                "The password must have at least {least} characters."
            ));
        }
        match self.guessable(&folded(password.text()), email) {
            Some(why) => refused(format!("{why} {ADVICE}")),
            None => Ok(()),
        }
    }

    /// Why others would guess a password soon.
    fn guessable(&self, password: &str, email: &str) -> Option<&'static str> {
        if is_repeated(password) {
            return Some("The password only repeats a short piece.");
        }
        if is_digits_only(password) {
            return Some("The password has nothing but digits.");
        }
        let mut own = words_of(&folded(email));
        own.extend_from_slice(&self.service);
        if is_made_of(password, &own, self.listed.is_none()) {
            return Some(
                "The password is easy to guess: it has nothing but common words, rows of keys, your e-mail address or the name of this service.",
            );
        }
        if self
            .listed
            .as_ref()
            .is_some_and(|listed| listed.contains(password))
        {
            return Some("The password is on the list of those that many people use.");
        }
        None
    }
}

/// Reads a list: a password a line, whatever it begins with. Those that are too short or too long to be chosen are left out.
fn read_list(path: &Path, min_length: usize) -> Result<HashSet<String>, ConfigError> {
    let wrong = |problem: String| ConfigError::file(SETTING, path, problem);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_LIST + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > MAX_LIST {
        return Err(wrong(format!("is longer than {} MiB", MAX_LIST >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("line {line} is not UTF-8"))
    })?;
    let listed: HashSet<String> = text
        .lines()
        .filter(|line| line.len() <= MAX_BYTES)
        .map(|line| folded(line).as_str().to_owned())
        .filter(|line| line.chars().count() >= min_length)
        .collect();
    if listed.is_empty() {
        return Err(wrong(format!(
            "none of its lines has the {min_length} characters of password.min_length, so it could not refuse anything"
        )));
    }
    Ok(listed)
}
