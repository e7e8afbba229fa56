//! `auth-core backup` and `auth-core restore`: the accounts of an SQLite database as one file, and back.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use clap::Args;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::{Builder, NamedTempFile};

use crate::audit::{Entry, Event};
use crate::clock::rfc3339;
use crate::config::Config;
use crate::error::Cause;
use crate::store::{Source, backup};

/// What SQLite may have beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Where to.
#[derive(Args)]
pub struct BackupArgs {
    /// The file to make; it is not encrypted, and has every password hash
    file: PathBuf,
}

/// Where from.
#[derive(Args)]
pub struct RestoreArgs {
    /// A file that `backup` made, decrypted; - is standard input
    file: PathBuf,
}

/// Makes a backup, while nodes run or not, and returns what to tell the operator.
///
/// # Errors
/// What cannot be done and why; then there is no file.
pub async fn back_up(args: &BackupArgs, config: &Config) -> Result<String, Cause> {
    let database = sqlite(config, "pg_dump backs it up")?;
    let file = &args.file;
    if fs::symlink_metadata(file).is_ok() {
        return Err(format!("{} is there: a backup overwrites nothing", file.display()).into());
    }
    if !database.get_filename().exists() {
        return Err(about(database.get_filename(), "there is no database"));
    }
    let unfinished = beside(file)?;
    let entry = Entry::by_operator(Event::BackupMade, None);
    let copying = backup::copy(&database, name(&unfinished)?, &entry);
    let contents = tokio::select! {
        copied = copying => copied.map_err(|error| about(database.get_filename(), error))?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted: there is no backup".into()),
    };
    let bytes = unfinished.as_file().metadata()?.len();
    keep(unfinished, file)?;
    Ok(format!(
        "backed up {} accounts to {}, {bytes} bytes\n",
        contents.accounts,
        file.display()
    ))
}

/// Puts a backup where the database is to be, and returns what to tell the operator.
///
/// # Errors
/// What cannot be done and why; then nothing was changed.
pub async fn restore(args: &RestoreArgs, config: &Config) -> Result<String, Cause> {
    let database = sqlite(config, "pg_restore restores it")?;
    let target = database.get_filename();
    let files = BESIDE.map(|suffix| {
        let mut file = target.as_os_str().to_owned();
        file.push(suffix);
        PathBuf::from(file)
    });
    // What belongs to another database would be taken for a part of this one.
    if let Some(file) = [target.to_path_buf()]
        .into_iter()
        .chain(files)
        .find(|file| fs::symlink_metadata(file).is_ok())
    {
        return Err(format!(
            "{} is there: a restore overwrites nothing. Stop the nodes, and move the database away, with what has its name and -wal or -shm",
            file.display()
        )
        .into());
    }
    let mut unfinished = beside(target)?;
    let from = &args.file;
    read(from, unfinished.as_file_mut()).map_err(|error| about(from, error))?;
    let entry = Entry::by_operator(Event::BackupRestored, None);
    let reviving = backup::revive(name(&unfinished)?, entry);
    let (contents, ended) = tokio::select! {
        revived = reviving => revived.map_err(|error| about(from, error))?,
        _ = tokio::signal::ctrl_c() => return Err("interrupted: nothing was restored".into()),
    };
    give_to_owner_of_folder(unfinished.as_file(), folder(target))?;
    keep(unfinished, target)?;
    Ok(format!(
        "restored {} accounts to {}, as they were at {}; {ended} sessions have ended\n\
         What was changed since then is undone: passwords, roles, accounts that were disabled or deleted, and API keys, of which \
         there are {}. Do again what must hold, then start the nodes.\n",
        contents.accounts,
        target.display(),
        rfc3339(contents.newest_entry),
        contents.api_keys
    ))
}

fn sqlite(config: &Config, instead: &str) -> Result<Box<SqliteConnectOptions>, Cause> {
    match Source::new(&config.database)? {
        Source::Sqlite(options) => Ok(options),
        Source::Postgres(_) => Err(format!(
            "the database is PostgreSQL: {instead}; docs/how-to/back-up-and-restore.md tells how"
        )
        .into()),
    }
}

fn about(file: &Path, error: impl std::fmt::Display) -> Cause {
    format!("{}: {error}", file.display()).into()
}

fn folder(file: &Path) -> &Path {
    let parent = file.parent().unwrap_or(Path::new(""));
    if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    }
}

/// A file for its owner alone in the folder of another, which is gone with this process unless it is kept.
fn beside(file: &Path) -> Result<NamedTempFile, Cause> {
    let folder = folder(file);
    if !folder.is_dir() {
        return Err(about(folder, "the folder does not exist"));
    }
    Builder::new()
        .prefix(".unfinished-")
        .tempfile_in(folder)
        .map_err(|error| about(folder, error))
}

fn name(file: &NamedTempFile) -> Result<&str, Cause> {
    let path = file.path();
    path.to_str()
        .ok_or_else(|| about(path, "SQLite needs a name in UTF-8"))
}

/// Gives a file its name, once all of it is on the disk, and unless somebody else was faster.
fn keep(unfinished: NamedTempFile, file: &Path) -> Result<(), Cause> {
    unfinished.as_file().sync_all()?;
    unfinished
        .persist_noclobber(file)
        .map_err(|error| about(file, error.error))?;
    File::open(folder(file))?.sync_all()?;
    Ok(())
}

/// Copies what is to be restored, and tells what it is when it is something else.
fn read(from: &Path, copy: &mut File) -> Result<(), Cause> {
    if from == Path::new("-") {
        io::copy(&mut io::stdin().lock(), copy)?;
    } else {
        io::copy(&mut File::open(from)?, copy)?;
    }
    copy.rewind()?;
    let mut begin = Vec::new();
    copy.take(32).read_to_end(&mut begin)?;
    if begin.is_empty() {
        return Err("it is empty".into());
    }
    if begin.starts_with(b"age-encryption.org/") || begin.starts_with(b"-----BEGIN AGE ") {
        return Err(
            "it is encrypted: `age --decrypt --identity KEY FILE | auth-core restore -`".into(),
        );
    }
    if begin.starts_with(b"PGDMP") {
        return Err("it is a dump of PostgreSQL: pg_restore restores it".into());
    }
    if !begin.starts_with(b"SQLite format 3\0") {
        return Err("it is no backup of auth-core".into());
    }
    Ok(())
}

/// What root restores for a service that is not root the service must be able to write.
fn give_to_owner_of_folder(file: &File, folder: &Path) -> Result<(), Cause> {
    let (folder, own) = (fs::metadata(folder)?, file.metadata()?);
    if (folder.uid(), folder.gid()) != (own.uid(), own.gid()) {
        fchown(file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}
