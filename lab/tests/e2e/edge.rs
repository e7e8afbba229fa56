//! What tests of the checks at the gateway have in common.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use lab::programs;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::support::{TestStack, eventually, start};

pub const WITHOUT_KEYS: &[&str] = &["auth1", "auth2", "gateway", "sample1"];
pub const WITH_KEYS: &[&str] = &["auth1", "auth2", "gateway", "sample1", "gateway-keys"];

/// Starts the lab's own routes: /sample for everybody, /members, /staff for administrators, /live.
pub async fn start_knowing_keys() -> TestStack {
    let stack = start(WITH_KEYS).await;
    until_keys(&stack, 1).await;
    stack
}

/// Waits until the gateway has taken up so many keys.
pub async fn until_keys(stack: &TestStack, count: usize) {
    eventually("the gateway knows the keys", || async {
        let map = admin(stack, "show map").await?;
        let id = map
            .lines()
            .find(|line| line.contains("kids.map"))?
            .split(' ')
            .next()?;
        let entries = admin(stack, &format!("show map #{id}")).await?;
        let known = entries.lines().filter(|line| line.contains("256-"));
        (known.count() == count).then_some(())
    })
    .await;
}

/// Asks the gateway that serves now; none answers while a reload replaces it.
pub async fn admin(stack: &TestStack, command: &str) -> Option<String> {
    let socket = stack.stack.admin_socket("gateway");
    lab::haproxy::admin(&socket, command).await.ok()
}

pub async fn token_of(stack: &TestStack, email: &str) -> String {
    let answer = stack.sign_up(email).await;
    let token = &answer["data"]["signUp"]["accessToken"];
    token
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

pub async fn get(
    stack: &TestStack,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap, Value) {
    let mut request = stack.client.get(stack.url("gateway") + path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap_or_default())
}

pub async fn get_with(stack: &TestStack, path: &str, token: &str) -> (u16, HeaderMap, Value) {
    get(
        stack,
        path,
        &[("authorization", &format!("Bearer {token}"))],
    )
    .await
}

/// How many requests services have got.
pub async fn reached(stack: &TestStack) -> usize {
    let stats = stack.text(&(stack.stats_page() + ";csv")).await;
    let rows = stats.lines().filter(|line| line.contains(",sample1:8080,"));
    rows.map(|row| row.split(',').nth(7).unwrap().parse::<usize>().unwrap())
        .sum()
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn public_pem(stack: &TestStack) -> String {
    keys(stack, &["public", "signing-key"])
}

/// Runs `auth-core keys` on the stack's ring.
/// Runs `auth-core keys` on the ring of the nodes.
pub fn keys(stack: &TestStack, arguments: &[&str]) -> String {
    let ring = stack.directory().join("keys/ring");
    let output = Command::new(programs::built("auth-core").unwrap())
        .arg("keys")
        .args(arguments)
        .arg("--set")
        .arg(format!("tokens.key_directory={}", ring.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
