//! Two versions on one database: steps of the schema only add, so that the nodes of before go on beside the new ones, and can come back.

use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD};

/// What the next version may do to the tables, with its entry in sqlx's own: to this version it is a step that it does not know.
const NEXT_STEP: &[&str] = &[
    "ALTER TABLE accounts ADD COLUMN nickname TEXT",
    "CREATE TABLE devices (id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL)",
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
     SELECT 9999, 'the next', success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1",
];

#[test]
fn a_node_goes_on_when_the_next_version_has_changed_the_tables_and_can_be_started_again() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    std::thread::scope(|scope| {
        let upgrade = scope.spawn(|| {
            for statement in NEXT_STEP {
                node.sql(statement);
            }
        });
        let mut number = 0;
        while number == 0 || !upgrade.is_finished() {
            number += 1;
            let answer = node.sign_up(&format!("user{number}@example.com"), PASSWORD);
            assert!(answer["data"]["signUp"].is_object(), "{answer}");
        }
    });
    let works = |node: &Node, new: &str| {
        let answer = node.log_in(EMAIL, PASSWORD);
        let token = answer["data"]["logIn"]["accessToken"].as_str();
        let me = node.with(token.expect("a token")).me();
        assert_eq!(me["data"]["me"]["email"], json!(EMAIL), "{me}");
        let answer = node.sign_up(new, PASSWORD);
        assert!(answer["data"]["signUp"].is_object(), "{answer}");
    };
    works(&node, "bob@example.com");
    // As after an upgrade that was taken back.
    works(&node.beside(), "cyd@example.com");
}
