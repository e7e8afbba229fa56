//! One client can try only so much, and keeps nobody else from anything.

use serde_json::json;

use crate::support::{PASSWORD, SERVING, TestStack, code, start};

/// See nixos-modules/render/default-limits.nix.
const FAILED_LOG_INS: usize = 20;

#[tokio::test]
async fn an_address_whose_log_ins_fail_again_and_again_is_told_to_wait() {
    let mut stack = start(SERVING).await;
    stack.sign_up("ana@example.com").await;
    stack.move_client_to(1);

    for number in 0..FAILED_LOG_INS {
        // What a client calls the fields does not hide what they are.
        let answer = guess(&stack, &format!("user{number}@example.com")).await.1;
        assert_eq!(code(&answer), "INVALID_CREDENTIALS", "number {number}");
    }
    let (status, answer) = guess(&stack, "ana@example.com").await;
    assert_eq!((status, code(&answer)), (429, "RATE_LIMITED"));
    let right = stack.log_in("ana@example.com", PASSWORD, None).await;
    assert_eq!(code(&right), "RATE_LIMITED", "a right password waits, too");

    stack.move_client_to(2);
    let elsewhere = stack.log_in("ana@example.com", PASSWORD, None).await;
    assert!(
        elsewhere["data"]["logIn"]["accessToken"].is_string(),
        "{elsewhere}"
    );
}

#[tokio::test]
async fn log_ins_that_succeed_are_not_counted_as_failed() {
    let stack = start(SERVING).await;
    stack.sign_up("ana@example.com").await;
    for _ in 0..=FAILED_LOG_INS {
        let (_, headers, answer) = stack
            .send(
                "mutation($p: String!) { logIn(email: \"ana@example.com\", password: $p) { message } }",
                json!({ "p": PASSWORD }),
                None,
            )
            .await;
        assert_eq!(answer["data"]["logIn"]["message"], "Logged in.");
        assert!(!headers.contains_key("x-auth-outcome"), "{headers:?}");
    }
}

/// Tries a wrong password: the HTTP status and the body.
async fn guess(stack: &TestStack, email: &str) -> (u16, serde_json::Value) {
    let (status, _, answer) = stack
        .send(
            "mutation Harmless($e: String!) { me: logIn(email: $e, password: \"not the right one\") { message } }",
            json!({ "e": email }),
            None,
        )
        .await;
    (status, answer)
}
