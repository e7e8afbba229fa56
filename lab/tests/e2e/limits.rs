//! One client can try only so much, and keeps nobody else from anything.

use std::fs;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::raw;
use crate::support::{PASSWORD, SERVING, TestStack, code, eventually, start};

const FAILED_LOG_INS: &str = "/gateway/limits/failedLogIns/count";
const HASHES: &str = "/gateway/limits/hashes/count";
const REQUESTS_PER_ADDRESS: &str = "/gateway/connections/requestsPerAddress";

#[tokio::test]
async fn an_address_whose_log_ins_fail_again_and_again_is_told_to_wait() {
    let mut stack = start(SERVING).await;
    stack.sign_up("ana@example.com").await;
    stack.move_client_to(1);

    for number in 0..stack.default_of(FAILED_LOG_INS) {
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
    for _ in 0..=stack.default_of(FAILED_LOG_INS) {
        let (_, headers, answer) = stack
            .send(
                "mutation($p: String!) { logIn(email: \"ana@example.com\", password: $p) { message } }",
                json!({ "p": PASSWORD }),
                None,
            )
            .await;
        assert_eq!(answer["data"]["logIn"]["message"], "Logged in.");
        assert_internal_headers_stay_inside(&headers);
    }
}

/// The nodes' time is taken by hashes, and a sign-up with a fresh e-mail is no failure: only their number tells.
#[tokio::test]
async fn an_address_that_has_used_its_hashes_waits_and_can_still_ask_who_it_is() {
    let mut stack = start(SERVING).await;
    stack.move_client_to(1);
    let mut token = None;
    for number in 0..stack.default_of(HASHES) {
        // Half of them take an e-mail that is taken.
        let answer = stack
            .sign_up(&format!("user{}@example.com", number / 2))
            .await;
        let expected = if number % 2 == 0 { "" } else { "EMAIL_TAKEN" };
        assert_eq!(code(&answer), expected, "number {number}: {answer}");
        token = token.or(answer["data"]["signUp"]["accessToken"]
            .as_str()
            .map(str::to_owned));
    }
    let refused = stack
        .sign_up_request("fresh@example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 429);
    let seconds = stack.default_of("/gateway/limits/hashes/seconds");
    assert_eq!(refused.headers()["retry-after"], seconds.to_string());
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(code(&refused), "RATE_LIMITED");
    let logged_in = stack.log_in("user0@example.com", PASSWORD, None).await;
    assert_eq!(code(&logged_in), "RATE_LIMITED");

    let token = token.expect("a token");
    let me = stack.ask("{ me { email } }", json!({}), Some(&token)).await;
    assert_eq!(me["data"]["me"]["email"], "user0@example.com");
    let verified = stack
        .ask(
            "query($t: String!) { verifyToken(token: $t) { valid } }",
            json!({ "t": token }),
            None,
        )
        .await;
    assert_eq!(verified["data"]["verifyToken"]["valid"], true);
    let logged_out = stack
        .ask("mutation { logOut { message } }", json!({}), Some(&token))
        .await;
    assert!(logged_out["errors"].is_null(), "{logged_out}");

    stack.move_client_to(2);
    let elsewhere = stack.sign_up("fresh@example.com").await;
    assert!(elsewhere["errors"].is_null(), "{elsewhere}");
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_from_one_address_gets_no_more_hashes() {
    let mut stack = start(SERVING).await;
    stack.move_client_to(1);
    let mut asking = JoinSet::new();
    for number in 0..stack.default_of(HASHES) + 30 {
        let request = stack.sign_up_request(&format!("user{number}@example.com"));
        asking.spawn(async move { request.send().await.expect("an answer").status() });
    }
    let answers = asking.join_all().await;
    let served = answers.iter().filter(|status| **status == 200).count();
    let refused = answers.iter().filter(|status| **status == 429).count();
    assert_eq!(served + refused, answers.len());
    // With more hashes than requests that it may have at once it need not get them all.
    let hashes = stack.default_of(HASHES);
    let at_least = hashes.min(stack.default_of(REQUESTS_PER_ADDRESS));
    assert!((at_least..=hashes).contains(&served), "{served} served");
}

#[tokio::test]
async fn who_goes_away_before_the_answer_has_used_a_hash_all_the_same() {
    let mut stack = start(SERVING).await;
    stack.move_client_to(1);
    for node in ["auth1", "auth2"] {
        stack.stack.pause_part(node).unwrap();
    }
    let mut numbers = (0..stack.default_of(HASHES)).peekable();
    while numbers.peek().is_some() {
        // No more at once than it may have under way.
        let mut leaving = JoinSet::new();
        for number in numbers
            .by_ref()
            .take(stack.default_of(REQUESTS_PER_ADDRESS))
        {
            leaving.spawn(
                stack
                    .sign_up_request(&format!("user{number}@example.com"))
                    .send(),
            );
        }
        let wanted = leaving.len();
        eventually("the nodes have them", || async {
            let (one, other) = (
                stack.under_way("auth1").await,
                stack.under_way("auth2").await,
            );
            (one + other >= wanted).then_some(())
        })
        .await;
        leaving.shutdown().await;
    }
    for node in ["auth1", "auth2"] {
        stack.stack.start_part(node).await.unwrap();
    }
    let answer = stack.sign_up("ana@example.com").await;
    assert_eq!(code(&answer), "RATE_LIMITED", "{answer}");
}

#[tokio::test]
async fn no_way_of_writing_a_mutation_hides_it_from_the_count_of_hashes() {
    let mut stack = start(SERVING).await;
    stack.move_client_to(1);
    use_up_hashes(&stack, "logIn").await;

    let mutation =
        "mutation { signUp(email: \\\"a@example.com\\\", password: \\\"p\\\") { message } }";
    let padded = format!("{}{{\"query\":\"{mutation}\"}}", " ".repeat(40_000));
    let escaped = format!("{{\"query\":\"{}\"}}", mutation.replace('g', "\\u0067"));
    let renamed = format!(
        "{{\"query\":\"{}\"}}",
        mutation.replace("signUp", "me: signUp")
    );
    for (what, body) in [
        ("letters in escapes", escaped),
        ("behind more than the gateway holds", padded),
        ("under another name", renamed),
    ] {
        let answer = stack
            .client
            .post(stack.url("gateway") + "/graphql")
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 429, "{what}");
    }

    // In chunks, none of which says how much is to come, behind headers that leave them little room.
    let spaces = format!("{:x}\r\n{}\r\n", 4_000, " ".repeat(4_000));
    let end = format!("{{\"query\":\"{}\"}}", mutation);
    let chunked = format!(
        "POST /graphql HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         X-Padding: {}\r\nTransfer-Encoding: chunked\r\n\r\n{spaces}{spaces}{:x}\r\n{end}\r\n0\r\n\r\n",
        "x".repeat(12_000),
        end.len(),
        host = stack.gateway_address(),
    );
    let answer = raw::send(&stack, 1, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
}

/// A field that costs a hash and that the gateway does not know would be counted after the answer only.
#[tokio::test]
async fn the_gateway_knows_each_mutation_of_the_schema_that_takes_a_password() {
    let schema = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../auth-core/schema.graphql"
    ))
    .unwrap();
    let names: Vec<_> = schema
        .lines()
        .filter(|line| line.contains("assword: String!"))
        .filter_map(|line| line.trim().split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(names.len() >= 4, "{names:?}");
    let mut stack = start(SERVING).await;
    for (number, name) in names.iter().enumerate() {
        stack.move_client_to(1 + number as u8);
        use_up_hashes(&stack, name).await;
    }
}

/// A change of password checks the old one and hashes the new one.
#[tokio::test]
async fn a_request_that_costs_two_hashes_counts_as_two() {
    let mut stack = start(SERVING).await;
    let mut token = stack.sign_up("ana@example.com").await["data"]["signUp"]["accessToken"].take();
    stack.move_client_to(1);
    let mut password = PASSWORD.to_owned();
    let mut changed = 0;
    loop {
        let new = format!("{PASSWORD}{changed}");
        let (status, _, mut answer) = stack
            .send(
                "mutation($p: String!, $new: String!) {
                    changePassword(currentPassword: $p, newPassword: $new) { accessToken } }",
                json!({ "p": password, "new": new }),
                token.as_str(),
            )
            .await;
        if status == 429 {
            break;
        }
        assert!(answer["errors"].is_null(), "{answer}");
        token = answer["data"]["changePassword"]["accessToken"].take();
        password = new;
        changed += 1;
        assert!(
            changed <= stack.default_of(HASHES) / 2,
            "two hashes are counted as one"
        );
    }
    assert_eq!(changed, stack.default_of(HASHES) / 2);
}

/// Tries a wrong password: the HTTP status and the body.
async fn guess(stack: &TestStack, email: &str) -> (u16, Value) {
    let (status, headers, answer) = stack
        .send(
            "mutation Harmless($e: String!) { me: logIn(email: $e, password: \"not the right one\") { message } }",
            json!({ "e": email }),
            None,
        )
        .await;
    assert_internal_headers_stay_inside(&headers);
    (status, answer)
}

/// They are for the gateway's counters alone.
fn assert_internal_headers_stay_inside(headers: &HeaderMap) {
    for internal in ["x-auth-outcome", "x-auth-hashes"] {
        assert!(!headers.contains_key(internal), "{headers:?}");
    }
}

/// Asks for `mutation` without its arguments, which costs no hash but might have, until the gateway refuses: just in time.
async fn use_up_hashes(stack: &TestStack, mutation: &str) {
    let query = format!("mutation {{ {mutation} {{ message }} }}");
    for number in 0..stack.default_of(HASHES) {
        let answer = stack.ask(&query, json!({}), None).await;
        assert_eq!(code(&answer), "BAD_REQUEST", "{mutation} number {number}");
    }
    let (status, _, answer) = stack.send(&query, json!({}), None).await;
    assert_eq!((status, code(&answer)), (429, "RATE_LIMITED"), "{mutation}");
}
