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
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("invalid JSON", b"{\"query\": ".to_vec()),
        ("a body of 10 MB", vec![b' '; 10_000_000]),
        ("a query 1000 deep", deep.into_bytes()),
        (
            "invalid UTF-8",
            b"{\"query\":\"{ me { email } } # \xff\xfe\"}".to_vec(),
        ),
        ("no query", b"{}".to_vec()),
        (
            "missing arguments",
            b"{\"query\":\"mutation { signUp(email: \\\"a@example.com\\\") { message } }\"}"
                .to_vec(),
        ),
        (
            "an e-mail of 1 MB",
            sign_up(
                &("a".repeat(1_000_000) + "@example.com"),
                "long enough password",
            ),
        ),
        (
            "a password of 1 MB",
            sign_up("a@example.com", &"p".repeat(1_000_000)),
        ),
        (
            "a NUL byte in the e-mail",
            sign_up("a\0b@example.com", "long enough password"),
        ),
        (
            "a NUL byte in the password",
            sign_up("a@example.com", "long enough\0 password"),
        ),
    ];
    for (what, body) in cases {
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
        assert!(
            status == 200 || (400..500).contains(&status),
            "{what}: status {status}, {body}"
        );
        assert!(!code(&body).is_empty(), "{what}: no code in {body}");
        let message = body["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(
            message.len() > 10 && message.len() < 500,
            "{what}: {message}"
        );
    }
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
