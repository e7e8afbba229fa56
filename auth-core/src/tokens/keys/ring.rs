//! A key ring as it is read.

use std::io::ErrorKind;
use std::path::Path;

use super::key::Key;
use crate::config::ConfigError;

/// The configuration key that names the directory.
pub(crate) const SETTING: &str = "tokens.key_directory";

/// The file that says which key signs.
pub(super) const SIGNING: &str = "signing";

/// The keys of a directory, and when they signed.
pub struct Ring {
    /// All of them, by `kid`.
    pub keys: Vec<Key>,
    /// Since when which key signed, in seconds since 1970; the last one signs.
    pub(crate) history: Vec<(u64, String)>,
}

impl Ring {
    /// Reads a directory. Files that do not end in `.pem` are none of ours.
    ///
    /// # Errors
    /// The file that is not what it must be, by name.
    pub fn read(directory: &Path) -> Result<Self, ConfigError> {
        if directory.as_os_str().is_empty() {
            let text = format!(
                "{SETTING} is not set: it names the directory with the keys that sign tokens; \
                 `auth-core keys generate --set {SETTING}=DIR` makes one"
            );
            return Err(ConfigError(text));
        }
        let wrong = |error: std::io::Error| ConfigError::file(SETTING, directory, error);
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                keys.push(
                    Key::read(&path)
                        .map_err(|problem| ConfigError::file(SETTING, &path, problem))?,
                );
            }
        }
        keys.sort_by(|one, other| one.kid.cmp(&other.kid));

        let path = directory.join(SIGNING);
        let history = match std::fs::read_to_string(&path) {
            Ok(text) => text
                .lines()
                .map(began)
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    ConfigError::file(
                        SETTING,
                        &path,
                        "expected a line `SECONDS KID` for each key that signed",
                    )
                })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(ConfigError::file(SETTING, &path, error)),
        };
        Ok(Self { keys, history })
    }

    /// The key that signs.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub fn signer(&self) -> Result<&Key, String> {
        if let Some((_, kid)) = self.history.last() {
            let key = self.get(kid).filter(|key| key.signing.is_some());
            return key.ok_or_else(|| {
                format!("the file `{SIGNING}` says that {kid} signs, but there is no private key {kid}.pem")
            });
        }
        let mut private = self.keys.iter().filter(|key| key.signing.is_some());
        match (private.next(), private.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => {
                Err("there is no private key; `auth-core keys generate` makes one".to_owned())
            }
            (Some(_), Some(_)) => Err(format!(
                "there are several private keys and no file `{SIGNING}`; `auth-core keys rotate KID` says which one signs"
            )),
        }
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// When a key signed last, in seconds since 1970; none if it never did or still does.
    pub(crate) fn stopped(&self, kid: &str) -> Option<u64> {
        let last = self.history.iter().rposition(|(_, signer)| signer == kid)?;
        self.history.get(last + 1).map(|(since, _)| *since)
    }

    pub(crate) fn has_signed(&self, kid: &str) -> bool {
        self.history.iter().any(|(_, signer)| signer == kid)
    }
}

fn began(line: &str) -> Option<(u64, String)> {
    let (since, kid) = line.split_once(' ')?;
    Some((since.parse().ok()?, kid.to_owned()))
}
