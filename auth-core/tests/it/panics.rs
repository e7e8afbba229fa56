//! A panic in a request costs that request alone.

use auth_core::graphql::Schema;
use insta::assert_json_snapshot;
use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD, config};

/// A node on which all fields panic: the schema lacks what they take for granted.
fn broken() -> Node {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let node = Node::start_changed(dir, config, |app| app.schema = Schema::default());
    node.wait_until("ready", || node.get("/readyz").status == 200);
    node
}

#[test]
fn a_panic_in_a_request_is_an_internal_error_and_the_node_goes_on() {
    let node = broken();
    let body = json!({ "query": "{ me { id } }" }).to_string();
    let answers = ["application/json", "application/graphql-response+json"].map(|media| {
        let answer = node.post(&[("accept", media)], body.as_str());
        (answer.status, answer.json())
    });
    assert_eq!(answers[0], answers[1]);
    assert_json_snapshot!(answers[0]);
    let told = answers[0].1.to_string().to_lowercase();
    assert!(!told.contains("panic"), "the cause is told: {told}");
    let signed_up = node.sign_up(EMAIL, PASSWORD);
    assert_eq!(signed_up, answers[0].1);
    for (operation, times) in [("me", 2.0), ("signUp", 1.0)] {
        let labels = format!(r#"operation="{operation}",outcome="internal""#);
        let counted = node.metric(&format!("auth_requests_total{{{labels}}}"));
        assert_eq!(counted, times, "{operation}");
    }
    let other = node.graphql(&[], "{ __typename }", json!({}));
    assert_eq!(other["data"]["__typename"], "Query");
    assert_eq!(node.get("/readyz").status, 200);
}
