//! Changes to the key ring. Each one holds a lock on the directory and writes its files whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use uuid::Uuid;

use super::key::Kind;
use super::ring::{Ring, SETTING, SIGNING};
use crate::config::ConfigError;

/// The right to change a key ring. Others wait for it, and the system takes it back when the process ends.
pub(crate) struct Change<'a> {
    directory: &'a Path,
    lock: File,
}

impl<'a> Change<'a> {
    /// Waits for the lock. Makes the directory if there is none.
    pub(crate) fn begin(directory: &'a Path) -> Result<Self, ConfigError> {
        let made = DirBuilder::new().mode(0o700).create(directory);
        let lock = match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => File::open(directory),
        };
        lock.and_then(|lock| lock.lock().map(|()| Self { directory, lock }))
            .map_err(|error| ConfigError::file(SETTING, directory, error))
    }

    pub(crate) fn ring(&self) -> Result<Ring, ConfigError> {
        Ring::read(self.directory)
    }

    /// Makes a key and returns its `kid`. It does not sign yet, unless it is the first.
    pub(crate) fn generate(&self, kind: Kind, now: u64) -> Result<String, ConfigError> {
        let ring = self.ring()?;
        let signer = ring.signer().map(|key| key.kid.clone()).ok();
        if let (Some(signer), true) = (&signer, ring.history.is_empty()) {
            // The only private key is about to have company: put down that it goes on signing.
            self.sign_with(&ring, signer, now)?;
        }
        let text = kind.generate().map_err(|_| {
            ConfigError("cannot make a key: the system has no randomness".to_owned())
        })?;
        // Of version 7: names sort by age.
        let kid = Uuid::now_v7().to_string();
        self.write(&format!("{kid}.pem"), text.as_bytes())?;
        if signer.is_none() && ring.keys.iter().all(|key| key.signing.is_none()) {
            self.sign_with(&ring, &kid, now)?;
        }
        Ok(kid)
    }

    /// Signs with a key from now on.
    pub(crate) fn sign_with(&self, ring: &Ring, kid: &str, now: u64) -> Result<(), ConfigError> {
        let lines = ring
            .history
            .iter()
            .map(|(since, kid)| (*since, kid.as_str()));
        let text: String = lines
            .chain([(now, kid)])
            .map(|(since, kid)| format!("{since} {kid}\n"))
            .collect();
        self.write(SIGNING, text.as_bytes())
    }

    /// Removes a key for good.
    pub(crate) fn remove(&self, kid: &str) -> Result<(), ConfigError> {
        let path = self.directory.join(format!("{kid}.pem"));
        fs::remove_file(&path)
            .and_then(|()| self.lock.sync_all())
            .map_err(|error| ConfigError::file(SETTING, &path, error))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ConfigError> {
        let path = self.directory.join(name);
        self.write_whole(&path, bytes)
            .map_err(|error| ConfigError::file(SETTING, &path, error))
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = path.with_added_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        let (directory, own) = (self.lock.metadata()?, file.metadata()?);
        if (directory.uid(), directory.gid()) != (own.uid(), own.gid()) {
            // Made by root for a service that is not: the service must be able to read it.
            fchown(&file, Some(directory.uid()), Some(directory.gid()))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        self.lock.sync_all()
    }
}

/// Makes the first key of a directory that has none, or is not there. Does nothing where a key is already.
///
/// # Errors
/// A directory that cannot be written, or a key in it that is broken.
pub(crate) fn make_first_key(directory: &Path, now: u64) -> Result<(), ConfigError> {
    let change = Change::begin(directory)?;
    if change.ring()?.keys.is_empty() {
        let kid = change.generate(Kind::Es256, now)?;
        tracing::info!(kid, "there was no key yet: made the first one");
    }
    Ok(())
}
