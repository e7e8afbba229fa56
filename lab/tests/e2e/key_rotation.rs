//! The keys of the core reach the gateway by themselves, and are replaced there under load.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{edge::*, support::*};

/// Lets the nodes read their keys again.
async fn reload(stack: &TestStack) {
    for part in stack.stack.status().await.parts {
        if let (Some(pid), true) = (part.pid, part.name.starts_with("auth")) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        }
    }
}

/// A token of the named key, once the nodes sign with it.
async fn token_signed_with(stack: &TestStack, email: &str, kid: &str) -> String {
    eventually("both nodes sign with the key", || async {
        let mut token = String::new();
        for _ in 0..2 {
            let query = "mutation($e: String!, $p: String!) { logIn(email: $e, password: $p) { accessToken } }";
            let sent = stack.try_send(query, json!({ "e": email, "p": PASSWORD }), None);
            let (_, _, answer) = sent.await.ok()?;
            token = answer["data"]["logIn"]["accessToken"].as_str()?.to_owned();
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
            let header: Value = serde_json::from_slice(&header).ok()?;
            if header["kid"] != kid {
                return None;
            }
        }
        Some(token)
    })
    .await
}

fn made(said: &str) -> String {
    said.split_whitespace().nth(1).expect("a kid").to_owned()
}

#[tokio::test]
async fn keys_rotate_under_load_without_a_refused_token() {
    let mut stack = start_knowing_keys().await;
    let old = token_of(&stack, "ana@example.com").await;
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let url = stack.url("gateway") + "/members";
    let client = stack.client.clone();
    stack.move_client_to(1);
    // Less than the limit of requests, and new connections now and then.
    let load = async {
        while !done.load(Ordering::Relaxed) {
            let answer = client.get(&url).bearer_auth(&old).send().await;
            let status = answer.expect("the gateway drops no connection").status();
            assert_eq!(status, 200);
            asked.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(150)).await;
        }
    };
    let rotation = async {
        let next = made(&keys(&stack, &["generate"]));
        // In a hurry: the gateway does not know the key yet when the first token of it comes.
        keys(&stack, &["rotate", "--now"]);
        reload(&stack).await;
        let new = token_signed_with(&stack, "ana@example.com", &next).await;
        for _ in 0..20 {
            assert_eq!(get_with(&stack, "/members", &new).await.0, 200);
            sleep(Duration::from_millis(100)).await;
        }
        until_keys(&stack, 2).await;
        assert_eq!(get_with(&stack, "/members", &new).await.0, 200);
        assert_eq!(get_with(&stack, "/members", &old).await.0, 200);
        done.store(true, Ordering::Relaxed);
        new
    };
    let ((), new) = tokio::join!(load, rotation);
    assert!(asked.load(Ordering::Relaxed) > 10);

    // A key that is removed takes its tokens along, those that were remembered too.
    keys(&stack, &["retire", "signing-key", "--now"]);
    reload(&stack).await;
    eventually("tokens of the old key are refused", || async {
        (get_with(&stack, "/members", &old).await.0 == 401).then_some(())
    })
    .await;
    until_keys(&stack, 1).await;
    assert_eq!(get_with(&stack, "/members", &old).await.0, 401);
    assert_eq!(get_with(&stack, "/members", &new).await.0, 200);
}

#[tokio::test]
async fn tokens_of_every_algorithm_that_the_core_signs_with_are_good() {
    let stack = start_knowing_keys().await;
    stack.sign_up("ana@example.com").await;
    for (algorithm, known) in [("rs256", 2), ("hs256", 2), ("eddsa", 2)] {
        let kid = made(&keys(&stack, &["generate", "--algorithm", algorithm]));
        keys(&stack, &["rotate", &kid, "--now"]);
        reload(&stack).await;
        let token = token_signed_with(&stack, "ana@example.com", &kid).await;
        until_keys(&stack, known).await;
        for path in ["/members", "/live"] {
            let (status, _, seen) = get_with(&stack, path, &token).await;
            assert_eq!(
                (status, &seen["email"]),
                (200, &"ana@example.com".into()),
                "{algorithm}"
            );
        }
        let cut = &token[..token.len() - 8];
        assert_eq!(
            get_with(&stack, "/members", cut).await.0,
            401,
            "{algorithm}"
        );
    }
}
