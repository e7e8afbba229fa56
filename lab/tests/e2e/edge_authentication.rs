//! Access tokens at the gateway: a service that asks for one sees no request without a good one, and is told by the gateway alone
//! whose it is.

use std::time::Duration;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::json;
use tokio::time::Instant;

use crate::{edge::*, forged_tokens::Forger, support::*};

#[tokio::test]
async fn the_service_is_told_who_asks_and_nothing_that_the_client_says_of_it() {
    let stack = start_knowing_keys().await;
    let token = token_of(&stack, "ana@example.com").await;
    let bearer = format!("Bearer {token}");
    let lies = [
        ("x-auth-subject", "root"),
        ("X-Auth-Email", "root@example.com"),
        ("x-auth-role", "admin"),
        ("x-auth-role", "admin"),
        ("x-auth-anything", "else"),
        ("x_auth_role", "admin"),
        ("x-auth_role", "admin"),
    ];
    for path in ["/members", "/live"] {
        let headers = [&lies[..], &[("authorization", bearer.as_str())]].concat();
        let (status, _, seen) = get(&stack, path, &headers).await;
        assert_eq!((status, &seen["email"]), (200, &"ana@example.com".into()));
        assert_eq!(seen["role"], "user");
        let subject = seen["subject"].as_str().unwrap();
        assert_eq!(subject.len(), 36, "{subject}");
        let mut about: Vec<_> = seen["headers"].as_object().unwrap().keys().collect();
        about.retain(|name| name.contains("auth-") || name.contains("auth_"));
        assert_eq!(about, ["x-auth-email", "x-auth-role", "x-auth-subject"]);
    }
    // Where nobody is asked who they are, nobody is anybody.
    let headers = [&lies[..], &[("authorization", bearer.as_str())]].concat();
    let (status, _, seen) = get(&stack, "/sample", &headers).await;
    assert_eq!(status, 200);
    let text = seen["headers"].to_string();
    assert!(
        !text.contains("x-auth") && !text.contains("auth_"),
        "{text}"
    );
}

#[tokio::test]
async fn who_has_no_good_token_is_told_so_as_rfc_6750_says() {
    let stack = start_knowing_keys().await;
    let challenge = |headers: &HeaderMap| headers[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    let (status, headers, answer) = get(&stack, "/members", &[]).await;
    assert_eq!((status, code(&answer)), (401, "UNAUTHENTICATED"));
    assert_eq!(challenge(&headers), "Bearer realm=\"authstack\"");
    let (status, headers, answer) = get_with(&stack, "/members", "a.b.c").await;
    assert_eq!((status, code(&answer)), (401, "UNAUTHENTICATED"));
    assert_eq!(
        challenge(&headers),
        "Bearer realm=\"authstack\", error=\"invalid_token\""
    );
    let forger = Forger::new(&stack);
    let old = forger.sign(&forger.good_header(), &forger.claims("exp", now() - 31));
    let (status, headers, answer) = get_with(&stack, "/members", &old).await;
    assert_eq!((status, code(&answer)), (401, "TOKEN_EXPIRED"));
    assert!(challenge(&headers).contains("error=\"invalid_token\""));

    let user = forger.sign(&forger.good_header(), &forger.good_claims());
    let (status, headers, answer) = get_with(&stack, "/staff", &user).await;
    assert_eq!((status, code(&answer)), (403, "FORBIDDEN"));
    assert!(challenge(&headers).contains("error=\"insufficient_scope\""));
    let admin = forger.sign(&forger.good_header(), &forger.claims("role", "admin"));
    let (status, _, seen) = get_with(&stack, "/staff", &admin).await;
    assert_eq!((status, &seen["role"]), (200, &"admin".into()));
    for role in ["administrator", "Admin", "", "user,admin", "admin "] {
        let other = forger.sign(&forger.good_header(), &forger.claims("role", role));
        let status = get_with(&stack, "/staff", &other).await.0;
        assert!(matches!(status, 401 | 403), "{role:?}: {status}");
    }
}

#[tokio::test]
async fn the_gateway_judges_tokens_by_itself_and_refuses_where_it_cannot() {
    let stack = start_knowing_keys().await;
    let token = token_of(&stack, "ana@example.com").await;
    for node in ["auth1", "auth2"] {
        stack.stack.kill_part(node).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(get_with(&stack, "/members", &token).await.0, 200);
    }
    let forger = Forger::new(&stack);
    let unknown = forger.sign(&forger.header("kid", "unknown"), &forger.good_claims());
    for (path, token) in [("/live", &token), ("/members", &unknown)] {
        let (status, headers, answer) = get_with(&stack, path, token).await;
        assert_eq!((status, code(&answer)), (503, "UNAVAILABLE"), "{path}");
        assert_eq!(headers["retry-after"], "1");
    }
    assert_eq!(get(&stack, "/sample", &[]).await.0, 200);
}

#[tokio::test]
async fn a_token_that_is_remembered_is_refused_when_it_has_expired() {
    let stack = start_knowing_keys().await;
    let forger = Forger::new(&stack);
    // The leeway of 30 s has almost gone.
    let token = forger.sign(&forger.good_header(), &forger.claims("exp", now() - 27));
    assert_eq!(get_with(&stack, "/members", &token).await.0, 200);
    let table = admin(&stack, "show table tokens").await.unwrap();
    assert!(table.contains("used:1"), "{table}");
    eventually("it has expired", || async {
        let (status, _, answer) = get_with(&stack, "/members", &token).await;
        (status == 401 && code(&answer) == "TOKEN_EXPIRED").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_log_out_is_seen_within_a_second_where_the_route_asks_for_it() {
    let stack = start_knowing_keys().await;
    let token = token_of(&stack, "ana@example.com").await;
    for _ in 0..2 {
        assert_eq!(get_with(&stack, "/live", &token).await.0, 200);
    }
    let answer = stack
        .ask("mutation { logOut { message } }", json!({}), Some(&token))
        .await;
    assert!(answer["errors"].is_null(), "{answer}");
    let ended = Instant::now();
    let seen = eventually("the session has ended for the route", || async {
        (get_with(&stack, "/live", &token).await.0 == 401).then(|| ended.elapsed())
    })
    .await;
    // And the time that the last request took.
    assert!(seen < Duration::from_millis(1_500), "{seen:?}");
    // Elsewhere the token is good until it expires.
    assert_eq!(get_with(&stack, "/members", &token).await.0, 200);
}
