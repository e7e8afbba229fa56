//! `auth-core backup` and `auth-core restore`: what a lost disk must not take, and what must not come back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use serde_json::json;

use crate::audit::events;
use crate::database;
use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::operator::auth_core;
use crate::refresh::{Tokens, me, refresh};
use crate::resets::{reset, token};

fn backup(node: &Node, file: &Path) -> String {
    auth_core(&node.database, &["backup", file.to_str().unwrap()], "")
}

fn restore(file: &Path, database: &str) -> String {
    auth_core(database, &["restore", file.to_str().unwrap()], "")
}

/// What a snapshot can have of what was said.
fn steady(said: &str, dir: &Path) -> String {
    let said = said.replace(dir.to_str().unwrap(), "DIR");
    let line = said.split(' ').map(|word| match word {
        word if word.len() == 21 && word.ends_with("Z;") => "[time];",
        word if word.parse::<u32>().is_ok_and(|number| number > 9999) => "[many]",
        word => word,
    });
    line.collect::<Vec<_>>().join(" ")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A place for a database that is not there yet.
fn elsewhere(dir: &Path) -> String {
    let url = format!("sqlite:{}", dir.join("restored.db").display());
    database::assert_asked_for(&url);
    url
}

#[test]
fn a_backup_made_while_people_sign_up_has_every_account_that_was_acknowledged_before_it() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let (file, database) = (dir.path().join("backup"), elsewhere(dir.path()));
    let before: Vec<_> = (0..20).map(|n| format!("before{n}@example.com")).collect();
    for email in &before {
        Tokens::of(&node.sign_up(email, PASSWORD), "signUp");
    }
    let over = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        for thread in 0..3 {
            let (node, over) = (&node, &over);
            scope.spawn(move || {
                for number in 0.. {
                    let email = format!("meanwhile{thread}-{number}@example.com");
                    Tokens::of(&node.sign_up(&email, PASSWORD), "signUp");
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        let said = backup(&node, &file);
        over.store(true, Ordering::Relaxed);
        said
    });
    assert!(said.starts_with("exit 0\nbacked up "), "{said}");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is for its owner alone");
    assert_eq!(names(dir.path()), ["backup"]);

    let said = restore(&file, &database);
    assert!(said.starts_with("exit 0\nrestored "), "{said}");
    let restored = dir.path().join("restored.db");
    let mode = fs::metadata(restored).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is for its owner alone");
    assert_eq!(names(dir.path()), ["backup", "restored.db"]);
    let node = Node::start_with(|config| config.database.url.clone_from(&database));
    for email in &before {
        Tokens::of(&node.log_in(email, PASSWORD), "logIn");
    }
}

/// Nobody knows what was revoked after the backup was made.
#[test]
fn no_session_and_no_reset_token_comes_back_to_life() {
    let node = Node::start();
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    node.sign_up("bob@example.com", PASSWORD);
    let bob = "bob@example.com";
    auth_core(
        &node.database,
        &["api-key", "add", "billing", "--scope", "/orders"],
        "",
    );
    let of_bob = token(&node, bob);
    let dir = tempfile::tempdir().unwrap();
    let (file, database) = (dir.path().join("backup"), elsewhere(dir.path()));
    backup(&node, &file);
    // Neither is good for anything any more, and the backup knows nothing of it.
    node.with(&tokens.access)
        .graphql(&[], "mutation { logOut { message } }", json!({}));
    let new = "another good password";
    Tokens::of(&reset(&node, &[], &of_bob, new), "resetPassword");

    let said = restore(&file, &database);
    assert_snapshot!(steady(&said, dir.path()));
    let keys = &node.dir.path().join("keys");
    let node = Node::start_with(|config| {
        config.database.url.clone_from(&database);
        config.tokens.key_directory.clone_from(keys);
    });
    assert_eq!(code(&refresh(&node, &tokens.refresh)), "UNAUTHENTICATED");
    assert_eq!(code(&me(&node, &tokens)), "UNAUTHENTICATED");
    let again = reset(&node, &[], &of_bob, new);
    assert_eq!(code(&again), "INVALID_RESET_TOKEN");
    Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    let told = events(&database, &["--last", "3"]);
    assert_eq!(told, ["backup_made", "backup_restored", "log_in"]);
}

#[test]
fn nothing_is_overwritten() {
    let node = Node::start();
    let dir = tempfile::tempdir().unwrap();
    let (file, database) = (dir.path().join("backup"), elsewhere(dir.path()));
    backup(&node, &file);
    let before = fs::read(&file).unwrap();
    let mut said = vec![backup(&node, &file)];
    assert!(fs::read(&file).unwrap() == before, "it was changed");
    let target = dir.path().join("restored.db");
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let there = dir.path().join(format!("restored.db{suffix}"));
        fs::write(&there, "somebody's").unwrap();
        said.push(restore(&file, &database));
        assert_eq!(fs::read(&there).unwrap(), b"somebody's");
        assert_eq!(target.exists(), suffix.is_empty());
        fs::remove_file(there).unwrap();
    }
    assert_eq!(names(dir.path()), ["backup"]);
    assert_snapshot!(steady(&said.concat(), dir.path()));
}

#[test]
fn what_is_no_whole_backup_of_this_version_is_refused_and_nothing_is_left() {
    let node = Node::start();
    for number in 0..50 {
        node.sign_up(&format!("ann{number}@example.com"), PASSWORD);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let database = elsewhere(dir.path());
    backup(&node, &file);
    let good = fs::read(&file).unwrap();
    let mut damaged = good.clone();
    let pages = damaged.len() / 4096;
    damaged[4096..pages * 4096]
        .iter_mut()
        .step_by(7)
        .for_each(|byte| *byte ^= 0x55);
    let newer = dir.path().join("newer");
    fs::write(&newer, &good).unwrap();
    database::run(
        &format!("sqlite:{}", newer.display()),
        "INSERT INTO _sqlx_migrations SELECT 9999, 'from the future', installed_on, success, checksum, execution_time FROM _sqlx_migrations LIMIT 1",
    )
    .unwrap();
    let newer = fs::read(newer).unwrap();
    let others = dir.path().join("others");
    database::run(
        &format!("sqlite:{}?mode=rwc", others.display()),
        "CREATE TABLE accounts (id INTEGER)",
    )
    .unwrap();
    let others = fs::read(others).unwrap();
    let mut all = String::new();
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("a text", b"hello"),
        ("still encrypted", b"age-encryption.org/v1\n-> X25519"),
        ("armoured", b"-----BEGIN AGE ENCRYPTED FILE-----"),
        ("of PostgreSQL", b"PGDMP\x01\x0e"),
        ("cut off", &good[..good.len() / 2]),
        ("damaged", &damaged),
        ("newer", &newer),
        ("somebody else's database", &others),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("backup");
        fs::write(&file, bytes).unwrap();
        let said = restore(&file, &elsewhere(dir.path()));
        all += &format!("== {what}\n{}", steady(&said, dir.path()));
        // Which pages that were differs from run to run.
        if let Some(end) = all.find("\nTree ") {
            all.truncate(end + 1);
        }
        assert_eq!(names(dir.path()), ["backup"], "{what}");
    }
    let said = restore(&dir.path().join("nothing"), &database);
    all += &format!("== not there\n{}", steady(&said, dir.path()));
    assert_snapshot!(all);
}

#[test]
fn what_cannot_be_backed_up_is_said_and_no_file_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    fs::write(dir.path().join("text"), "hello").unwrap();
    let mut all = String::new();
    for (what, database, file) in [
        ("no database", format!("sqlite:{path}/nothing.db"), "backup"),
        ("a text", format!("sqlite:{path}/text"), "backup"),
        ("no folder", format!("sqlite:{path}/text"), "no/backup"),
    ] {
        let file = dir.path().join(file);
        let said = auth_core(&database, &["backup", file.to_str().unwrap()], "");
        all += &format!("== {what}\n{}", steady(&said, dir.path()));
    }
    assert_eq!(names(dir.path()), ["text"], "nor a database made");
    let postgres = "postgres://auth-core@localhost/auth-core";
    for command in ["backup", "restore"] {
        all += &format!("== {command} of PostgreSQL\n");
        all += &auth_core(postgres, &[command, "backup"], "");
    }
    assert_snapshot!(all);
}
