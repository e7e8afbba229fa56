//! Who guesses passwords waits longer and longer, and learns nothing by waiting.

use std::time::Instant;

use auth_core::accounts::delay_after;
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::json;

use crate::node::{Answer, EMAIL, Node, PASSWORD, code, log_in};

const WRONG: &str = "wrong horse battery";
const NOBODY: &str = "nobody@example.com";

fn attempt(node: &Node, email: &str, password: &str) -> Answer {
    let variables = json!({ "email": email, "password": password });
    node.post(
        &[],
        json!({ "query": log_in(), "variables": variables }).to_string(),
    )
}

fn guess(node: &Node, times: usize) {
    for number in 0..times {
        let answer = attempt(node, EMAIL, WRONG).json();
        assert_eq!(code(&answer), "INVALID_CREDENTIALS", "guess {number}");
    }
}

/// Moves the last guess of everybody, in place of waiting. One in the future keeps the whole delay to come.
fn move_last_guess(node: &Node, seconds: i64) {
    node.sql(&format!(
        "UPDATE failed_log_ins SET last_at = last_at + {seconds}"
    ));
}

fn logs_in(node: &Node) -> bool {
    node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object()
}

proptest! {
    #[test]
    fn a_delay_grows_with_the_failures_and_is_bounded(failures: u64) {
        let (delay, next) = (delay_after(failures), delay_after(failures.saturating_add(1)));
        prop_assert!(delay <= next && next <= 15 * 60);
    }
}

#[test]
fn five_failures_are_free_then_the_delay_doubles_up_to_a_quarter_of_an_hour() {
    let delays: Vec<_> = (0..=17).map(delay_after).collect();
    assert_eq!(
        delays,
        [
            0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900
        ]
    );
    // What docs/explanation/login-throttling.md says of NIST SP 800-63B-4.
    assert!(seconds_until(100) > 21 * 60 * 60);
    assert!(seconds_until(112) > 24 * 60 * 60);
}

#[test]
fn who_guesses_is_told_to_wait_and_even_the_right_password_waits() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    guess(&node, 6);
    move_last_guess(&node, 10_000);
    let hashes = node.hashes();
    for password in [WRONG, PASSWORD] {
        let answer = attempt(&node, EMAIL, password);
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, "1"),
            "{password}"
        );
        assert_eq!(answer.header("x-auth-outcome"), "", "nothing was checked");
        assert_snapshot!("told_to_wait", answer.text);
    }
    assert_eq!(node.hashes(), hashes);
    assert_eq!(
        node.metric(r#"auth_requests_total{operation="logIn",outcome="rate_limited"}"#),
        2.0
    );
}

#[test]
fn a_right_password_after_the_delay_ends_the_count() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    for _ in 0..2 {
        guess(&node, 6);
        move_last_guess(&node, 10_000);
        assert!(!logs_in(&node));
        move_last_guess(&node, -12_000);
        assert!(logs_in(&node));
        assert!(node.sql("SELECT failures FROM failed_log_ins").is_empty());
    }
}

#[test]
fn an_unknown_email_gets_the_same_answers_as_a_known_one_attempt_by_attempt() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let answers = |email: &str| {
        let attempts = (0..12).flat_map(|_| {
            move_last_guess(&node, -2_000);
            let checked = attempt(&node, email, WRONG);
            move_last_guess(&node, 10_000);
            let waited = attempt(&node, email, WRONG);
            move_last_guess(&node, -10_000);
            [checked, waited]
        });
        let attempts = attempts.map(|answer| {
            let headers =
                ["x-auth-outcome", "retry-after"].map(|name| answer.header(name).to_owned());
            (answer.status, headers, answer.text)
        });
        attempts.collect::<Vec<_>>()
    };
    let (known, hashes) = (answers(EMAIL), node.hashes());
    let unknown = answers(NOBODY);
    assert_eq!(known, unknown);
    assert_eq!(
        node.hashes() - hashes,
        hashes - 1.0,
        "one was the sign-up's"
    );
    let waits: Vec<_> = unknown
        .iter()
        .map(|(_, [_, seconds], _)| seconds.as_str())
        .filter(|seconds| !seconds.is_empty())
        .collect();
    // Six were free, the two of each of the first three rounds.
    assert_eq!(
        waits,
        ["2", "4", "8", "16", "32", "64", "128", "256", "512"]
    );
}

#[test]
fn nodes_on_one_database_share_the_count_and_no_spelling_of_the_email_escapes_it() {
    let first = Node::start();
    let second = first.beside();
    first.sign_up(EMAIL, PASSWORD);
    for email in ["ann@example.com", "ANN@example.com", "Ann@Example.Com"] {
        for node in [&first, &second] {
            assert_eq!(
                code(&attempt(node, email, WRONG).json()),
                "INVALID_CREDENTIALS"
            );
        }
    }
    move_last_guess(&first, 10_000);
    assert_eq!(attempt(&second, EMAIL, PASSWORD).status, 429);
    assert_eq!(attempt(&first, "aNN@example.com", PASSWORD).status, 429);
    assert_eq!(attempt(&first, NOBODY, PASSWORD).status, 200);
}

#[test]
fn of_a_crowd_that_is_in_the_queue_before_the_first_failure_one_is_checked() {
    let node = Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = 4;
        config.password.concurrent_hashes = 2;
        config.password.queue_seconds = 60;
    });
    // The next failure makes everybody wait for minutes.
    guess(&node, 1);
    node.sql("UPDATE failed_log_ins SET failures = 14, last_at = last_at - 2000");
    let before = node.hashes();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| attempt(&node, EMAIL, WRONG)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let hashed = node.hashes() - before;
    assert_eq!(hashed, 1.0);
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(refused as f64 + hashed, 20.0);
}

#[test]
fn a_crowd_gets_no_more_guesses_than_one_after_the_other_would_but_for_those_that_run_at_once() {
    const AT_ONCE: u32 = 4;
    let node = Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.concurrent_hashes = AT_ONCE;
        config.password.queue_seconds = 60;
    });
    let (before, started) = (node.hashes(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| attempt(&node, EMAIL, WRONG));
        }
    });
    // Times are stored in whole seconds.
    let seconds = started.elapsed().as_secs() + 1;
    let allowed = (6..30).take_while(|guess| seconds_until(*guess) <= seconds);
    let guesses = node.hashes() - before;
    // Of those that began before the first was counted.
    let most = allowed.max().unwrap() + u64::from(AT_ONCE - 1);
    assert!(
        guesses >= 6.0 && guesses <= most as f64,
        "{guesses} in {seconds} s"
    );
    assert_eq!(
        node.sql("SELECT failures FROM failed_log_ins"),
        [guesses as i64]
    );
}

/// How long who goes on guessing must wait until this guess, the first being 1.
fn seconds_until(guess: u64) -> u64 {
    (0..guess).map(delay_after).sum()
}

#[test]
fn a_guess_counts_though_nobody_waits_for_the_answer() {
    let node = Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = 4;
    });
    let variables = json!({ "email": EMAIL, "password": WRONG });
    let body = json!({ "query": log_in(), "variables": variables }).to_string();
    let guesser = node.crowd(1, "192.0.2.1", &body);
    node.wait_until("a hash is running", || {
        node.metric("auth_hashes_in_flight") == 1.0
    });
    drop(guesser);
    node.wait_until("the guess is counted", || {
        node.sql("SELECT failures FROM failed_log_ins") == [1]
    });
}

#[test]
fn wrong_passwords_count_wherever_they_are_given() {
    let node = Node::start();
    let signed_up = node.sign_up(EMAIL, PASSWORD);
    let token = signed_up["data"]["signUp"]["accessToken"].as_str().unwrap();
    let ask = |query: &str, password: &str| {
        let query = query.replace("PASSWORD", password);
        node.with(token)
            .post(&[], json!({ "query": query }).to_string())
    };
    let changes = [
        "mutation { deleteAccount(password: \"PASSWORD\") { message } }",
        "mutation { changePassword(currentPassword: \"PASSWORD\", newPassword: \"another good password\") { message } }",
    ];
    for query in changes {
        guess(&node, 1);
        for _ in 0..2 {
            assert_eq!(
                code(&ask(query, WRONG).json()),
                "INVALID_CREDENTIALS",
                "{query}"
            );
        }
    }
    move_last_guess(&node, 10_000);
    for query in changes {
        assert_eq!(ask(query, PASSWORD).status, 429, "{query}");
    }
    let me = node.with(token).me();
    assert_eq!(
        me["data"]["me"]["email"], EMAIL,
        "a session that exists goes on"
    );
    move_last_guess(&node, -12_000);
    assert_eq!(ask(changes[1], PASSWORD).status, 200);
    assert!(node.sql("SELECT failures FROM failed_log_ins").is_empty());
}

#[test]
fn a_day_without_a_wrong_password_and_all_are_forgotten() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    guess(&node, 6);
    move_last_guess(&node, -24 * 60 * 60);
    // The first of a new count.
    guess(&node, 1);
    assert_eq!(node.sql("SELECT failures FROM failed_log_ins"), [1]);
    guess(&node, 4);
    assert!(logs_in(&node));
}
