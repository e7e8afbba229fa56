//! API keys of machines at the gateway: made and revoked by the operator's command, taken up while HAProxy runs.

use std::fs;

use lab::TopologyName;
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use crate::edge::get;
use crate::support::{CHEAP, TestStack, code, eventually, start, start_changed};

const PARTS: &[&str] = &["auth1", "auth2", "gateway", "sample1", "gateway-keys"];

fn api_key(stack: &TestStack, arguments: &[&str]) -> String {
    stack.auth_core(&[&["api-key"], arguments].concat())
}

async fn until_status(stack: &TestStack, key: &str, status: u16) -> Value {
    eventually("the gateway has taken up the key's state", || async {
        let (now, _, body) = get(stack, "/machines", &[("x-api-key", key)]).await;
        (now == status).then_some(body)
    })
    .await
}

/// The process that serves now: a reload would replace it.
async fn worker(stack: &TestStack) -> String {
    let info = stack.admin("gateway", "show info").await;
    let pid = info.lines().find(|line| line.starts_with("Pid:"));
    pid.expect("a process").to_owned()
}

#[tokio::test]
async fn a_key_opens_the_routes_that_it_is_for_until_it_is_revoked_without_a_reload() {
    let stack = start(PARTS).await;
    let before = worker(&stack).await;
    let key = api_key(&stack, &["add", "billing", "--scope", "/machines"]);

    let seen = until_status(&stack, &key, 200).await;
    let told = &seen["headers"];
    assert_eq!(told["x-auth-subject"][0], "api-key/billing", "{seen}");
    assert!(!seen.to_string().contains(&key), "the service sees the key");

    // Another key, for something else.
    let other = api_key(&stack, &["add", "other", "--scope", "/members"]);
    let body = until_status(&stack, &other, 403).await;
    assert_eq!(code(&body), "FORBIDDEN");

    assert_eq!(api_key(&stack, &["revoke", "billing"]), "revoked billing");
    let body = until_status(&stack, &key, 401).await;
    assert_eq!(code(&body), "UNAUTHENTICATED");
    assert_eq!(worker(&stack).await, before);

    // Neither the file of the gateway nor any log has a key.
    let map = fs::read_to_string(stack.directory().join("parts/gateway/keys/api-keys.map"));
    assert!(!map.unwrap().contains(&other));
    for (file, text) in stack.logs() {
        assert!(!text.contains(&other) && !text.contains(&key), "{file:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_good_key_is_refused_with_what_is_needed() {
    let stack = start(PARTS).await;
    let key = api_key(&stack, &["add", "billing", "--scope", "/machines"]);
    until_status(&stack, &key, 200).await;
    let twice = [("x-api-key", key.as_str()), ("x-api-key", key.as_str())];
    let changed = format!("{}x", &key[..key.len() - 1]);
    for headers in [
        &[][..],
        &[("x-api-key", "")],
        &[("x-api-key", "version")],
        &[("x-api-key", &changed)],
        &[("x-api-key", &key.to_uppercase())],
        &[("x-api-key", &"x".repeat(5000))],
        &twice,
        &[("authorization", &format!("Bearer {key}"))],
        &[("x-auth-subject", "api-key/billing")],
    ] {
        let (status, answer, body) = get(&stack, "/machines", headers).await;
        assert_eq!(
            (status, code(&body)),
            (401, "UNAUTHENTICATED"),
            "{headers:?}"
        );
        assert_eq!(answer[WWW_AUTHENTICATE], "ApiKey realm=\"authstack\"");
    }
    // A key is no token, and no way into a route that takes none.
    let (status, _, _) = get(&stack, "/members", &[("x-api-key", &key)]).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_gateway_that_was_restarted_has_the_keys_at_once_and_one_that_lost_them_gets_them_again()
{
    let stack = start(PARTS).await;
    let key = api_key(&stack, &["add", "billing", "--scope", "/machines"]);
    until_status(&stack, &key, 200).await;
    let map = stack.directory().join("parts/gateway/keys/api-keys.map");
    let map = map.display();

    // As after a reload that read the file before it was written.
    stack.admin("gateway", &format!("clear map {map}")).await;
    until_status(&stack, &key, 200).await;

    stack.stack.stop_part("gateway-keys").await.unwrap();
    stack.stack.stop_part("gateway").await.unwrap();
    stack.stack.start_part("gateway").await.unwrap();
    let (status, _, _) = get(&stack, "/machines", &[("x-api-key", &key)]).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn each_key_has_a_limit_of_its_own_wherever_it_is_used() {
    let mut stack = start_changed(TopologyName::Single, PARTS, Some(CHEAP), |setup| {
        setup.gateway = Some(json!({ "routes": { "/machines": {
            "servers": { "sample1:8080": {} },
            "apiKeys": true,
            "limits": { "by": "subject", "windows": [{ "count": 3, "seconds": 3600 }] },
        } } }));
    })
    .await;
    let keys =
        ["billing", "shipping"].map(|name| api_key(&stack, &["add", name, "--scope", "/machines"]));
    // What is refused for want of a known key does not count.
    eventually("the gateway knows both keys", || async {
        let map = stack.directory().join("parts/gateway/keys/api-keys.map");
        let shown = format!("show map {}", map.display());
        let known = stack.admin("gateway", &shown).await;
        (known.contains(" billing") && known.contains(" shipping")).then_some(())
    })
    .await;
    for key in &keys {
        for number in 0..5 {
            // From another address each time.
            stack.move_client_to(number);
            let (status, headers, body) = get(&stack, "/machines", &[("x-api-key", key)]).await;
            let expected = if number < 3 { 200 } else { 429 };
            assert_eq!(status, expected, "number {number}: {headers:?} {body}");
        }
    }
}
