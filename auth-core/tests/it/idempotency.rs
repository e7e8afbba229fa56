//! Sign-ups that are repeated with an `Idempotency-Key`.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::node::{EMAIL, Node, PASSWORD, code, sign_up};

const KEY: &str = "3f1d7c1e-0b57-4d5e-9d3c-b6d4f3b1a111";

fn sign_up_with(node: &Node, key: &str, email: &str, password: &str) -> Value {
    node.graphql(
        &[("idempotency-key", key)],
        &sign_up(),
        json!({ "email": email, "password": password }),
    )
}

fn account(answer: &Value) -> &str {
    answer["data"]["signUp"]["account"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no account: {answer}"))
}

#[test]
fn a_repeated_sign_up_succeeds_again_for_the_same_account_without_a_hash() {
    let node = Node::start();
    let first = sign_up_with(&node, KEY, EMAIL, PASSWORD);
    let hashes = node.hashes();
    let second = sign_up_with(&node, KEY, EMAIL, PASSWORD);
    assert_eq!(account(&first), account(&second));
    assert!(second["data"]["signUp"]["accessToken"].is_string());
    assert_eq!(node.hashes(), hashes);
}

#[test]
fn a_repeat_on_another_node_is_known_there() {
    let first = Node::start();
    let url = format!("sqlite:{}", first.dir.path().join("auth.db").display());
    let second = Node::start_with(|config| config.database.url = url);
    let answer = sign_up_with(&first, KEY, EMAIL, PASSWORD);
    assert_eq!(
        account(&answer),
        account(&sign_up_with(&second, KEY, EMAIL, PASSWORD))
    );
}

#[test]
fn a_key_used_for_another_request_is_refused() {
    let node = Node::start();
    sign_up_with(&node, KEY, EMAIL, PASSWORD);
    assert_json_snapshot!(sign_up_with(&node, KEY, "bob@example.com", PASSWORD));
    assert_eq!(
        code(&sign_up_with(&node, KEY, EMAIL, "another good password")),
        "IDEMPOTENCY_KEY_REUSED"
    );
    assert_eq!(
        code(&node.log_in("bob@example.com", PASSWORD)),
        "INVALID_CREDENTIALS",
        "nothing was changed"
    );
}

#[test]
fn another_key_does_not_make_a_taken_email_free() {
    let node = Node::start();
    sign_up_with(&node, KEY, EMAIL, PASSWORD);
    assert_eq!(
        code(&sign_up_with(&node, "another-key", EMAIL, PASSWORD)),
        "EMAIL_TAKEN"
    );
}

#[test]
fn repeats_at_the_same_time_all_succeed_with_one_account() {
    let node = Node::start_with(|config| config.password.concurrent_hashes = 8);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let repeat = || sign_up_with(&node, KEY, EMAIL, PASSWORD);
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(repeat)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for answer in &answers {
        assert_eq!(account(answer), account(&answers[0]));
    }
}

#[test]
fn a_key_that_is_too_short_or_not_visible_ascii_is_refused() {
    let node = Node::start();
    let body = json!({ "query": "{ __typename }" }).to_string();
    for key in ["1234567", &"k".repeat(256), "with space", "tab\there!"] {
        let answer = node.post(&[("idempotency-key", key)], body.as_str());
        assert_eq!(answer.status, 400, "{key:?}");
    }
    assert_json_snapshot!(
        node.post(&[("idempotency-key", "short")], body.as_str())
            .json()
    );
    for key in ["12345678", &"k".repeat(255)] {
        assert_eq!(
            node.post(&[("idempotency-key", key)], body.as_str()).status,
            200
        );
    }
}

#[test]
fn the_database_holds_neither_the_key_nor_the_password() {
    let node = Node::start();
    sign_up_with(&node, KEY, EMAIL, PASSWORD);
    for suffix in ["", "-wal"] {
        let file = node.dir.path().join(format!("auth.db{suffix}"));
        let bytes = std::fs::read(file).unwrap();
        for secret in [KEY, PASSWORD] {
            assert!(
                !bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes()),
                "{secret}"
            );
        }
    }
}
