//! Broken and hostile requests get a clear answer, cost no hash, and leave the nodes as they were.

use serde_json::{Value, json};

use crate::support::{SERVING, TestStack, code, start};

#[tokio::test]
async fn bad_input_gets_a_clear_error_and_costs_no_hash() {
    let stack = start(SERVING).await;
    let hashes_before = hashes(&stack).await;
    let sign_up = |email: &str, password: &str| {
        json!({
            "query": "mutation($e: String!, $p: String!) { signUp(email: $e, password: $p) { message } }",
            "variables": { "e": email, "p": password },
        })
        .to_string()
        .into_bytes()
    };
    let deep = format!(
        "{{\"query\":\"{}me{}\"}}",
        "{a".repeat(1000),
        "}".repeat(1000)
    );
    let refused = "The body is not a GraphQL request in JSON:";
    let cases = [
        (
            "invalid JSON",
            b"{\"query\": ".to_vec(),
            "400 BAD_REQUEST",
            format!("{refused} invalid JSON at line 1 column 10."),
        ),
        (
            "a body of 10 MB",
            vec![b' '; 10_000_000],
            "413 PAYLOAD_TOO_LARGE",
            "The body is longer than 65536 bytes.".to_owned(),
        ),
        (
            "a query 1000 deep",
            deep.into_bytes(),
            "200 BAD_REQUEST",
            "The query has too many brackets.".to_owned(),
        ),
        (
            "invalid UTF-8",
            b"{\"query\":\"{ me { email } } # \xff\xfe\"}".to_vec(),
            "400 BAD_REQUEST",
            format!("{refused} invalid JSON at line 1 column 30."),
        ),
        (
            "no query",
            b"{}".to_vec(),
            "400 BAD_REQUEST",
            format!("{refused} missing field `query`."),
        ),
        (
            "missing arguments",
            b"{\"query\":\"mutation { signUp(email: \\\"a@example.com\\\") { message } }\"}"
                .to_vec(),
            "200 BAD_REQUEST",
            "Field \"signUp\" argument \"password\" of type \"Mutation\" is required but not provided"
                .to_owned(),
        ),
        (
            "an e-mail of 1 MB",
            sign_up(
                &("a".repeat(1_000_000) + "@example.com"),
                "long enough password",
            ),
            "413 PAYLOAD_TOO_LARGE",
            "The body is longer than 65536 bytes.".to_owned(),
        ),
        (
            "a password of 1 MB",
            sign_up("a@example.com", &"p".repeat(1_000_000)),
            "413 PAYLOAD_TOO_LARGE",
            "The body is longer than 65536 bytes.".to_owned(),
        ),
        (
            "a NUL byte in the e-mail",
            sign_up("a\0b@example.com", "long enough password"),
            "200 INVALID_EMAIL",
            "This is not a valid e-mail address.".to_owned(),
        ),
        (
            "a NUL byte in the password",
            sign_up("a@example.com", "long enough\0 password"),
            "200 BAD_REQUEST",
            "The password must not contain the NUL character.".to_owned(),
        ),
    ];
    let mut wrong = Vec::new();
    for (what, body, expected, message) in cases {
        let answer = stack
            .client
            .post(stack.url("gateway") + "/graphql")
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let status = answer.status().as_u16();
        let body: Value = answer
            .json()
            .await
            .unwrap_or_else(|error| panic!("{what}: status {status}, {error}"));
        let got = format!("{status} {}", code(&body));
        if (got.as_str(), &body["errors"][0]["message"]) != (expected, &json!(message)) {
            wrong.push(format!("{what}: {got}, {body}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        hashes(&stack).await,
        hashes_before,
        "bad input has cost hashes"
    );

    for number in 0..4 {
        let answer = stack.sign_up(&format!("user{number}@example.com")).await;
        assert!(
            answer["errors"].is_null(),
            "a node has not gone on: {answer}"
        );
    }
    assert_eq!(
        hashes(&stack).await,
        hashes_before + 4.0,
        "the count of hashes does not count"
    );
}

/// The hashes that all nodes have computed.
async fn hashes(stack: &TestStack) -> f64 {
    let mut sum = 0.0;
    for node in ["auth1", "auth2"] {
        let metrics = stack.text(&(stack.url(node) + "/metrics")).await;
        sum += metrics
            .lines()
            .filter(|line| line.starts_with("auth_hashes_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>();
    }
    sum
}
