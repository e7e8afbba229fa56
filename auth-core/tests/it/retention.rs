//! What has expired is removed in the background, however much there is, and no log-in waits for it.

use std::time::{Duration, Instant};

use crate::node::{EMAIL, Node, PASSWORD};
use crate::refresh::Tokens;

/// Rows of each table that have expired, as a node finds them that was off for long.
fn leave_behind(node: &Node, rows: u32) {
    let bytes = if node.database.starts_with("sqlite:") {
        "BLOB"
    } else {
        "BYTEA"
    };
    let numbers =
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})");
    for insert in [
        format!(
            "INSERT INTO sessions SELECT 's' || i, (SELECT id FROM accounts), CAST('f' || i AS {bytes}), CAST('t' AS {bytes}), i FROM n"
        ),
        "INSERT INTO failed_log_ins SELECT 'e' || i, 1, i FROM n".to_owned(),
        format!(
            "INSERT INTO idempotency_keys SELECT CAST('k' || i AS {bytes}), CAST('r' AS {bytes}), NULL, 0, i FROM n"
        ),
        "INSERT INTO audit (at, event) SELECT i, 'log_in' FROM n".to_owned(),
    ] {
        node.sql(&format!("{numbers} {insert}"));
    }
}

fn left(node: &Node) -> i64 {
    node.sql(
        "SELECT (SELECT count(*) FROM sessions WHERE id LIKE 's%') \
         + (SELECT count(*) FROM failed_log_ins) \
         + (SELECT count(*) FROM idempotency_keys) \
         + (SELECT count(*) FROM audit WHERE at < 1000000000)",
    )[0]
}

fn removes_beside_log_ins(rows: u32, deadline: Duration) {
    let node = Node::start();
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    leave_behind(&node, rows);
    // The node may have begun already, as it looks for what has expired when it starts.
    assert!(left(&node) > 0);
    let other = node.beside();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    while left(&node) > 0 {
        assert!(begun.elapsed() < deadline, "{} are left", left(&node));
        let asked = Instant::now();
        let answer = node.log_in(EMAIL, PASSWORD);
        assert!(answer["errors"].is_null(), "{answer}");
        slowest = slowest.max(asked.elapsed());
    }
    println!(
        "{} rows in {:?}, the slowest log-in took {slowest:?}",
        4 * rows,
        begun.elapsed()
    );
    drop(other);
    // What has not expired is there.
    let me = crate::refresh::me(&node, &tokens);
    assert_eq!(me["data"]["me"]["email"], EMAIL);
    assert_eq!(
        node.sql("SELECT count(*) FROM audit WHERE event = 'sign_up'"),
        [1]
    );
}

#[test]
fn what_has_expired_is_removed_while_people_log_in() {
    removes_beside_log_ins(5_000, Duration::from_secs(20));
}

/// Takes long: `cargo test --test it -- --ignored a_million`.
#[test]
#[ignore = "takes a minute"]
fn a_million_rows_of_each_kind_are_removed_while_people_log_in() {
    removes_beside_log_ins(1_000_000, Duration::from_secs(600));
}

#[test]
fn a_flood_of_wrong_passwords_pushes_out_nothing_but_wrong_passwords() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let now = "(SELECT max(at) FROM audit)";
    node.sql(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000010) \
         INSERT INTO audit (at, event) SELECT {now}, 'wrong_password' FROM n"
    ));
    let other = node.beside();
    let count = |event: &str| {
        node.sql(&format!(
            "SELECT count(*) FROM audit WHERE event = '{event}'"
        ))[0]
    };
    node.wait_until("the oldest are removed", || {
        count("wrong_password") == 1_000_000
    });
    drop(other);
    assert_eq!(count("sign_up"), 1);
}
