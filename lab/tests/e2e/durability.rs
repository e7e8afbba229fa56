//! What was acknowledged is kept, and what must be unique is.

use crate::support::{PASSWORD, SERVING, code, start, start_with};
use lab::TopologyName;
use serde_json::Value;
use tokio::task::JoinSet;

/// 200 people at once claim one e-mail; hashing at its full cost, as the race is about who comes first to the database.
#[tokio::test]
async fn two_hundred_concurrent_sign_ups_with_one_email_make_one_account() {
    let mut stack = start_with(TopologyName::Single, SERVING, None).await;
    let mut asking = JoinSet::new();
    // The gateway lets no address have all these hashes, nor all these requests under way.
    let hashes = stack.default_of("/gateway/limits/hashes/count");
    let from_each = hashes.min(stack.default_of("/gateway/connections/requestsPerAddress"));
    for number in 0..200 {
        if number % from_each == 0 {
            stack.move_client_to((1 + number / from_each) as u8);
        }
        let request = stack.sign_up_request("one@example.com");
        asking.spawn(async move { request.send().await?.json::<Value>().await });
    }
    let answers: Vec<_> = asking
        .join_all()
        .await
        .into_iter()
        .map(|answer| answer.expect("the gateway answers"))
        .collect();
    stack.move_client_to(0);
    let made = answers
        .iter()
        .filter(|answer| answer["data"]["signUp"]["account"]["id"].is_string())
        .count();
    // Who comes while the line is too long is refused at once, whatever the e-mail; on a slow machine that is some of them.
    let refused = answers
        .iter()
        .filter(|answer| ["EMAIL_TAKEN", "OVERLOADED"].contains(&code(answer)))
        .count();
    assert_eq!((made, refused), (1, 199), "{answers:?}");
    let again = stack.sign_up("one@example.com").await;
    assert_eq!(code(&again), "EMAIL_TAKEN", "{again}");
}

#[tokio::test]
async fn every_acknowledged_sign_up_survives_the_kill_of_all_nodes() {
    let mut stack = start(SERVING).await;
    let acknowledged = std::cell::RefCell::new(Vec::new());
    let signing_up = async {
        for number in 0.. {
            let email = format!("user{number}@example.com");
            // What breaks off with its node was not acknowledged: nothing is promised for it.
            let answer = stack.try_sign_up(&email).await.unwrap_or_default();
            if answer["data"]["signUp"]["account"]["id"].is_string() {
                acknowledged.borrow_mut().push(email);
            }
        }
    };
    let killing = async {
        crate::support::eventually("thirty accounts are made", || async {
            (acknowledged.borrow().len() >= 30).then_some(())
        })
        .await;
        tokio::join!(
            async { stack.stack.kill_part("auth1").await.unwrap() },
            async { stack.stack.kill_part("auth2").await.unwrap() },
        );
    };
    tokio::select! { () = signing_up => {}, () = killing => {} }

    tokio::try_join!(
        stack.stack.start_part("auth1"),
        stack.stack.start_part("auth2")
    )
    .unwrap();
    crate::support::eventually("the gateway uses a node again", || async {
        (stack.node_state("auth1").await == "UP").then_some(())
    })
    .await;
    // Sixty hashes are all that an address gets.
    stack.move_client_to(1);
    for email in acknowledged.take() {
        let answer = stack.log_in(&email, PASSWORD, None).await;
        assert_eq!(
            answer["data"]["logIn"]["account"]["email"], email,
            "{answer}"
        );
    }
}
