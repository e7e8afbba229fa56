//! What is secret stays secret: in no log of any part, not even at its most talkative failure.

use std::fs;

use crate::support::{PASSWORD, start};

#[tokio::test]
async fn no_secret_appears_in_a_log() {
    let stack = start(&[]).await;
    let token = stack.sign_up("ana@example.com").await["data"]["signUp"]["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    stack
        .log_in("ana@example.com", "a-wrong-secret-of-mine-51", None)
        .await;
    stack
        .log_in("ana@example.com", PASSWORD, Some(&token))
        .await;
    // The token in the query of a GET, and in broken requests: what a careless client does.
    let gateway = stack.url("gateway");
    let query =
        format!("{gateway}/graphql?query=%7BverifyToken(token:%22{token}%22)%7Bvalid%7D%7D");
    stack.text(&query).await;
    stack
        .client
        .post(format!("{gateway}/graphql"))
        .body(format!("{{\"query\": \"{PASSWORD}"))
        .send()
        .await
        .unwrap();
    stack.stack.stop().await;

    let private = |file: &str| {
        let text = fs::read_to_string(stack.directory().join("keys").join(file)).unwrap();
        let line = text
            .lines()
            .find(|line| !line.starts_with('-'))
            .unwrap()
            .to_owned();
        (file.to_owned(), line)
    };
    let secrets = [
        ("password".to_owned(), PASSWORD.to_owned()),
        (
            "wrong password".to_owned(),
            "a-wrong-secret-of-mine-51".to_owned(),
        ),
        ("token".to_owned(), token.clone()),
        (
            "token's signature".to_owned(),
            token.rsplit('.').next().unwrap().to_owned(),
        ),
        private("ring/signing-key.pem"),
        private("ca-key.pem"),
        private("postgres-password"),
    ];
    let logs = stack.logs();
    assert!(
        logs.iter().any(|(_, text)| text.contains("signUp")),
        "the logs say nothing of the requests at all"
    );
    for (file, text) in logs {
        for (what, secret) in &secrets {
            assert!(
                !text.contains(secret.as_str()),
                "the {what} is in {}",
                file.display()
            );
        }
    }
}
