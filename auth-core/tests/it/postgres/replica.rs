//! Sessions are read from a replica, a real one, which is never further behind than was said.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Postgres, Server, open_to_all, program, unprivileged};
use crate::database;
use crate::node::{EMAIL, Node, PASSWORD, code};

const MAX_LAG_SECONDS: u64 = 3;

impl Postgres {
    /// A streaming replica of a private server.
    fn replica(&self) -> Self {
        let Server::Private(primary, _) = &self.server else {
            panic!("not a private server");
        };
        let dir = tempfile::Builder::new()
            .prefix("pg")
            .tempdir_in("/tmp")
            .unwrap();
        open_to_all(dir.path());
        let copied = unprivileged(&program("pg_basebackup"))
            .arg(format!(
                "--dbname=user=auth host={}",
                primary.path().display()
            ))
            .args([
                "--checkpoint=fast",
                "--write-recovery-conf",
                "--no-sync",
                "--pgdata",
            ])
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        assert!(
            copied.status.success(),
            "{}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let mut replica = Self {
            url: format!(
                "postgres://auth@localhost/postgres?host={}",
                dir.path().display()
            ),
            server: Server::Private(dir, None),
        };
        replica.up();
        replica
    }
}

struct Replicated {
    node: Node,
    primary: Postgres,
    replica: Postgres,
    token: String,
}

impl Replicated {
    /// Somebody is logged in, and the replica knows of it.
    fn start() -> Self {
        let primary = Postgres::private();
        primary.wait_until_up();
        let replica = primary.replica();
        let node = Node::start_with(|config| {
            config.database.url.clone_from(&primary.url);
            config.database.replica_url = Some(replica.url.clone());
            config.database.replica_max_lag_seconds = MAX_LAG_SECONDS;
        });
        let answer = node.sign_up(EMAIL, PASSWORD);
        let token = answer["data"]["signUp"]["accessToken"].as_str().unwrap();
        let there = "SELECT COUNT(*) FROM sessions, heartbeats";
        node.wait_until("the replica has the session and a beat", || {
            database::run(&replica.url, there).is_ok_and(|count| count == [1])
        });
        Self {
            token: token.to_owned(),
            node,
            primary,
            replica,
        }
    }

    fn me(&self) -> Value {
        self.node.with(&self.token).me()
    }
}

#[test]
fn whose_a_session_is_can_be_read_while_the_primary_is_away_for_as_long_as_was_said() {
    let mut stack = Replicated::start();
    stack.node.wait_until("the replica answers", || {
        stack.me()["data"]["me"]["email"] == EMAIL
    });
    stack.primary.down();
    let gone = Instant::now();
    assert_eq!(stack.me()["data"]["me"]["email"], EMAIL);
    let node = &stack.node;
    node.wait_until("it is too old", || code(&stack.me()) == "UNAVAILABLE");
    let lasted = gone.elapsed();
    assert!(lasted > Duration::from_secs(1), "it lasted for {lasted:?}");
}

#[test]
fn a_log_out_holds_within_the_time_that_a_replica_may_be_behind() {
    let stack = Replicated::start();
    database::run(
        &stack.replica.url,
        "SELECT 0::bigint FROM pg_wal_replay_pause()",
    )
    .unwrap();
    let log_out = "mutation { logOut { message } }";
    let answer = stack
        .node
        .with(&stack.token)
        .graphql(&[], log_out, json!({}));
    assert!(answer["data"]["logOut"].is_object(), "{answer}");
    let since = Instant::now();
    assert_eq!(
        stack.me()["data"]["me"]["email"],
        EMAIL,
        "that is a stale answer"
    );
    // Who logs in again is not told that they are logged in.
    let again = stack.node.with(&stack.token).log_in(EMAIL, PASSWORD);
    assert!(again["data"]["logIn"]["accessToken"].is_string(), "{again}");
    stack.node.wait_until("the log-out holds", || {
        code(&stack.me()) == "UNAUTHENTICATED"
    });
    let lasted = since.elapsed();
    assert!(
        lasted < Duration::from_secs(MAX_LAG_SECONDS) + Duration::from_millis(500),
        "it took {lasted:?}"
    );
}

#[test]
fn what_a_replica_does_not_know_yet_the_primary_does() {
    let stack = Replicated::start();
    database::run(
        &stack.replica.url,
        "SELECT 0::bigint FROM pg_wal_replay_pause()",
    )
    .unwrap();
    let answer = stack.node.log_in(EMAIL, PASSWORD);
    let token = answer["data"]["logIn"]["accessToken"].as_str().unwrap();
    assert_eq!(stack.node.with(token).me()["data"]["me"]["email"], EMAIL);
}

#[test]
fn a_replica_that_is_away_costs_nobody_an_answer() {
    let mut stack = Replicated::start();
    stack.replica.down();
    for _ in 0..20 {
        assert_eq!(stack.me()["data"]["me"]["email"], EMAIL);
    }
}
