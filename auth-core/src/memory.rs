//! Memory: what a hash has used goes back to the system when it ends.
//!
//! glibc takes large blocks from the system and gives them back at once, but by itself it takes ever larger ones, up to 32
//! MiB, for small: those it keeps, some for each thread. Hashes of 16 MiB then leave 100 MiB behind. With a threshold that
//! is set it stays where it is, for every cost of a hash.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// glibc reads its settings from here.
const VARIABLE: &str = "GLIBC_TUNABLES";

const THRESHOLD: &str = "glibc.malloc.mmap_threshold";

/// Blocks of this many bytes go back at once: more than anything but a hash asks for.
const BYTES: usize = 1 << 20;

/// Sees to it that memory goes back. glibc reads its settings before `main`, so the process begins once more, with the same
/// id; what the operator has set stays.
///
/// # Errors
/// The program cannot be run again. It can go on as it is.
pub fn give_back() -> io::Result<()> {
    let given = env::var(VARIABLE).unwrap_or_default();
    if cfg!(not(target_env = "gnu")) || given.contains(THRESHOLD) {
        return Ok(());
    }
    let settings = [given, format!("{THRESHOLD}={BYTES}")];
    let settings: Vec<_> = settings.into_iter().filter(|one| !one.is_empty()).collect();
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    Err(Command::new(env::current_exe()?)
        .arg0(name)
        .args(arguments)
        .env(VARIABLE, settings.join(":"))
        .exec())
}
