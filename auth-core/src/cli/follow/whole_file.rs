//! Files that HAProxy reads: never half of one.

use std::{fs, io, path::Path};

/// Writes a file, whole or not at all, unless it says so already. Answers whether it did not.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    put(path, text).map(|()| true)
}

/// Writes a file, whole or not at all.
pub(super) fn put(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_added_extension("new");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}
