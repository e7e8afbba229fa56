//! `auth-core user`: accounts by the operator's hand.

use insta::assert_snapshot;

use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::operator::auth_core;
use crate::refresh::{Tokens, me, refresh};

/// Runs `auth-core user` on the node's database.
pub fn user(node: &Node, command: &[&str], input: &str) -> String {
    auth_core(&node.database, &[&["user"], command].concat(), input)
}

#[test]
fn an_operator_adds_promotes_locks_out_and_lets_in() {
    let node = Node::start();
    assert!(
        user(&node, &["add", EMAIL], &format!("{PASSWORD}\n"))
            .starts_with("exit 0\nadded ann@example.com")
    );
    let tokens = Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    assert_eq!(me(&node, &tokens)["data"]["me"]["role"], "user");

    assert!(user(&node, &["set-role", "ANN@example.com", "admin"], "").starts_with("exit 0\n"));
    let answer = refresh(&node, &tokens.refresh);
    assert_eq!(answer["data"]["refresh"]["account"]["role"], "admin");
    let tokens = Tokens::of(&answer, "refresh");

    assert!(user(&node, &["disable", EMAIL], "").starts_with("exit 0\n"));
    assert_eq!(code(&refresh(&node, &tokens.refresh)), "UNAUTHENTICATED");
    assert_eq!(code(&me(&node, &tokens)), "UNAUTHENTICATED");
    let hashes = node.hashes();
    assert_eq!(
        code(&node.log_in(EMAIL, PASSWORD)),
        "INVALID_CREDENTIALS",
        "nobody learns that it is disabled"
    );
    assert_eq!(node.hashes(), hashes + 1.0, "nor by the time it takes");

    assert!(user(&node, &["enable", EMAIL], "").starts_with("exit 0\n"));
    Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
}

/// Runs `auth-core session` on the node's database.
fn session(node: &Node, command: &[&str]) -> String {
    auth_core(&node.database, &[&["session"], command].concat(), "")
}

#[test]
fn an_operator_sees_sessions_and_ends_one_or_all() {
    let node = Node::start();
    let first = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    let second = Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    let third = Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    let listed = session(&node, &["list", EMAIL]);
    let ids: Vec<_> = listed
        .lines()
        .skip(2)
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(ids.len(), 3, "{listed}");

    let said = session(&node, &["revoke", EMAIL, ids[1]]);
    assert!(said.starts_with("exit 0\n1 sessions"), "{said}");
    assert_eq!(code(&me(&node, &second)), "UNAUTHENTICATED");
    assert_eq!(me(&node, &first)["data"]["me"]["email"], EMAIL);
    let again = session(&node, &["revoke", EMAIL, ids[1]]);
    assert!(again.starts_with("exit 1\n"), "{again}");

    let said = session(&node, &["revoke", EMAIL]);
    assert!(said.starts_with("exit 0\n2 sessions"), "{said}");
    for tokens in [&first, &third] {
        assert_eq!(code(&me(&node, tokens)), "UNAUTHENTICATED");
    }
}

#[test]
fn an_operator_exports_and_deletes_what_there_is_of_an_account() {
    let node = Node::start();
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    node.log_in(EMAIL, "wrong horse battery");
    let exported = user(&node, &["export", EMAIL], "");
    let deleted = user(&node, &["delete", EMAIL], "");
    assert!(deleted.starts_with("exit 0\n"), "{deleted}");
    assert_eq!(code(&me(&node, &tokens)), "UNAUTHENTICATED");
    for table in ["accounts", "sessions"] {
        assert_eq!(node.sql(&format!("SELECT count(*) FROM {table}")), [0]);
    }
    let hash = "$scrypt$";
    assert!(!exported.contains(hash), "{exported}");
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{8}-[0-9a-f-]{27}", "[id]"),
        (r"[0-9a-f]{32}", "[trace]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
    ]}, {
        assert_snapshot!(exported + &user(&node, &["show", EMAIL], ""));
    });
}

#[test]
fn an_account_is_shown_and_all_are_listed_for_programs() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    node.sign_up("bob@example.com", PASSWORD);
    for _ in 0..3 {
        node.log_in(EMAIL, "wrong horse battery");
    }
    let said =
        user(&node, &["show", "ANN@example.com"], "") + &user(&node, &["list", "--json"], "");
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{8}-[0-9a-f-]{27}", "[id]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
    ]}, {
        assert_snapshot!(said);
    });
}

#[test]
fn a_password_is_read_from_a_file_without_the_end_of_its_line() {
    let node = Node::start();
    let file = node.dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\r\n")).unwrap();
    let added = user(
        &node,
        &[
            "add",
            EMAIL,
            "--role",
            "admin",
            "--password-file",
            file.to_str().unwrap(),
        ],
        "",
    );
    assert!(added.starts_with("exit 0\n"), "{added}");
    let answer = node.log_in(EMAIL, PASSWORD);
    assert_eq!(answer["data"]["logIn"]["account"]["role"], "admin");
}

#[test]
fn what_an_operator_cannot_do_is_said() {
    let node = Node::start();
    user(&node, &["add", EMAIL], PASSWORD);
    user(&node, &["disable", EMAIL], "");
    user(
        &node,
        &["add", "bob@example.com", "--role", "admin"],
        PASSWORD,
    );
    let said = [
        ("taken", user(&node, &["add", "Ann@Example.com"], PASSWORD)),
        ("no e-mail", user(&node, &["add", "ann"], PASSWORD)),
        ("no password", user(&node, &["add", "cy@example.com"], "")),
        (
            "no such file",
            user(
                &node,
                &["add", "cy@example.com", "--password-file", "nothing"],
                "",
            ),
        ),
        (
            "no such role",
            user(&node, &["set-role", EMAIL, "king"], ""),
        ),
        (
            "no such account",
            user(&node, &["disable", "cy@example.com"], ""),
        ),
        ("list", user(&node, &["list"], "")),
    ];
    insta::with_settings!({filters => vec![(r"[0-9a-f]{8}-[0-9a-f-]{27}", "[id]")]}, {
        assert_snapshot!(said.map(|(what, said)| format!("== {what}\n{said}")).concat());
    });
}
