//! Development mode: introspection and GraphiQL, with all limits as before.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::node::{Node, code};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// What GraphiQL asks for.
const INTROSPECTION: &str = "
    query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name }
        types { ...FullType } directives { name description locations args { ...InputValue } } } }
    fragment FullType on __Type { kind name description
        fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
        inputFields { ...InputValue } interfaces { ...TypeRef }
        enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
    fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";

pub fn in_dev_mode() -> Node {
    Node::start_with(|config| config.dev_mode = true)
}

#[test]
fn introspection_tells_the_whole_schema() {
    let answer = in_dev_mode().graphql(&[], INTROSPECTION, json!({}));
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    let types = answer["data"]["__schema"]["types"].as_array().unwrap();
    for name in ["Mutation", "Session", "TokenVerdict"] {
        assert!(types.iter().any(|one| one["name"] == name), "{name}");
    }
}

#[test]
fn without_it_introspection_and_graphiql_are_off() {
    let node = Node::start();
    let refused = node.graphql(&[], INTROSPECTION, json!({}));
    assert_eq!(code(&refused), "BAD_REQUEST");
    let short = node.graphql(&[], "{ __schema { queryType { name } } }", json!({}));
    assert_eq!(short["data"]["__schema"], Value::Null);
    let page = node.request("GET", "/graphql", &[BROWSER], "");
    assert_eq!(page.status, 400);
    assert_eq!(
        page.header("content-type"),
        "application/json; charset=utf-8"
    );
}

#[test]
fn browsers_get_graphiql_and_everybody_else_what_they_got_before() {
    let node = in_dev_mode();
    let page = node.request("GET", "/graphql", &[BROWSER], "");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.text.contains("GraphiQL.createFetcher"));
    assert_snapshot!(page.header("content-security-policy").replace("; ", "\n"));
    let loaded = page
        .text
        .split('"')
        .filter(|text| text.starts_with("https://"));
    assert_eq!(
        loaded.count(),
        4,
        "the two libraries, GraphiQL and its styles"
    );
    assert_eq!(page.text.matches("integrity=\"sha384-").count(), 4);

    for (method, path, headers, status) in [
        ("GET", "/graphql?query=%7B__typename%7D", vec![BROWSER], 200),
        ("GET", "/graphql", vec![], 400),
        (
            "GET",
            "/graphql",
            vec![("accept", "application/json, text/html")],
            400,
        ),
        ("GET", "/graphql", vec![("accept", "image/png")], 406),
    ] {
        let answer = node.request(method, path, &headers, "");
        assert_eq!(answer.status, status, "{path} {headers:?}");
        assert!(answer.header("content-type").contains("json"));
    }
}

#[test]
fn every_limit_holds_as_it_does_without() {
    let node = in_dev_mode();
    let fields = |field: &str, times: usize| format!("{{ {} }}", field.repeat(times));
    let types = "types { fields { type { ".repeat(8) + "name" + &" } } }".repeat(8);
    let wide = "types { fields { args { name } } } ".repeat(600);
    for (query, why) in [
        ("{ me ".repeat(9) + &"}".repeat(9), "nested too deep"),
        (
            "{ me ".repeat(1000) + &"}".repeat(1000),
            "too many brackets",
        ),
        (fields("__typename ", 201), "too many fields"),
        (
            fields("__typename @include(if: true) ", 11),
            "too many directives",
        ),
        (format!("{{ __schema {{ {types} }} }}"), "nested too deep"),
        (format!("{{ __schema {{ {wide} }} }}"), "too many brackets"),
        (
            format!("{{ __schema {{ {} }} }}", "...t ".repeat(700))
                + " fragment t on __Schema { description description }",
            "too many fields",
        ),
        (
            fields("a: logIn(email: \"a\", password: \"b\") { message } ", 2),
            "only one mutation",
        ),
    ] {
        let answer = node.graphql(&[], &query, json!({}));
        assert_eq!(code(&answer), "BAD_REQUEST");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(why), "{why}: {message}");
    }
}
