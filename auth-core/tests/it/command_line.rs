//! What is made of the command line's own definition.

use std::process::Command;

fn auth_core(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_auth-core"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_version_is_the_release_and_the_commit_where_that_is_known() {
    let said = auth_core(&["--version"]);
    let release = format!("auth-core {} (commit ", env!("CARGO_PKG_VERSION"));
    let commit = said
        .strip_prefix(&release)
        .and_then(|rest| rest.strip_suffix(")\n"));
    let commit = commit.unwrap_or_else(|| panic!("{said}"));
    let (digits, _) = commit.split_once("-dirty").unwrap_or((commit, ""));
    let known = digits.len() == 12 && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    assert!(known || commit == "not-recorded", "{said}");
}

#[test]
fn shells_complete_commands_and_options() {
    for shell in ["bash", "fish", "zsh"] {
        let script = auth_core(&["completions", shell]);
        for word in ["reset-password", "restore", "password-file"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    auth_core(&["man", dir.path().to_str().unwrap()]);
    for page in ["auth-core", "auth-core-backup", "auth-core-user-add"] {
        let text = std::fs::read_to_string(dir.path().join(format!("{page}.1")));
        let text = text.unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(".SH SYNOPSIS"), "{text}");
    }
}
