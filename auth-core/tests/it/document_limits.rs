//! Each limit of what a document may ask for is where it says: as much is read, and one more is refused.

use serde_json::{Value, json};

use crate::dev_mode::in_dev_mode;
use crate::node::{Node, code};

/// What the node says first of a document.
fn message(node: &Node, query: &str, variables: Value) -> String {
    let answer = node.graphql(&[], query, variables);
    let message = answer["errors"][0]["message"].as_str();
    assert!(
        message.is_none() || code(&answer) == "BAD_REQUEST",
        "{answer}"
    );
    message.unwrap_or_default().to_owned()
}

#[track_caller]
fn assert_most(node: &Node, most: usize, why: &str, document: impl Fn(usize) -> String) {
    let allowed = message(node, &document(most), json!({}));
    assert!(!allowed.contains(why), "{most}: {allowed}");
    let refused = message(node, &document(most + 1), json!({}));
    assert!(refused.contains(why), "one more than {most}: {refused}");
}

fn fields(field: &str, times: usize) -> String {
    format!("{{ {} }}", field.repeat(times))
}

/// So many sets of fields in one another.
fn nested(field: &str, times: usize) -> String {
    format!("{{ {field} ").repeat(times - 1) + "{ __typename }" + &" }".repeat(times - 1)
}

/// The numbers from 0, each in place of `#`.
fn numbered(text: &str, times: usize) -> String {
    (0..times)
        .map(|number| text.replace('#', &number.to_string()))
        .collect()
}

#[test]
fn a_document_may_have_as_much_as_it_says_and_no_more() {
    let node = Node::start();
    assert_most(&node, 256, "too many brackets", |n| "{".repeat(n));
    for field in ["me", "...", "... on Query"] {
        assert_most(&node, 7, "nested too deep", |n| nested(field, n));
    }
    // Each spreads the one before it.
    assert_most(&node, 7, "nested too deep", |n| {
        let spreading: String = (2..n)
            .map(|i| format!("fragment f{i} on Query {{ ...f{} }} ", i - 1))
            .collect();
        let last = n - 1;
        format!("{{ ...f{last} }} {spreading} fragment f1 on Query {{ __typename }}")
    });
    assert_most(&node, 200, "too many fields", |n| fields("__typename ", n));
    // The fragment counts where it is written, too.
    assert_most(&node, 99, "too many fields", |n| {
        fields("...f ", n) + "fragment f on Query { __typename }"
    });
    assert_most(&node, 10, "too many aliases", |n| {
        format!("{{ {} }}", numbered("a#: __typename ", n))
    });
    assert_most(&node, 10, "too many directives", |n| {
        fields("__typename @include(if: true) ", n)
    });
    assert_most(&node, 20, "too many variables", |n| {
        format!("query({}) {{ __typename }}", numbered("$a#: Int ", n))
    });
    assert_most(&node, 100, "too many arguments", |n| {
        format!("{{ verifyToken({}) {{ valid }} }}", "token: 1 ".repeat(n))
    });
    // The list is a value, too.
    assert_most(&node, 200, "too many values", |n| {
        let values = "1 ".repeat(n - 1);
        format!("{{ verifyToken(token: [{values}]) {{ valid }} }}")
    });
    assert_most(&node, 100, "a name that is too long", |n| {
        format!("query {} {{ __typename }}", "a".repeat(n))
    });
    for (values, is_refused) in [(199, false), (200, true)] {
        let said = message(&node, "{ __typename }", json!({ "a": vec![0; values] }));
        assert_eq!(said.contains("too many values"), is_refused, "{said}");
    }
}

#[test]
fn what_asks_for_the_schema_may_have_more_and_nothing_else_does() {
    let node = in_dev_mode();
    assert_most(&node, 19, "nested too deep", |n| {
        format!("{{ __schema {} }}", nested("a", n - 1))
    });
    assert_most(&node, 2000, "too many fields", |n| {
        format!("{{ __schema {} }}", fields("a ", n))
    });
    for about in ["Query", "__Schema"] {
        let most = if about == "Query" { 199 } else { 2000 };
        assert_most(&node, most, "too many fields", |n| {
            format!("{{ me }} fragment f on {about} {}", fields("a ", n))
        });
    }
    // Without introspection it has no more than the rest.
    assert_most(&Node::start(), 199, "too many fields", |n| {
        format!("{{ me }} fragment f on __Schema {}", fields("a ", n))
    });
}
