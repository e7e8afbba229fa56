//! No error repeats a secret to whoever sent it in the wrong place: clients log errors.

use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD, code};

const SECRET: &str = "seven-quiet-otters-paint";

#[test]
fn no_error_repeats_a_password_or_a_token() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let log_in = |password: &str| {
        format!("mutation {{ logIn(email: \"{EMAIL}\", password: {password}) {{ message }} }}")
    };
    let literals = [
        format!("\"{SECRET}\""),
        format!("\"{SECRET}"),
        format!("\"{SECRET}\" \"\""),
        format!("[\"{SECRET}\"]"),
        format!("{{ a: \"{SECRET}\" }}"),
        format!("\"{SECRET}\", more: \"{SECRET}\""),
        format!("\"\"\"\n{SECRET}\n\"\"\" !"),
    ];
    let documents = literals.iter().map(|literal| log_in(literal)).chain([
        format!("mutation {{ refresh(refreshToken: \"{SECRET}\") {{ message }} }}"),
        format!("{{ verifyToken(token: \"{SECRET}\") {{ nothing }} }}"),
        format!("query($a: Int = \"{SECRET}\") {{ __typename }}"),
    ]);
    let mut bodies: Vec<_> = documents.map(|query| json!({ "query": query })).collect();
    let declared = "mutation($p: String!) { logIn(email: \"a@b.cd\", password: $p) { message } }";
    for password in [json!([SECRET]), json!({ "a": SECRET }), json!(SECRET)] {
        bodies.push(json!({ "query": declared, "variables": { "p": password } }));
        bodies.push(json!({ "query": declared, "variables": password }));
    }
    bodies.push(json!({ "query": { "a": SECRET } }));
    bodies.push(json!({ "query": [SECRET] }));
    bodies.push(json!([SECRET]));
    bodies.push(json!(SECRET));
    let mut bodies: Vec<_> = bodies.iter().map(ToString::to_string).collect();
    bodies.push(format!("{{\"query\":\"{SECRET}"));
    bodies.push(format!("{{\"query\":\"\\q{SECRET}\"}}"));
    for body in bodies {
        let answer = node.post(&[], body.as_str());
        assert_ne!(code(&answer.json()), "", "no error: {body}");
        assert!(!answer.text.contains(SECRET), "{body}: {}", answer.text);
    }
}
