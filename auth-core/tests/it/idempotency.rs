//! Mutations that are repeated with an `Idempotency-Key`.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::node::{EMAIL, Node, PASSWORD, code, log_in, sign_up};
use crate::refresh::{Tokens, me, refresh};

const KEY: &str = "3f1d7c1e-0b57-4d5e-9d3c-b6d4f3b1a111";
const OTHER_KEY: &str = "8c5f0a52-6f0e-4d3b-a1a7-51d4f0c3e222";

/// A mutation as a client would send it.
struct Request {
    query: String,
    variables: Value,
    token: Option<String>,
}

impl Request {
    fn new(query: &str, variables: Value) -> Self {
        Self {
            query: query.to_owned(),
            variables,
            token: None,
        }
    }

    fn of(tokens: &Tokens, query: &str, variables: Value) -> Self {
        Self {
            token: Some(tokens.access.clone()),
            ..Self::new(query, variables)
        }
    }

    fn send(&self, node: &Node, key: &str) -> Value {
        let (headers, variables) = ([("idempotency-key", key)], self.variables.clone());
        match &self.token {
            Some(token) => node.with(token).graphql(&headers, &self.query, variables),
            None => node.graphql(&headers, &self.query, variables),
        }
    }
}

fn signing_up(email: &str, password: &str) -> Request {
    let variables = json!({ "email": email, "password": password });
    Request::new(&sign_up(), variables)
}

fn logging_in(password: &str) -> Request {
    let variables = json!({ "email": EMAIL, "password": password });
    Request::new(&log_in(), variables)
}

fn refreshing(tokens: &Tokens) -> Request {
    let query = "mutation($token: String!) { refresh(refreshToken: $token) { accessToken refreshToken account { id } } }";
    Request::new(query, json!({ "token": tokens.refresh }))
}

fn changing_password(tokens: &Tokens, new: &str) -> Request {
    let query = "mutation($old: String!, $new: String!) { changePassword(currentPassword: $old, newPassword: $new) { accessToken refreshToken account { id } } }";
    Request::of(tokens, query, json!({ "old": PASSWORD, "new": new }))
}

fn logging_out(tokens: &Tokens) -> Request {
    Request::of(tokens, "mutation { logOut { message } }", json!({}))
}

fn deleting_account(tokens: &Tokens) -> Request {
    let query = "mutation($password: String!) { deleteAccount(password: $password) { message } }";
    Request::of(tokens, query, json!({ "password": PASSWORD }))
}

fn signed_up(node: &Node) -> Tokens {
    Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp")
}

/// A request of each kind, in an order in which one leaves what the next needs.
fn story(node: &Node, mut each: impl FnMut(&str, &Request) -> Value) {
    let tokens = Tokens::of(&each("signUp", &signing_up(EMAIL, PASSWORD)), "signUp");
    each("logOut", &logging_out(&tokens));
    let tokens = Tokens::of(&each("logIn", &logging_in(PASSWORD)), "logIn");
    let tokens = Tokens::of(&each("refresh", &refreshing(&tokens)), "refresh");
    let changing = changing_password(&tokens, "another good password");
    each("changePassword", &changing);
    node.graphql(&[], "{ __typename }", json!({}));
    let other = "bob@example.com";
    let tokens = Tokens::of(&node.sign_up(other, PASSWORD), "signUp");
    each("deleteAccount", &deleting_account(&tokens));
}

/// What must be the same in each answer: all but the access token, which is new.
fn lasting(mut answer: Value, operation: &str) -> Value {
    assert!(answer["data"][operation].is_object(), "{answer}");
    if let Some(session) = answer["data"][operation].as_object_mut() {
        session.remove("accessToken");
    }
    answer
}

#[test]
fn a_repeat_of_any_mutation_gets_the_first_answer_without_a_hash_and_on_any_node() {
    let node = Node::start();
    let other = node.beside();
    let mut number = 0;
    story(&node, |operation, request| {
        number += 1;
        let key = format!("key-number-{number}");
        let first = request.send(&node, &key);
        let hashes = node.hashes() + other.hashes();
        let sessions = node.sql("SELECT COUNT(*) FROM sessions");
        for node in [&node, &other, &node] {
            let again = request.send(node, &key);
            if first["data"][operation]["refreshToken"].is_string() {
                let tokens = Tokens::of(&again, operation);
                assert_eq!(code(&me(node, &tokens)), "", "{operation}");
            }
            assert_eq!(lasting(again, operation), lasting(first.clone(), operation));
        }
        assert_eq!(node.hashes() + other.hashes(), hashes, "{operation}");
        assert_eq!(
            node.sql("SELECT COUNT(*) FROM sessions"),
            sessions,
            "{operation}"
        );
        first
    });
    assert_eq!(number, 6);
}

#[test]
fn repeats_at_the_same_time_all_get_the_same_answer() {
    let node = Node::start_with(|config| config.password.concurrent_hashes = 8);
    let mut number = 0;
    story(&node, |operation, request| {
        number += 1;
        let key = format!("key-number-{number}");
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..12)
                .map(|_| scope.spawn(|| request.send(&node, &key)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for answer in &answers {
            assert_eq!(
                lasting(answer.clone(), operation),
                lasting(answers[0].clone(), operation)
            );
        }
        answers.into_iter().next().unwrap()
    });
}

#[test]
fn a_key_used_for_another_request_or_by_another_caller_is_refused() {
    let node = Node::start();
    let first = signing_up(EMAIL, PASSWORD);
    let tokens = Tokens::of(&first.send(&node, KEY), "signUp");
    assert_json_snapshot!(
        "a_key_used_for_another_request_is_refused",
        signing_up("bob@example.com", PASSWORD).send(&node, KEY)
    );
    let same_from_another = Request {
        token: Some(tokens.access.clone()),
        ..signing_up(EMAIL, PASSWORD)
    };
    for request in [
        signing_up(EMAIL, "another good password"),
        same_from_another,
        logging_in(PASSWORD),
        refreshing(&tokens),
        changing_password(&tokens, "another good password"),
        logging_out(&tokens),
        deleting_account(&tokens),
    ] {
        let answer = request.send(&node, KEY);
        assert_eq!(code(&answer), "IDEMPOTENCY_KEY_REUSED", "{}", request.query);
    }
    assert_eq!(
        code(&node.log_in("bob@example.com", PASSWORD)),
        "INVALID_CREDENTIALS",
        "nothing was changed"
    );
    Tokens::of(&refresh(&node, &tokens.refresh), "refresh");
}

#[test]
fn what_failed_is_not_remembered() {
    let node = Node::start();
    let hashes = node.hashes();
    for _ in 0..2 {
        let answer = logging_in(PASSWORD).send(&node, KEY);
        assert_eq!(code(&answer), "INVALID_CREDENTIALS");
    }
    assert_eq!(node.hashes(), hashes + 2.0);
    signed_up(&node);
    Tokens::of(&logging_in(PASSWORD).send(&node, KEY), "logIn");
}

#[test]
fn a_repeat_gives_no_access_that_was_taken_away() {
    let node = Node::start();
    signed_up(&node);
    let first = Tokens::of(&logging_in(PASSWORD).send(&node, KEY), "logIn");
    logging_out(&first).send(&node, OTHER_KEY);
    let second = Tokens::of(&logging_in(PASSWORD).send(&node, KEY), "logIn");
    assert_ne!(
        first.refresh, second.refresh,
        "the password was checked again"
    );
    let elsewhere = Tokens::of(&node.log_in(EMAIL, PASSWORD), "logIn");
    changing_password(&elsewhere, "another good password").send(&node, "key-of-a-change");
    assert_eq!(
        code(&logging_in(PASSWORD).send(&node, KEY)),
        "INVALID_CREDENTIALS"
    );
}

#[test]
fn a_key_is_forgotten_after_a_day_and_not_before() {
    let node = Node::start();
    let tokens = Tokens::of(&signing_up(EMAIL, PASSWORD).send(&node, KEY), "signUp");
    node.sql("UPDATE idempotency_keys SET created_at = created_at - 86340");
    let again = Tokens::of(&signing_up(EMAIL, PASSWORD).send(&node, KEY), "signUp");
    assert_eq!(again.refresh, tokens.refresh);
    node.sql("UPDATE idempotency_keys SET created_at = created_at - 60");
    let answer = signing_up(EMAIL, PASSWORD).send(&node, KEY);
    assert_eq!(code(&answer), "EMAIL_TAKEN");
    Tokens::of(&refreshing(&tokens).send(&node, KEY), "refresh");
    assert_eq!(node.sql("SELECT COUNT(*) FROM idempotency_keys"), [1]);
}

#[test]
fn another_key_does_not_make_a_taken_email_free() {
    let node = Node::start();
    signing_up(EMAIL, PASSWORD).send(&node, KEY);
    let answer = signing_up(EMAIL, PASSWORD).send(&node, OTHER_KEY);
    assert_eq!(code(&answer), "EMAIL_TAKEN");
}

/// Some requests are the same whoever sends them.
#[test]
fn the_same_request_of_somebody_else_is_not_taken_for_a_repeat() {
    let node = &Node::start();
    let ann = signed_up(node);
    let bob = Tokens::of(&node.sign_up("bob@example.com", PASSWORD), "signUp");
    assert!(logging_out(&ann).send(node, KEY)["errors"].is_null());
    let answer = logging_out(&bob).send(node, KEY);
    assert_eq!(code(&answer), "IDEMPOTENCY_KEY_REUSED");
    assert!(me(node, &bob)["errors"].is_null(), "Bob is logged in");
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
fn the_database_holds_no_key_no_password_and_no_token() {
    let node = Node::start();
    let tokens = Tokens::of(&signing_up(EMAIL, PASSWORD).send(&node, KEY), "signUp");
    let next = Tokens::of(&refreshing(&tokens).send(&node, OTHER_KEY), "refresh");
    for secret in [KEY, OTHER_KEY, PASSWORD, &tokens.refresh, &next.refresh] {
        assert!(!node.holds(secret), "{secret}");
    }
    assert!(node.holds(EMAIL), "the test looks in the wrong place");
}
