//! `auth-core api-key`: keys of machines that call routes, which a gateway is told of.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::node::Node;
use crate::operator::auth_core;

/// Runs `auth-core api-key` on the node's database.
fn api_key(node: &Node, arguments: &[&str]) -> String {
    auth_core(&node.database, &[&["api-key"], arguments].concat(), "")
}

fn published(node: &Node) -> Value {
    let answer = node.get("/api-keys");
    assert_eq!(answer.status, 200);
    answer.json()["keys"].take()
}

#[test]
fn a_key_is_shown_once_published_by_its_hash_and_gone_when_it_is_revoked() {
    let node = Node::start();
    assert_eq!(published(&node), json!([]));
    let added = api_key(
        &node,
        &[
            "add",
            "billing",
            "--scope",
            "/orders",
            "--scope",
            "shop.example.org/a",
        ],
    );
    let key = added.strip_prefix("exit 0\n").unwrap().trim_end();
    assert!(
        key.strip_prefix("authstack_")
            .is_some_and(|random| random.len() == 43),
        "{key}"
    );
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    assert_eq!(
        published(&node),
        json!([{
            "name": "billing",
            "digest": format!("{digest:?}").trim_start_matches("SHA256:"),
            "scopes": ["/orders", "shop.example.org/a"],
        }])
    );
    assert!(!node.holds(key), "the database has the key itself");
    assert!(!api_key(&node, &["list"]).contains(key));

    assert_eq!(
        api_key(&node, &["revoke", "billing"]),
        "exit 0\nrevoked billing\n"
    );
    assert_eq!(published(&node), json!([]));
}

#[test]
fn what_an_operator_cannot_do_with_keys_is_said() {
    let node = Node::start();
    api_key(&node, &["add", "billing", "--scope", "/orders"]);
    let long = format!("/{}", "a".repeat(200));
    let mut many = vec!["add", "many"];
    (0..17).for_each(|_| many.extend(["--scope", "/a"]));
    let said: Vec<_> = [
        &["add", "billing", "--scope", "/orders"][..],
        &["add", "two words", "--scope", "/orders"],
        &["add", "a"],
        &["add", "a", "--scope", "orders"],
        &["add", "a", "--scope", "/orders/"],
        &["add", "a", "--scope", "/or ders"],
        &["add", "a", "--scope", &long],
        &many,
        &["revoke", "nobody"],
    ]
    .iter()
    .map(|arguments| {
        let shown: Vec<_> = arguments.iter().take(4).copied().collect();
        format!(
            "$ auth-core api-key {}\n{}",
            shown.join(" "),
            api_key(&node, arguments)
        )
    })
    .collect();
    assert_snapshot!(said.join("\n"));
    assert_eq!(
        published(&node).as_array().unwrap().len(),
        1,
        "nothing was changed"
    );
}

#[test]
fn there_are_no_more_keys_than_a_gateway_can_hold() {
    let node = Node::start();
    let rows: Vec<_> = (0..1000)
        .map(|number| format!("('key{number}', '{number:064x}', '/a', 0)"))
        .collect();
    node.sql(&format!(
        "INSERT INTO api_keys (name, digest, scopes, created_at) VALUES {}",
        rows.join(",")
    ));
    assert_eq!(
        api_key(&node, &["add", "billing", "--scope", "/orders"]),
        "exit 1\nauth-core: there are 1000 keys already: revoke some first\n"
    );
    assert_eq!(published(&node).as_array().unwrap().len(), 1000);
}

#[test]
fn without_a_database_nobody_is_told_that_there_are_no_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = crate::node::config(dir.path());
    config.database.url = "postgres://nobody@127.0.0.1:1/nothing".to_owned();
    let node = Node::start_in(dir, config);
    assert_eq!(node.get("/api-keys").status, 503);
}
