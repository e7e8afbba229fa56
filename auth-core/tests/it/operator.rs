//! The commands that an operator runs on a database.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `auth-core` as olga on a database, with `input` to read: how it ended, and all that it said.
pub fn auth_core(database: &str, command: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_auth-core"))
        .args(command)
        .args([
            "--set",
            &format!("database.url={database}"),
            "--set",
            "password.scrypt.log_n=4",
        ])
        .env_clear()
        .env("SUDO_USER", "olga")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    format!("exit {}\n{text}", output.status.code().unwrap())
}
