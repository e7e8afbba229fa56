//! A password that was lost: the operator makes a token, and its bearer gets another password, once.

use serde_json::{Value, json};

use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::refresh::{Tokens, me, refresh};
use crate::users::user;

const NEW_PASSWORD: &str = "another good password";

pub fn reset(node: &Node, headers: &[(&str, &str)], token: &str, password: &str) -> Value {
    let query = "mutation($token: String!, $password: String!) { \
                 resetPassword(resetToken: $token, newPassword: $password) { message accessToken refreshToken account { email } } }";
    let variables = json!({ "token": token, "password": password });
    node.graphql(headers, query, variables)
}

/// What `auth-core user reset-password` prints.
pub fn token(node: &Node, email: &str) -> String {
    let said = user(node, &["reset-password", email], "");
    let token = said
        .strip_prefix("exit 0\n")
        .unwrap_or_else(|| panic!("{said}"));
    token.trim_end().to_owned()
}

#[test]
fn a_token_takes_the_old_password_and_all_sessions_away_and_gives_another_password_once() {
    let node = Node::start();
    let before = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    let token = token(&node, EMAIL);
    assert_eq!(code(&me(&node, &before)), "UNAUTHENTICATED");
    assert_eq!(code(&refresh(&node, &before.refresh)), "UNAUTHENTICATED");
    assert_eq!(code(&node.log_in(EMAIL, PASSWORD)), "INVALID_CREDENTIALS");
    assert!(!node.holds(&token), "the database has the token itself");

    // A password that is refused does not use the token up.
    assert_eq!(code(&reset(&node, &[], &token, "short")), "WEAK_PASSWORD");
    let answer = reset(&node, &[], &token, NEW_PASSWORD);
    let session = Tokens::of(&answer, "resetPassword");
    assert_eq!(me(&node, &session)["data"]["me"]["email"], EMAIL);
    Tokens::of(&node.log_in(EMAIL, NEW_PASSWORD), "logIn");

    let again = reset(&node, &[], &token, "yet another password");
    assert_eq!(code(&again), "INVALID_RESET_TOKEN");
    Tokens::of(&node.log_in(EMAIL, NEW_PASSWORD), "logIn");
}

#[test]
fn a_repeat_with_the_same_idempotency_key_gets_the_first_answer() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let token = token(&node, EMAIL);
    let key = [("idempotency-key", "a-key-nobody-guesses")];
    let first = Tokens::of(&reset(&node, &key, &token, NEW_PASSWORD), "resetPassword");
    let repeat = Tokens::of(&reset(&node, &key, &token, NEW_PASSWORD), "resetPassword");
    assert_eq!(first.refresh, repeat.refresh);
}

#[test]
fn of_many_who_use_a_token_at_once_one_gets_the_account() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let token = token(&node, EMAIL);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|i| {
                let (node, token) = (&node, &token);
                scope.spawn(move || reset(node, &[], token, &format!("another good password {i}")))
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let through = answers
        .iter()
        .filter(|answer| answer["errors"].is_null())
        .count();
    assert_eq!(through, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| !answer["errors"].is_null()) {
        assert_eq!(code(answer), "INVALID_RESET_TOKEN", "{answer}");
    }
    assert_eq!(node.sql("SELECT count(*) FROM sessions"), [1]);
}

#[test]
fn a_token_that_is_old_replaced_made_up_or_of_a_disabled_account_is_refused_without_a_hash() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let replaced = token(&node, EMAIL);
    let good = token(&node, EMAIL);
    let refused = |token: &str| {
        let hashes = node.hashes();
        let answer = reset(&node, &[], token, NEW_PASSWORD);
        assert_eq!(code(&answer), "INVALID_RESET_TOKEN", "{answer}");
        assert_eq!(node.hashes(), hashes);
    };
    for token in [&replaced, "", "x", &"A".repeat(43), &"A".repeat(10_000)] {
        refused(token);
    }
    user(&node, &["disable", EMAIL], "");
    refused(&good);
    user(&node, &["enable", EMAIL], "");
    node.sql("UPDATE password_resets SET expires_at = expires_at - 86400");
    refused(&good);
    // A minute before its end.
    node.sql("UPDATE password_resets SET expires_at = expires_at + 60");
    Tokens::of(&reset(&node, &[], &good, NEW_PASSWORD), "resetPassword");
}
