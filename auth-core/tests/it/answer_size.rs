//! No answer is much larger than what was asked: who cannot be told apart from an attacker gets no lever.

use proptest::prelude::*;
use serde_json::json;

use crate::node::{Node, code};

/// By how much an answer may be larger than its request, in bytes.
const ROOM: usize = 64 * 1024;

/// The longest request, in bytes.
const LONGEST: usize = 64 * 1024;

/// Documents that an attacker found, or whose kind they are: each is repeated until the request is full.
const REPEATED: [(&str, &str, &str); 18] = [
    ("query(", "$a:I ", "){__typename}"),
    ("query(", "$a:I=[{a:1}] ", "){__typename}"),
    ("query($a:Int ", "@a ", "){__typename}"),
    ("{__typename(", "a:1 ", ")}"),
    ("{verifyToken(", "token:$b ", "){valid}}"),
    ("{verifyToken(token:[", "$b ", "]){valid}}"),
    ("{verifyToken(token:{", "a:$b ", "}){valid}}"),
    ("{", "__typename @a ", "}"),
    ("{", "a ", "}"),
    ("{", "a:a ", "}"),
    ("{", "...a ", "}"),
    ("{", "...on A{a} ", "}"),
    ("", "{a} ", ""),
    ("", "query a{a} ", ""),
    ("", "fragment a on A{a} ", "{__typename}"),
    ("{me(", "\\\"", ")}"),
    ("{me", " \u{1}", "}"),
    ("", "# \u{7f}\n", "{"),
];

fn size_of_answer(node: &Node, body: String) -> (usize, usize) {
    let asked = body.len();
    (asked, node.post(&[], body).text.len())
}

#[test]
fn what_is_repeated_until_the_request_is_full_is_answered_in_short() {
    let node = Node::start();
    for (begin, unit, end) in REPEATED {
        for longer in ["", &"x".repeat(2000)] {
            // One name that is long, repeated by every error that names the operation.
            let begin = begin.replacen("query", &format!("query Q{longer}"), 1);
            let unit = unit.replace('a', &format!("a{longer}"));
            let times = (LONGEST - 3000) / json!(unit).to_string().len();
            let query = format!("{begin}{}{end}", unit.repeat(times));
            let (asked, answered) = size_of_answer(&node, json!({ "query": query }).to_string());
            assert!(
                answered < ROOM / 2,
                "{asked} bytes of {begin}{unit}… are answered with {answered}"
            );
        }
    }
}

#[test]
fn of_many_errors_ten_are_told_and_how_many_more_there_are() {
    let fields: String = (0..50).map(|i| format!("field{i} ")).collect();
    let answer = Node::start().graphql(&[], &format!("{{ {fields} }}"), json!({}));
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 11);
    assert_eq!(errors[10]["message"], "There are 40 more errors.");
    assert_eq!(errors[10]["extensions"]["code"], "BAD_REQUEST");
}

#[test]
fn variables_and_arguments_and_values_and_names_are_counted() {
    let node = Node::start();
    let refusal = |query: String, variables| {
        let answer = node.graphql(&[], &query, variables);
        assert_eq!(code(&answer), "BAD_REQUEST", "{answer}");
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    let variables = |times: usize| {
        let variables: String = (0..times).map(|i| format!("$a{i}:Int ")).collect();
        format!("query({variables}){{ __typename }}")
    };
    assert!(refusal(variables(21), json!({})).contains("too many variables"));
    assert!(!refusal(variables(20), json!({})).contains("too many"));
    let arguments = format!("{{ verifyToken({}) {{ valid }} }}", "token: 1 ".repeat(101));
    assert!(refusal(arguments, json!({})).contains("too many arguments"));
    let values = format!(
        "{{ verifyToken(token: [{}]) {{ valid }} }}",
        "1 ".repeat(200)
    );
    assert!(refusal(values, json!({})).contains("too many values"));
    let long = "a".repeat(101);
    for query in [
        format!("query {long} {{ me {{ id }} }}"),
        format!("query(${long}: Int) {{ me {{ id }} }}"),
        format!("query($a: {long}) {{ me {{ id }} }}"),
        format!("query($a: Int = {long}) {{ me {{ id }} }}"),
        format!("{{ {long} }}"),
        format!("{{ {long}: me {{ id }} }}"),
        format!("{{ me({long}: 1) {{ id }} }}"),
        format!("{{ me(a: {long}) {{ id }} }}"),
        format!("{{ me(a: ${long}) {{ id }} }}"),
        format!("{{ me(a: {{ {long}: 1 }}) {{ id }} }}"),
        format!("{{ me @{long} {{ id }} }}"),
        format!("{{ ...{long} }}"),
        format!("{{ ...on {long} {{ id }} }}"),
        format!("{{ ...a }} fragment a on {long} {{ id }}"),
        format!("{{ ...{long} }} fragment {long} on Query {{ id }}"),
    ] {
        let refused = refusal(query.clone(), json!({}));
        assert!(
            refused.contains("name that is too long"),
            "{query}: {refused}"
        );
    }
    let many = json!({ "a": [[1], { "b": vec![0; 200] }] });
    assert!(refusal("{ me { id } }".to_owned(), many).contains("too many values"));
}

/// Text that looks like GraphQL, valid or not.
fn document() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("query".to_owned()),
        Just("mutation".to_owned()),
        Just("fragment".to_owned()),
        Just("on".to_owned()),
        Just("me".to_owned()),
        Just("verifyToken".to_owned()),
        Just("logIn".to_owned()),
        Just("account".to_owned()),
        Just("email".to_owned()),
        Just("valid".to_owned()),
        Just("$a".to_owned()),
        Just("@skip(if: true)".to_owned()),
        Just("...".to_owned()),
        "[a-z]{1,200}",
        "[{}()\\[\\]:!=\"]",
        "\\PC{0,8}",
    ];
    (prop::collection::vec(word, 1..40), 1usize..2000).prop_map(|(words, times)| {
        let unit = words.join(" ") + " ";
        let times = times.min(LONGEST / 2 / unit.len()).max(1);
        unit.repeat(times)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_document_is_answered_with_more_than_its_own_size_and_64_kib(
        head in prop_oneof![Just(""), Just("{"), Just("query($a: Int) {"), Just("{ me {"), Just("mutation {")],
        body in document(),
        tail in prop_oneof![Just(""), Just("}"), Just("}}")],
        variables in prop::collection::hash_map("[a-z]{1,9}", "\\PC{0,99}", 0..9),
    ) {
        let query = format!("{head}{body}{tail}");
        let body = json!({ "query": query, "variables": variables }).to_string();
        NODE.with(|node| {
            let (asked, answered) = size_of_answer(node, body);
            prop_assert!(answered <= asked + ROOM, "{} bytes for {}", answered, asked);
            Ok(())
        })?;
    }
}

thread_local! {
    static NODE: Node = Node::start();
}
