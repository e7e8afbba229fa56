//! Metrics: each series is there from the start, counts what it says, and is in the reference.

use std::collections::BTreeSet;

use auth_core::clock::now;
use auth_core::config::Tokens;
use auth_core::identity::Identity;
use auth_core::tokens::KeyRing;
use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD, key_pair, log_in};

const REFERENCE: &str = include_str!("../../../docs/reference/metrics.md");

/// `NAME | TYPE | HELP` of each series, as `/metrics` tells.
fn listed(node: &Node) -> Vec<String> {
    let text = node.get("/metrics").text;
    let of = |line: &str, what: &str| {
        let (name, rest) = line.strip_prefix(what)?.split_once(' ')?;
        Some((name.to_owned(), rest.to_owned()))
    };
    text.lines()
        .filter_map(|line| of(line, "# HELP "))
        .zip(text.lines().filter_map(|line| of(line, "# TYPE ")))
        .map(|((name, help), (same, kind))| {
            assert_eq!(name, same);
            format!("`{name}` | {kind} | {help}")
        })
        .collect()
}

#[test]
fn every_metric_is_in_the_reference_with_its_help() {
    let node = Node::start();
    let expected: Vec<_> = listed(&node);
    insta::assert_snapshot!(expected.join("\n"));
    let documented: BTreeSet<_> = REFERENCE
        .lines()
        // Those of `auth-core probe` are not a node's, nor are those of backups, or of what is not ours.
        .filter(|line| line.starts_with("| `auth_") || line.starts_with("| `process_"))
        .filter(|line| !line.starts_with("| `auth_probe_") && !line.starts_with("| `auth_backup_"))
        .map(|line| line.trim_matches(['|', ' ']).to_owned())
        .map(|line| line.split(" | ").take(3).collect::<Vec<_>>().join(" | "))
        .collect();
    let expected: BTreeSet<_> = expected.into_iter().collect();
    assert_eq!(
        documented, expected,
        "docs/reference/metrics.md is not what /metrics says"
    );
}

#[test]
fn every_series_is_there_before_anything_happened() {
    let node = Node::start();
    let names: BTreeSet<_> = series(&node);
    assert!(
        names.contains(r#"auth_requests_total{operation="logIn",outcome="invalid_credentials"}"#)
    );
    assert!(names.contains(r#"auth_request_seconds_count{operation="me"}"#));
    assert!(names.contains(r#"auth_tokens_refused_total{reason="reused_refresh_token"}"#));
    assert!(names.contains("auth_hashes_waiting"));

    // Whatever clients do, they add none.
    let body = |query: &str| json!({ "query": query }).to_string();
    node.sign_up(EMAIL, PASSWORD);
    node.log_in(EMAIL, "a wrong password for sure");
    node.with("nonsense").me();
    node.post(&[], body("{ never { heard } }"));
    node.post(
        &[],
        body("mutation { refresh(refreshToken: \"made up\") { message } }"),
    );
    node.post(&[], "not JSON");
    node.post(&[], "x".repeat(70_000));
    node.request("POST", "/graphql", &[("content-type", "text/plain")], "hi");
    node.request("GET", "/graphql?query=mutation{logOut{message}}", &[], "");
    node.request(
        "GET",
        "/graphql?query={me{id}}",
        &[("accept", "image/png")],
        "",
    );
    assert_eq!(series(&node), names);
}

/// All series by name and labels, but those of the process.
fn series(node: &Node) -> BTreeSet<String> {
    let text = node.get("/metrics").text;
    text.lines()
        .filter(|line| line.starts_with("auth_"))
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[test]
fn requests_are_counted_by_outcome_and_tokens_by_what_became_of_them() {
    let node = Node::start();
    let answer = node.sign_up(EMAIL, PASSWORD);
    node.sign_up(EMAIL, PASSWORD);
    node.log_in(EMAIL, PASSWORD);
    node.log_in(EMAIL, "a wrong password for sure");
    node.log_in("bob@example.com", PASSWORD);
    let requests = |operation: &str, outcome: &str| {
        let labels = format!(r#"operation="{operation}",outcome="{outcome}""#);
        node.metric(&format!("auth_requests_total{{{labels}}}"))
    };
    assert_eq!(requests("signUp", "ok"), 1.0);
    assert_eq!(requests("signUp", "email_taken"), 1.0);
    assert_eq!(requests("logIn", "ok"), 1.0);
    assert_eq!(requests("logIn", "invalid_credentials"), 2.0);
    assert_eq!(node.metric("auth_tokens_issued_total"), 2.0);

    let refused = |reason: &str| {
        node.metric(&format!(
            r#"auth_tokens_refused_total{{reason="{reason}"}}"#
        ))
    };
    let me = |token: &str| node.with(token).me();
    let token = answer["data"]["signUp"]["accessToken"].as_str().unwrap();
    me("nonsense");
    assert_eq!(refused("malformed"), 1.0);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    me(&format!("{signed}.{flipped}{}", &signature[1..]));
    assert_eq!(refused("signature"), 1.0);
    let issue = |change: &dyn Fn(&mut Tokens), at: u64| {
        let mut settings = Tokens {
            key_directory: node.dir.path().join("keys"),
            ..Tokens::default()
        };
        change(&mut settings);
        let identity = Identity {
            id: String::new(),
            email: EMAIL.to_owned(),
            role: "user".to_owned(),
        };
        let ring = KeyRing::load(&settings).unwrap();
        ring.issue(&identity, "session", at).unwrap()
    };
    me(&issue(&|_| {}, now() - 2000));
    assert_eq!(refused("expired"), 1.0);
    me(&issue(
        &|settings| settings.audience = "another".to_owned(),
        now(),
    ));
    assert_eq!(refused("claims"), 1.0);
    let other = tempfile::tempdir().unwrap();
    key_pair(other.path(), "other");
    me(&issue(
        &|settings| settings.key_directory = other.path().to_owned(),
        now(),
    ));
    assert_eq!(refused("unknown_key"), 1.0);

    let refresh = |token: &str| {
        node.graphql(
            &[],
            "mutation($token: String!) { refresh(refreshToken: $token) { refreshToken } }",
            json!({ "token": token }),
        )
    };
    let first = answer["data"]["signUp"]["refreshToken"].as_str().unwrap();
    refresh("made up");
    assert_eq!(refused("unknown_refresh_token"), 1.0);
    assert!(refresh(first)["data"]["refresh"].is_object());
    assert_eq!(node.metric("auth_tokens_issued_total"), 3.0);
    refresh(first);
    assert_eq!(refused("reused_refresh_token"), 1.0);
    assert_eq!(refused("session_ended"), 0.0);
    me(token);
    assert_eq!(refused("session_ended"), 1.0);
}

#[test]
fn who_waits_for_a_hash_is_counted_and_so_is_who_went_away() {
    let node = Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = 8;
        config.password.concurrent_hashes = 1;
        config.password.queue_seconds = 60;
    });
    let variables = json!({ "email": EMAIL, "password": PASSWORD });
    let body = json!({ "query": log_in(), "variables": variables }).to_string();
    let crowd = node.crowd(3, "192.0.2.1", &body);
    node.wait_until("two wait for the first", || {
        node.metric("auth_hashes_in_flight") == 1.0 && node.metric("auth_hashes_waiting") == 2.0
    });
    drop(crowd);
    node.wait_until("all three are gone", || {
        node.metric(r#"auth_requests_total{operation="logIn",outcome="client_disconnected"}"#)
            == 3.0
    });
    assert_eq!(node.metric("auth_hashes_waiting"), 0.0);
    assert_eq!(
        node.metric(r#"auth_request_seconds_count{operation="logIn"}"#),
        0.0
    );
}

#[test]
fn how_long_hashes_take_and_are_waited_for_is_observed() {
    let node = Node::start_with(|config| {
        config.password.scrypt.log_n = 12;
        config.password.concurrent_hashes = 1;
        config.password.queue_seconds = 60;
    });
    node.sign_up(EMAIL, PASSWORD);
    let variables = json!({ "email": EMAIL, "password": PASSWORD });
    let body = json!({ "query": log_in(), "variables": variables }).to_string();
    let crowd = node.crowd(4, "192.0.2.1", &body);
    node.wait_until("all are hashed", || node.hashes() == 5.0);
    node.wait_until("and observed", || {
        node.metric("auth_hash_seconds_count") == 5.0
    });
    drop(crowd);
    assert_eq!(node.metric("auth_hash_queue_seconds_count"), 5.0);
    let (hashing, waiting) = (
        node.metric("auth_hash_seconds_sum"),
        node.metric("auth_hash_queue_seconds_sum"),
    );
    // The second of the crowd waited for a hash, the third for two, the fourth for three.
    assert!(hashing > 0.0);
    assert!(waiting > hashing / 2.0, "{waiting} s for {hashing} s");
}

#[test]
fn connections_to_the_database_are_counted() {
    let node = Node::start_with(|config| config.database.max_connections = 3);
    assert_eq!(node.metric("auth_database_connections_max"), 3.0);
    node.wait_until("the one that was used is idle", || {
        let state =
            |state| node.metric(&format!(r#"auth_database_connections{{state="{state}"}}"#));
        state("used") == 0.0 && state("idle") >= 1.0
    });
}
