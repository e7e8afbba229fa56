//! Looks for secrets in whatever text they might have got into.

use std::{
    collections::BTreeSet,
    fs, process,
    time::{SystemTime, UNIX_EPOCH},
};

use reqwest::RequestBuilder;
use serde_json::Value;

use crate::support::{TestStack, code};

/// Fourteen digits that are nowhere else.
pub fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{:014x}", now.as_nanos() & 0xff_ffff_ffff_ffff)
}

/// Secrets, and all texts in which none may be: each by its name.
#[derive(Default)]
pub struct Search {
    secrets: Vec<(String, String)>,
    texts: Vec<(String, String)>,
}

impl Search {
    /// A password or a key that nobody has used before, so that finding it anywhere is a leak.
    pub fn fresh(&mut self, what: &str) -> String {
        let secret = format!("{}-otter-{:x}", unique(), process::id());
        self.secret(what, &secret);
        secret
    }

    pub fn secret(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 14, "{what} could be found by chance");
        self.secrets.push((what.to_owned(), secret.to_owned()));
    }

    /// The tokens of a session.
    #[track_caller]
    pub fn session(&mut self, answer: &Value, operation: &str) -> (String, String) {
        let session = &answer["data"][operation];
        let token = |name: &str| {
            let token = session[name].as_str();
            token
                .unwrap_or_else(|| panic!("no {name}: {answer}"))
                .to_owned()
        };
        let (access, refresh) = (token("accessToken"), token("refreshToken"));
        self.secret("an access token", &access);
        self.secret("a token's signature", access.rsplit('.').next().unwrap());
        self.secret("a refresh token", &refresh);
        (access, refresh)
    }

    /// A file's secret lines: all of a password, and what is between the borders of private keys.
    pub fn file(&mut self, stack: &TestStack, file: &str) {
        let text = fs::read_to_string(stack.directory().join("keys").join(file)).unwrap();
        let begin = text.find("-----BEGIN PRIVATE KEY").unwrap_or_default();
        for line in text[begin..].lines().filter(|line| line.len() >= 16) {
            if !line.starts_with('-') {
                self.secret(file, line);
            }
        }
    }

    pub fn text(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.texts.push((place.into(), text.into()));
    }

    /// Sends what must be refused with `expected`, and keeps the answer.
    pub async fn refused(&mut self, expected: &str, request: RequestBuilder) {
        let answer = request.send().await.unwrap().text().await.unwrap();
        let json = serde_json::from_str(&answer).unwrap_or_default();
        assert_eq!(code(&json), expected, "{answer}");
        self.text(format!("an answer with {expected}"), answer);
    }

    /// What is where. The secrets themselves are not told.
    pub fn leaks(&self) -> BTreeSet<String> {
        let mut leaks = BTreeSet::new();
        for (place, text) in &self.texts {
            for (what, secret) in &self.secrets {
                if text.contains(secret.as_str()) {
                    leaks.insert(format!("{what} in {place}"));
                }
            }
        }
        leaks
    }

    /// That a place was looked at: its text has these words.
    #[track_caller]
    pub fn assert_seen(&self, place: &str, words: &str) {
        let mut texts = self.texts.iter().filter(|(name, _)| name == place);
        assert!(
            texts.any(|(_, text)| text.contains(words)),
            "nothing of {words} in {place}"
        );
    }
}
