//! Bad input: a clear answer, no hash, and the node goes on.

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

use crate::node::{Answer, EMAIL, Node, PASSWORD, code, log_in, sign_up};

/// Sends something bad and sees that it cost nothing and broke nothing.
#[track_caller]
fn refused(node: &Node, send: impl FnOnce(&Node) -> Answer) -> String {
    let hashes = node.hashes();
    let answer = send(node);
    let refusal = answer.json();
    assert_ne!(code(&refusal), "", "not refused: {answer:?}");
    assert_ne!(code(&refusal), "INTERNAL", "not foreseen: {answer:?}");
    assert_eq!(node.hashes(), hashes, "bad input must not cost a hash");
    assert_eq!(node.get("/readyz").status, 200);
    format!("{} {}", answer.status, answer.text)
}

#[track_caller]
fn refused_body(body: impl Into<Vec<u8>>) -> String {
    refused(&Node::start(), |node| node.post(&[], body))
}

fn mutation(query: String, email: &str, password: &str) -> String {
    json!({ "query": query, "variables": { "email": email, "password": password } }).to_string()
}

#[test]
fn invalid_json_is_refused() {
    assert_snapshot!(refused_body("{\"query\": \"{ me { id } }\""), @r#"400 {"errors":[{"extensions":{"code":"BAD_REQUEST"},"message":"The body is not a GraphQL request in JSON: invalid JSON at line 1 column 25."}]}"#);
}

#[test]
fn invalid_utf8_is_refused() {
    assert_snapshot!(refused_body(*b"{\"query\":\"\xff\xfe\"}"));
}

#[test]
fn an_empty_body_is_refused() {
    assert_snapshot!(refused_body(" "));
}

#[test]
fn a_missing_query_is_refused() {
    assert_snapshot!(refused_body("{}"));
}

#[test]
fn a_batch_is_refused() {
    assert_snapshot!(refused_body("[{\"query\":\"{ __typename }\"}]"));
    refused_body("[\"{ __typename }\", null, null, null]");
}

#[test]
fn variables_that_are_no_map_are_refused() {
    assert_snapshot!(refused_body(
        "{\"query\":\"{ __typename }\",\"variables\":[1]}"
    ));
}

#[test]
fn a_document_that_does_not_parse_is_refused() {
    assert_snapshot!(refused_body("{\"query\":\"{ me { \"}"));
}

#[test]
fn a_field_that_does_not_exist_is_refused() {
    assert_snapshot!(refused_body("{\"query\":\"{ passwords }\"}"));
}

#[test]
fn missing_arguments_are_refused() {
    assert_snapshot!(refused_body(
        "{\"query\":\"mutation { signUp(email: \\\"a@b.cd\\\") { message } }\"}"
    ));
}

#[test]
fn variables_of_the_wrong_type_are_refused() {
    let body = json!({ "query": sign_up(), "variables": { "email": 1, "password": null } });
    assert_snapshot!(refused_body(body.to_string()));
}

#[test]
fn a_query_nested_a_thousand_deep_is_refused() {
    let query = "{ me ".repeat(1000) + &"}".repeat(1000);
    assert_snapshot!(refused_body(json!({ "query": query }).to_string()));
    // Few brackets, and deeper than anything that the schema has.
    let query = "{ me ".repeat(9) + &"}".repeat(9);
    let refusal = refused_body(json!({ "query": query }).to_string());
    assert!(refusal.contains("nested too deep"), "{refusal}");
}

#[test]
fn brackets_up_to_the_limit_do_not_overflow_the_stack() {
    for text in ["{me", "{me(a:[", "{me(a:{a:", "query($a:["] {
        for opening in ["{", "[", "("] {
            refused_body(json!({ "query": format!("{text}{}", opening.repeat(250)) }).to_string());
        }
    }
    let nested = "{me".repeat(250) + &"}".repeat(250);
    refused_body(json!({ "query": nested }).to_string());
    let listed = format!(
        "{{verifyToken(token:{}{}){{valid}}}}",
        "[".repeat(250),
        "]".repeat(250)
    );
    refused_body(json!({ "query": listed }).to_string());
}

#[test]
fn two_mutations_in_one_request_are_refused() {
    let field = |alias: &str| {
        format!("{alias}: logIn(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ message }}")
    };
    let aliases = format!("mutation {{ {} {} }}", field("a"), field("b"));
    assert_snapshot!(refused_body(json!({ "query": aliases }).to_string()));
    let spread = format!(
        "mutation {{ ...f ...f }} fragment f on Mutation {{ {} }}",
        field("a")
    );
    let cheap = "mutation { logOut { message } refresh(refreshToken: \"\") { message } }";
    for query in [&spread, cheap] {
        let refused = refused_body(json!({ "query": query }).to_string());
        assert!(refused.contains("only one mutation"), "{refused}");
    }
}

#[test]
fn fragments_that_spread_each_other_do_not_multiply() {
    let mut query = "{ ...f0 }".to_owned();
    for i in 0..60 {
        let next = i + 1;
        query += &format!(" fragment f{i} on Query {{ ...f{next} ...f{next} }}");
    }
    query += " fragment f60 on Query { __typename }";
    assert_snapshot!(refused_body(json!({ "query": query }).to_string()));
    let cycle = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }";
    refused_body(json!({ "query": cycle }).to_string());
}

#[test]
fn too_many_aliases_directives_and_fields_are_refused() {
    let fields = |field: &str, times| {
        json!({ "query": format!("{{ {} }}", field.repeat(times)) }).to_string()
    };
    let aliases: String = (0..11).map(|i| format!("a{i}: __typename ")).collect();
    assert!(refused_body(fields(&aliases, 1)).contains("too many aliases"));
    assert!(
        refused_body(fields("__typename @include(if: true) ", 11)).contains("too many directives")
    );
    assert!(refused_body(fields("__typename ", 201)).contains("too many fields"));
}

#[test]
fn ten_megabytes_are_refused_by_their_announced_length() {
    let node = Node::start();
    // Only the head is sent: the answer must not wait for the rest.
    let answer = raw(
        &node,
        "POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_chunked_body_is_cut_off_at_the_limit() {
    let node = Node::start();
    let chunk = format!("{:x}\r\n{}\r\n", 70_000, "a".repeat(70_000));
    let head = "POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = raw(&node, &format!("{head}{chunk}"));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn an_email_or_password_of_a_megabyte_is_refused() {
    let megabyte = "a".repeat(1 << 20);
    let node = Node::start();
    for body in [
        mutation(sign_up(), &megabyte, PASSWORD),
        mutation(sign_up(), EMAIL, &megabyte),
        mutation(log_in(), EMAIL, &megabyte),
    ] {
        assert!(refused(&node, |node| node.post(&[], body)).starts_with("413 "));
    }
}

#[test]
fn a_password_that_fits_the_body_but_not_the_policy_is_refused() {
    let node = Node::start();
    let long = "a".repeat(1025);
    assert_snapshot!(refused(&node, |node| node
        .post(&[], mutation(sign_up(), EMAIL, &long))));
    assert!(
        refused(&node, |node| node
            .post(&[], mutation(log_in(), EMAIL, &long)))
        .contains("INVALID_CREDENTIALS")
    );
    assert_snapshot!(refused(&node, |node| node
        .post(&[], mutation(sign_up(), EMAIL, "14 characters!"))));
    // Fifteen code points, thirty bytes.
    assert!(node.sign_up(EMAIL, "éàüöñçßøåæðþýžš")["data"]["signUp"].is_object());
}

#[test]
fn an_email_with_nul_or_spaces_is_refused() {
    let node = Node::start();
    for email in [
        "ann\0@example.com",
        " ann@example.com",
        "ann@example.com ",
        "ann@example.com\n",
        "ann",
        "",
    ] {
        assert!(
            refused(&node, |node| node
                .post(&[], mutation(sign_up(), email, PASSWORD)))
            .contains("INVALID_EMAIL")
        );
        assert!(
            refused(&node, |node| node
                .post(&[], mutation(log_in(), email, PASSWORD)))
            .contains("INVALID_CREDENTIALS")
        );
    }
    assert_json_snapshot!(node.sign_up("ann\0@example.com", PASSWORD));
}

#[test]
fn a_nul_byte_in_a_password_is_refused_because_scrypt_would_not_see_it_at_the_end() {
    let node = Node::start();
    for password in [
        "correct horse\0battery",
        "correct horse battery\0",
        &"\0".repeat(15),
    ] {
        let said = refused(&node, |node| {
            node.post(&[], mutation(sign_up(), EMAIL, password))
        });
        assert!(
            said.contains("must not contain the NUL character"),
            "{said}"
        );
    }
    node.sign_up(EMAIL, PASSWORD);
    let padded = format!("{PASSWORD}\0");
    assert!(
        refused(&node, |node| node
            .post(&[], mutation(log_in(), EMAIL, &padded)))
        .contains("INVALID_CREDENTIALS")
    );
    assert_json_snapshot!(node.sign_up("bob@example.com", &padded));
}

#[test]
fn a_variable_of_a_type_that_does_not_exist_is_refused() {
    for variable in [
        "$a: int",
        "$a: [int] = [1 1]",
        "$a: Account = {id: 1}",
        "$a: Nothing! = null",
    ] {
        let query = format!("query({variable}) {{ verifyToken(token: $a) {{ valid }} }}");
        let refused = refused_body(json!({ "query": query }).to_string());
        assert!(
            refused.contains("of a type that no argument has"),
            "{refused}"
        );
    }
}

#[test]
fn the_schemas_arguments_have_no_other_types_than_variables_may_have() {
    let sdl = auth_core::graphql::sdl();
    let types = sdl
        .lines()
        .filter_map(|line| line.split_once('(')?.1.split_once(')'))
        .flat_map(|(arguments, _)| arguments.split(','))
        .filter_map(|argument| {
            Some(
                argument
                    .split_once(':')?
                    .1
                    .trim()
                    .trim_matches(['[', ']', '!']),
            )
        });
    let types: Vec<_> = types.collect();
    assert!(types.contains(&"String"), "{types:?}");
    for argument in types {
        let known = auth_core::graphql::INPUT_TYPES.contains(&argument);
        assert!(known || argument.starts_with('"'), "{argument}");
    }
}

#[test]
fn introspection_is_off() {
    let answer = Node::start().graphql(
        &[],
        "{ __schema { types { name } } __type(name: \"Query\") { name } }",
        json!({}),
    );
    assert_eq!(
        answer["data"],
        json!({ "__schema": Value::Null, "__type": Value::Null })
    );
}

fn raw(node: &Node, request: &str) -> String {
    use std::io::{Read, Write};
    let mut stream =
        std::net::TcpStream::connect(node.url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned() + " "
}
