//! A disk of its own under the stack's database, which can be made as small as what is on it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, anyhow};

use super::{fault::StackKind, machine::quiet};
use crate::{Stack, process};

/// What it has room for while nothing is wrong. It takes memory only as it is written to.
const SIZE: &str = "1g";

/// A tmpfs. It goes when this does.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts one under the database of a stack of which nothing runs yet.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn under(stack: &Stack, kind: StackKind) -> Result<Self> {
        if kind == StackKind::Sqlite {
            return Self::mount(stack.directory().join("data"));
        }
        // What initdb reads lies there already.
        let scratch = stack.scratch();
        let password = scratch.join("password");
        let text = fs::read(&password)?;
        let disk = Self::mount(scratch.to_owned())?;
        fs::write(&password, text)?;
        process::chown_to_unprivileged(&[scratch, password.as_path()])?;
        Ok(disk)
    }

    fn mount(folder: PathBuf) -> Result<Self> {
        let path = folder.to_str().context("a path in UTF-8")?;
        let options = format!("size={SIZE},mode=0700");
        quiet("mount", &["-t", "tmpfs", "-o", &options, "authstack", path])
            .map_err(|error| anyhow!(error))?;
        Ok(Self(folder))
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn fill(&self) -> Result<()> {
        // What is written between the look and the change makes it refuse.
        let mut last = Ok(());
        for _ in 0..20 {
            let disk = rustix::fs::statvfs(&self.0)?;
            let used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
            last = self.resize(&used.to_string());
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn free(&self) -> Result<()> {
        self.resize(SIZE)
    }

    fn resize(&self, size: &str) -> Result<()> {
        let path = self.0.to_str().context("a path in UTF-8")?;
        quiet("mount", &["-o", &format!("remount,size={size}"), path])
            .map_err(|error| anyhow!(error))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(path) = self.0.to_str() {
            let _ = quiet("umount", &[path]);
        }
    }
}
