//! What was acknowledged is kept, and what must be unique is.

use crate::support::{PASSWORD, SERVING, code, start, start_with};
use lab::TopologyName;
use tokio::task::JoinSet;

/// 200 people at once claim one e-mail; hashing at its full cost, as the race is about who comes first to the database.
#[tokio::test]
async fn two_hundred_concurrent_sign_ups_with_one_email_make_one_account() {
    let stack = std::rc::Rc::new(start_with(TopologyName::Single, SERVING, None).await);
    let local = tokio::task::LocalSet::new();
    let answers = local
        .run_until(async {
            let mut asking = JoinSet::new();
            for _ in 0..200 {
                let stack = stack.clone();
                asking.spawn_local(async move { stack.sign_up("one@example.com").await });
            }
            asking.join_all().await
        })
        .await;
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
    let stack = start(SERVING).await;
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
        crate::support::eventually("fifty accounts are made", || async {
            (acknowledged.borrow().len() >= 50).then_some(())
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
    for email in acknowledged.take() {
        let answer = stack.log_in(&email, PASSWORD, None).await;
        assert_eq!(
            answer["data"]["logIn"]["account"]["email"], email,
            "{answer}"
        );
    }
}
