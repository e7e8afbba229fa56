//! Sessions over time: refreshed, ended, and what becomes of stolen tokens.

use auth_core::clock::now;
use auth_core::tokens::refresh::RefreshToken;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::node::{EMAIL, Node, PASSWORD, code};

const NEW_PASSWORD: &str = "another good password";

/// The tokens that a client holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    /// Takes them from the answer to `operation`.
    #[track_caller]
    pub fn of(answer: &Value, operation: &str) -> Self {
        let session = &answer["data"][operation];
        let token = |name: &str| {
            let text = session[name].as_str();
            text.unwrap_or_else(|| panic!("no {name}: {answer}"))
                .to_owned()
        };
        Self {
            access: token("accessToken"),
            refresh: token("refreshToken"),
        }
    }
}

fn signed_up(node: &Node) -> Tokens {
    Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp")
}

fn logged_in(node: &Node, password: &str) -> Tokens {
    Tokens::of(&node.log_in(EMAIL, password), "logIn")
}

fn refresh_with(node: &Node, headers: &[(&str, &str)], token: &str) -> Value {
    let query = "mutation($token: String!) { refresh(refreshToken: $token) { message accessToken refreshToken expiresIn account { email role } } }";
    node.graphql(headers, query, json!({ "token": token }))
}

pub fn refresh(node: &Node, token: &str) -> Value {
    refresh_with(node, &[], token)
}

fn as_caller(node: &Node, tokens: &Tokens, query: &str) -> Value {
    node.with(&tokens.access).graphql(&[], query, json!({}))
}

pub fn me(node: &Node, tokens: &Tokens) -> Value {
    node.with(&tokens.access).me()
}

pub fn change_password(node: &Node, tokens: &Tokens, current: &str, new: &str) -> Value {
    let query = format!(
        "mutation {{ changePassword(currentPassword: \"{current}\", newPassword: \"{new}\") {{ message accessToken refreshToken }} }}"
    );
    as_caller(node, tokens, &query)
}

pub fn delete_account(node: &Node, tokens: &Tokens, password: &str) -> Value {
    as_caller(
        node,
        tokens,
        &format!("mutation {{ deleteAccount(password: \"{password}\") {{ message }} }}"),
    )
}

#[test]
fn a_refresh_trades_the_token_for_new_ones_again_and_again() {
    let node = &Node::start();
    let mut tokens = signed_up(node);
    for _ in 0..5 {
        let answer = refresh(node, &tokens.refresh);
        let next = Tokens::of(&answer, "refresh");
        assert_eq!(
            answer["data"]["refresh"]["account"],
            json!({ "email": EMAIL, "role": "user" })
        );
        assert_eq!(answer["data"]["refresh"]["expiresIn"], 900);
        assert!(next.refresh != tokens.refresh && next.access != tokens.access);
        assert_eq!(me(node, &next)["data"]["me"]["email"], EMAIL);
        tokens = next;
    }
}

#[test]
fn an_old_refresh_token_is_refused_and_ends_its_session_but_no_other() {
    let node = &Node::start();
    let stolen = signed_up(node);
    let other = logged_in(node, PASSWORD);
    let newest = Tokens::of(&refresh(node, &stolen.refresh), "refresh");
    assert_eq!(code(&refresh(node, &stolen.refresh)), "UNAUTHENTICATED");
    assert_eq!(
        code(&refresh(node, &newest.refresh)),
        "UNAUTHENTICATED",
        "nobody can tell who the thief is"
    );
    assert_eq!(code(&me(node, &newest)), "UNAUTHENTICATED");
    Tokens::of(&refresh(node, &other.refresh), "refresh");
}

#[test]
fn of_refreshes_at_the_same_time_at_most_one_succeeds() {
    let node = &Node::start();
    let tokens = signed_up(node);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| refresh(node, &tokens.refresh)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let refused = answers
        .iter()
        .filter(|answer| code(answer) == "UNAUTHENTICATED")
        .count();
    assert!(refused >= 11, "{answers:?}");
}

/// Of a crowd the third ends the session for the first two; of two nobody does.
#[test]
fn of_two_refreshes_at_the_same_time_at_most_one_succeeds() {
    let node = &Node::start();
    signed_up(node);
    for round in 0..30 {
        let tokens = logged_in(node, PASSWORD);
        let begin = std::sync::Barrier::new(2);
        let at_once = || {
            begin.wait();
            refresh(node, &tokens.refresh)
        };
        let answers = std::thread::scope(|scope| {
            let other = scope.spawn(at_once);
            [at_once(), other.join().unwrap()]
        });
        let refused = answers
            .iter()
            .any(|answer| code(answer) == "UNAUTHENTICATED");
        assert!(refused, "round {round}: {answers:?}");
    }
}

#[test]
fn a_repeated_refresh_with_its_idempotency_key_gets_the_same_refresh_token_and_others_do_not() {
    let node = &Node::start();
    let key = [("idempotency-key", "key-of-a-refresh")];
    let tokens = signed_up(node);
    let first = Tokens::of(&refresh_with(node, &key, &tokens.refresh), "refresh");
    let again = Tokens::of(&refresh_with(node, &key, &tokens.refresh), "refresh");
    assert_eq!(first.refresh, again.refresh);
    let next = Tokens::of(&refresh(node, &again.refresh), "refresh");
    assert_eq!(
        code(&refresh_with(node, &key, &tokens.refresh)),
        "UNAUTHENTICATED",
        "two uses ago"
    );
    assert_eq!(
        code(&refresh(node, &next.refresh)),
        "UNAUTHENTICATED",
        "which ended the session"
    );

    let tokens = logged_in(node, PASSWORD);
    refresh_with(node, &key, &tokens.refresh);
    let other = [("idempotency-key", "key-of-somebody-else")];
    assert_eq!(
        code(&refresh_with(node, &other, &tokens.refresh)),
        "UNAUTHENTICATED"
    );
}

#[test]
fn a_log_out_ends_the_session_and_no_other() {
    let node = &Node::start();
    let (one, other) = (signed_up(node), logged_in(node, PASSWORD));
    let answer = as_caller(node, &one, "mutation { logOut { message } }");
    assert_eq!(answer["data"]["logOut"]["message"], "Logged out.");
    assert_eq!(code(&refresh(node, &one.refresh)), "UNAUTHENTICATED");
    assert_eq!(code(&me(node, &one)), "UNAUTHENTICATED");
    assert_eq!(me(node, &other)["data"]["me"]["email"], EMAIL);
    let back = node.with(&one.access).log_in(EMAIL, PASSWORD);
    Tokens::of(&back, "logIn");
    let again = as_caller(node, &one, "mutation { logOut { message } }");
    assert!(
        again["data"]["logOut"].is_object(),
        "logged out is logged out: {again}"
    );
    assert_eq!(
        code(&node.graphql(&[], "mutation { logOut { message } }", json!({}))),
        "UNAUTHENTICATED"
    );
}

#[test]
fn a_session_ends_when_its_time_is_over_however_often_it_was_refreshed() {
    let node = Node::start_with(|config| config.tokens.session_seconds = 1);
    let mut tokens = signed_up(&node);
    node.wait_until("the session is over", || {
        let answer = refresh(&node, &tokens.refresh);
        if answer["data"]["refresh"].is_object() {
            tokens = Tokens::of(&answer, "refresh");
        }
        code(&answer) == "UNAUTHENTICATED"
    });
    assert_eq!(code(&me(&node, &tokens)), "UNAUTHENTICATED");
    logged_in(&node, PASSWORD);
}

#[test]
fn a_session_ends_after_thirty_days_where_nobody_says_otherwise() {
    let node = Node::start();
    signed_up(&node);
    let [expires] = node.sql("SELECT expires_at FROM sessions")[..] else {
        panic!("one session")
    };
    let days = (u64::try_from(expires).unwrap() - now()).div_ceil(24 * 60 * 60);
    assert_eq!(days, 30);
}

#[test]
fn a_new_password_ends_all_sessions_and_begins_one() {
    let node = &Node::start();
    let (one, other) = (signed_up(node), logged_in(node, PASSWORD));
    let changed = Tokens::of(
        &change_password(node, &one, PASSWORD, NEW_PASSWORD),
        "changePassword",
    );
    for tokens in [&one, &other] {
        assert_eq!(code(&refresh(node, &tokens.refresh)), "UNAUTHENTICATED");
        assert_eq!(code(&me(node, tokens)), "UNAUTHENTICATED");
    }
    assert_eq!(me(node, &changed)["data"]["me"]["email"], EMAIL);
    assert_eq!(code(&node.log_in(EMAIL, PASSWORD)), "INVALID_CREDENTIALS");
    logged_in(node, NEW_PASSWORD);
}

#[test]
fn a_password_is_changed_only_by_who_knows_it_and_only_to_a_good_one() {
    let node = Node::start();
    let tokens = signed_up(&node);
    assert_eq!(
        code(&change_password(
            &node,
            &tokens,
            "wrong horse battery",
            NEW_PASSWORD
        )),
        "INVALID_CREDENTIALS"
    );
    assert_eq!(
        code(&change_password(&node, &tokens, PASSWORD, "short")),
        "WEAK_PASSWORD"
    );
    let nobody = Tokens {
        access: "a.b.c".to_owned(),
        refresh: String::new(),
    };
    let hashes = node.hashes();
    assert_eq!(
        code(&change_password(&node, &nobody, PASSWORD, NEW_PASSWORD)),
        "UNAUTHENTICATED"
    );
    assert_eq!(node.hashes(), hashes, "who is not logged in costs no hash");
    logged_in(&node, PASSWORD);
    assert_eq!(
        me(&node, &tokens)["data"]["me"]["email"],
        EMAIL,
        "refused, so no session ended"
    );
}

#[test]
fn a_deleted_account_is_gone_with_its_sessions_and_its_email_is_free() {
    let node = &Node::start();
    let tokens = signed_up(node);
    assert_eq!(
        code(&delete_account(node, &tokens, "wrong horse battery")),
        "INVALID_CREDENTIALS"
    );
    assert_eq!(me(node, &tokens)["data"]["me"]["email"], EMAIL);
    let answer = delete_account(node, &tokens, PASSWORD);
    assert_eq!(
        answer["data"]["deleteAccount"]["message"],
        "Account deleted."
    );
    assert_eq!(code(&me(node, &tokens)), "UNAUTHENTICATED");
    assert_eq!(code(&refresh(node, &tokens.refresh)), "UNAUTHENTICATED");
    assert_eq!(code(&node.log_in(EMAIL, PASSWORD)), "INVALID_CREDENTIALS");
    signed_up(node);
}

#[test]
fn the_gateway_counts_wrong_passwords_wherever_they_are_given() {
    let node = Node::start();
    let tokens = signed_up(&node);
    for query in [
        "mutation { deleteAccount(password: \"wrong horse battery\") { message } }",
        "mutation { changePassword(currentPassword: \"wrong horse battery\", newPassword: \"another good password\") { message } }",
    ] {
        let body = json!({ "query": query }).to_string();
        let answer = node.with(&tokens.access).post(&[], body);
        assert_eq!(answer.header("x-auth-outcome"), "login-failed", "{query}");
    }
}

#[test]
fn the_database_holds_no_refresh_token() {
    let node = Node::start();
    let token = signed_up(&node).refresh;
    let bytes = RefreshToken::parse(&token).unwrap();
    assert!(!node.holds(&token));
    assert!(
        node.holds(bytes.hash()),
        "the test looks in the wrong place"
    );
    assert_eq!(format!("{bytes:?}"), "RefreshToken(…)");
}

proptest! {
    #[test]
    fn any_text_as_a_refresh_token_is_none_or_reads_back_the_same(text in "\\PC{0,80}|[A-Za-z0-9_-]{64}") {
        if let Some(token) = RefreshToken::parse(&text) {
            prop_assert_eq!(token.text(), text);
        }
    }
}
