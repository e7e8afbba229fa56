//! What a user meets first: an account and a session, through the gateway, over TLS.

use lab::TopologyName;

use crate::support::{CHEAP, PASSWORD, SERVING, code, start, start_with};
use serde_json::json;

#[tokio::test]
async fn a_user_signs_up_and_logs_in_over_tls() {
    let stack = start(SERVING).await;

    let signed_up = stack.sign_up("Ana@example.com").await;
    assert_eq!(
        signed_up["data"]["signUp"]["account"]["email"],
        "Ana@example.com"
    );

    let logged_in = stack.log_in("ana@EXAMPLE.com", PASSWORD, None).await;
    let token = logged_in["data"]["logIn"]["accessToken"]
        .as_str()
        .expect("a token")
        .to_owned();
    let me = stack
        .ask("{ me { email role } }", json!({}), Some(&token))
        .await;
    assert_eq!(
        me["data"]["me"],
        json!({ "email": "Ana@example.com", "role": "user" })
    );

    let again = stack
        .log_in("ana@example.com", PASSWORD, Some(&token))
        .await;
    assert_eq!(
        again["data"]["logIn"]["message"],
        "이미 Ana@example.com로 로그인 하였습니다."
    );
    assert!(again["data"]["logIn"]["accessToken"].is_null(), "{again}");
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let stack = start(SERVING).await;
    stack.sign_up("ana@example.com").await;

    let wrong_password = stack
        .log_in("ana@example.com", "not-the-password-of-ana", None)
        .await;
    let unknown_user = stack
        .log_in("bob@example.com", "not-the-password-of-ana", None)
        .await;

    assert_eq!(code(&wrong_password), "INVALID_CREDENTIALS");
    assert_eq!(wrong_password, unknown_user);
}

#[tokio::test]
async fn a_client_without_the_stacks_ca_is_warned_off() {
    let stack = start(SERVING).await;
    let trusts_the_web = reqwest::Client::builder().no_proxy().build().unwrap();
    let refused = trusts_the_web
        .get(stack.url("gateway") + "/healthz")
        .send()
        .await;
    assert!(refused.is_err_and(|error| error.is_connect()));
}

#[tokio::test]
async fn on_the_cluster_every_node_knows_an_account_that_one_has_made() {
    let parts = &["postgres", "auth1", "auth2", "auth3", "gateway"];
    let stack = start_with(TopologyName::Cluster, parts, Some(CHEAP)).await;
    stack.sign_up("ana@example.com").await;

    let mut nodes = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let query = "mutation($password: String!) { logIn(email: \"ana@example.com\", password: $password) { account { email } } }";
        let (_, headers, answer) = stack
            .send(query, json!({ "password": PASSWORD }), None)
            .await;
        assert_eq!(
            answer["data"]["logIn"]["account"]["email"],
            "ana@example.com"
        );
        nodes.insert(headers["x-served-by"].to_str().unwrap().to_owned());
    }
    assert_eq!(
        nodes.into_iter().collect::<Vec<_>>(),
        ["auth1", "auth2", "auth3"]
    );
}
