//! `auth-core audit`: who did what, when and from where.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::node::{EMAIL, Node, PASSWORD, code, key_pair};
use crate::operator::auth_core;
use crate::process::{Process, wait_until};
use crate::refresh::{Tokens, refresh};
use crate::users::user;

const FORWARDED: (&str, &str) = ("x-forwarded-for", "198.51.100.7");

/// What a command prints that does what it is told.
fn run(database: &str, command: &[&str]) -> String {
    let said = auth_core(database, command, "");
    let printed = said
        .strip_prefix("exit 0\n")
        .unwrap_or_else(|| panic!("{command:?}: {said}"));
    printed.to_owned()
}

/// The entries that `auth-core audit --json` prints.
fn entries(database: &str, arguments: &[&str]) -> Vec<Value> {
    let text = run(database, &[&["audit", "--json"], arguments].concat());
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn events(database: &str, arguments: &[&str]) -> Vec<String> {
    entries(database, arguments)
        .iter()
        .map(|entry| entry["event"].as_str().unwrap().to_owned())
        .collect()
}

/// Ann signs up, mistypes, logs in, changes her password and logs out; an old token of hers is used; Bob leaves.
fn story(node: &Node) {
    node.sign_up(EMAIL, PASSWORD);
    node.log_in_with(&[FORWARDED], EMAIL, "wrong horse battery");
    node.log_in_with(&[FORWARDED], "nobody@example.com", PASSWORD);
    let tokens = Tokens::of(&node.log_in_with(&[FORWARDED], EMAIL, PASSWORD), "logIn");
    refresh(node, &tokens.refresh);
    assert_eq!(code(&refresh(node, &tokens.refresh)), "UNAUTHENTICATED");
    // The session is over, so this tells nothing new.
    refresh(node, &tokens.refresh);

    let tokens = Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    let changed = node.with(&tokens.access).graphql(
        &[FORWARDED],
        "mutation($a: String!, $b: String!) { changePassword(currentPassword: $a, newPassword: $b) { accessToken } }",
        json!({ "a": PASSWORD, "b": "another good password" }),
    );
    let token = changed["data"]["changePassword"]["accessToken"]
        .as_str()
        .unwrap_or_else(|| panic!("{changed}"));
    node.with(token)
        .graphql(&[FORWARDED], "mutation { logOut { message } }", json!({}));
    // Nor this.
    node.with(token)
        .graphql(&[FORWARDED], "mutation { logOut { message } }", json!({}));

    let tokens = Tokens::of(&node.sign_up("bob@example.com", PASSWORD), "signUp");
    for password in ["wrong horse battery", PASSWORD] {
        node.with(&tokens.access).graphql(
            &[FORWARDED],
            "mutation($a: String!) { deleteAccount(password: $a) { message } }",
            json!({ "a": password }),
        );
    }
}

#[test]
fn what_people_do_is_told_in_order_with_their_address_and_trace_and_without_their_secrets() {
    let node = Node::start();
    story(&node);
    let text = run(&node.database, &["audit", "--json"]);
    for secret in [PASSWORD, "wrong horse", "another good", "nobody@", "bob@"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    insta::with_settings!({filters => vec![
        (r#""[0-9a-f]{8}-[0-9a-f-]{27}""#, "[account]"),
        (r#""[0-9a-f]{32}""#, "[trace]"),
        (r#""\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ""#, "[time]"),
    ]}, {
        assert_snapshot!(text);
    });
    let entries = entries(&node.database, &[]);
    let guesses = entries
        .iter()
        .filter(|entry| entry["event"] == "wrong_password");
    let clients: Vec<_> = guesses.map(|entry| &entry["client"]).collect();
    assert_eq!(clients, [FORWARDED.1; 3]);
    let ids: Vec<_> = entries
        .iter()
        .map(|entry| entry["id"].as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
}

#[test]
fn what_operators_do_is_told_with_their_name() {
    let node = Node::start();
    user(&node, &["add", EMAIL], PASSWORD);
    for command in [
        &["user", "set-role", EMAIL, "admin"][..],
        &["user", "disable", EMAIL],
        &["user", "enable", EMAIL],
        &["api-key", "add", "billing", "--scope", "/orders"],
        &["api-key", "revoke", "billing"],
    ] {
        run(&node.database, command);
    }
    let text = run(&node.database, &["audit"]);
    insta::with_settings!({filters => vec![(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]              ")]}, {
        assert_snapshot!(text);
    });
}

#[test]
fn the_stream_can_be_asked_for_one_account_and_for_the_newest_entries() {
    let node = Node::start();
    story(&node);
    let all = events(&node.database, &[]);
    assert_eq!(
        events(&node.database, &["--last", "2"]),
        all[all.len() - 2..]
    );
    assert_eq!(events(&node.database, &["--last", "1000"]), all);
    let of_ann = [
        "sign_up",
        "wrong_password",
        "log_in",
        "refresh_token_reused",
        "log_in",
        "password_changed",
        "log_out",
    ];
    assert_eq!(events(&node.database, &["--account", EMAIL]), of_ann);
    assert_eq!(
        events(&node.database, &["--account", EMAIL, "--last", "1"]),
        ["log_out"]
    );
    let last = entries(&node.database, &["--last", "1"]).remove(0);
    let bob = last["account_id"].as_str().unwrap();
    let of_bob = ["sign_up", "wrong_password", "account_deleted"];
    assert_eq!(events(&node.database, &["--account", bob]), of_bob);
}

#[test]
fn what_cannot_be_written_down_does_not_happen() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let tokens = Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    // Answers nothing, which is an error of its own on some databases.
    let rename = |from: &str, to: &str| {
        let _ = node.sql(&format!("ALTER TABLE {from} RENAME TO {to}"));
    };
    rename("audit", "away");
    let logged_in = node.with(&tokens.access);
    let refused = [
        node.sign_up("bob@example.com", PASSWORD),
        node.log_in(EMAIL, PASSWORD),
        logged_in.graphql(&[], "mutation { logOut { message } }", json!({})),
        logged_in.graphql(
            &[],
            "mutation($a: String!) { deleteAccount(password: $a) { message } }",
            json!({ "a": PASSWORD }),
        ),
        logged_in.graphql(
            &[],
            "mutation($a: String!) { changePassword(currentPassword: $a, newPassword: \"another good password\") { message } }",
            json!({ "a": PASSWORD }),
        ),
    ];
    for answer in refused {
        assert_eq!(code(&answer), "INTERNAL", "{answer}");
    }
    rename("away", "audit");
    assert_eq!(node.sql("SELECT count(*) FROM accounts"), [1]);
    assert_eq!(node.sql("SELECT count(*) FROM sessions"), [2]);
    Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    assert_eq!(events(&node.database, &[]), ["sign_up", "log_in", "log_in"]);
}

#[test]
fn another_signing_key_is_told_once_a_node_uses_it() {
    let process = Process::start(&[]);
    assert_eq!(events(&process.database, &[]), [""; 0]);
    let keys = process.dir.path().join("keys");
    key_pair(&keys, "next");
    std::fs::write(keys.join("signing"), "1700000000 key\n1700000001 next\n").unwrap();
    process.signal("-HUP");
    wait_until("the change is written down", || {
        !events(&process.database, &[]).is_empty()
    });
    // The same key once more is no change.
    process.signal("-HUP");
    wait_until("the ring is read again", || {
        process
            .log
            .lock()
            .unwrap()
            .matches("read the keys again")
            .count()
            == 2
    });
    let told = entries(&process.database, &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["event"], "signing_key_changed");
    assert_eq!(told[0]["detail"], "next");
}
