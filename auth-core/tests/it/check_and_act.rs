//! What was checked is still true when it is acted upon: between a password's check and what it allows lies a queue.

use std::thread::ScopedJoinHandle;

use serde_json::{Value, json};

use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::refresh::{Tokens, me, refresh};
use crate::users::user;

const NEW_PASSWORD: &str = "another good password";

/// One hash at a time, which takes long enough that others read the account meanwhile.
fn slow() -> Node {
    Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = 4;
        config.password.concurrent_hashes = 1;
        config.password.queue_seconds = 60;
    })
}

fn wait_for_queue(node: &Node, waiting: f64) {
    node.wait_until("a hash is running", || {
        node.metric("auth_hashes_in_flight") == 1.0
    });
    node.wait_until("the others are in the queue", || {
        node.metric("auth_hashes_waiting") == waiting
    });
}

/// Does `first` while five others, who have read the account, are in the queue behind it: what all were answered.
fn five_behind(
    node: &Node,
    first: impl FnOnce() -> Value + Send,
    other: impl Fn() -> Value + Sync,
) -> (Value, Vec<Value>) {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        wait_for_queue(node, 0.0);
        let behind: Vec<_> = (0..5).map(|_| scope.spawn(&other)).collect();
        wait_for_queue(node, 5.0);
        let answer = |thread: ScopedJoinHandle<'_, Value>| thread.join().unwrap();
        (answer(first), behind.into_iter().map(answer).collect())
    })
}

fn log_ins_behind(node: &Node, first: impl FnOnce() -> Value + Send) -> (Value, Vec<Value>) {
    five_behind(node, first, || node.log_in(EMAIL, PASSWORD))
}

fn sessions(node: &Node) -> Vec<i64> {
    node.sql("SELECT COUNT(*) FROM sessions")
}

fn as_caller(node: &Node, tokens: &Tokens, query: &str) -> Value {
    node.with(&tokens.access).graphql(&[], query, json!({}))
}

fn change_password(node: &Node, tokens: &Tokens) -> Value {
    let query = format!(
        "mutation {{ changePassword(currentPassword: \"{PASSWORD}\", newPassword: \"{NEW_PASSWORD}\") \
         {{ accessToken refreshToken }} }}"
    );
    as_caller(node, tokens, &query)
}

fn delete_account(node: &Node, tokens: &Tokens) -> Value {
    let query = format!("mutation {{ deleteAccount(password: \"{PASSWORD}\") {{ message }} }}");
    as_caller(node, tokens, &query)
}

#[test]
fn log_ins_with_the_old_password_that_are_in_flight_when_it_changes_begin_no_session() {
    let node = slow();
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    let (changed, behind) = log_ins_behind(&node, || change_password(&node, &tokens));
    assert!(changed["data"]["changePassword"].is_object(), "{changed}");
    for answer in &behind {
        let refused = ["INVALID_CREDENTIALS", "RATE_LIMITED"];
        assert!(refused.contains(&code(answer)), "{answer}");
    }
    assert_eq!(sessions(&node), [1], "the one that the change began");
}

#[test]
fn log_ins_in_flight_when_an_account_is_disabled_begin_no_session() {
    let node = slow();
    node.sign_up(EMAIL, PASSWORD);
    let (_, behind) = log_ins_behind(&node, || {
        // Keeps the only slot busy until the log-ins have read the account.
        let busy = node.sign_up("bob@example.com", PASSWORD);
        assert!(user(&node, &["disable", EMAIL], "").starts_with("exit 0\n"));
        busy
    });
    let refused = behind
        .iter()
        .filter(|answer| code(answer) == "INVALID_CREDENTIALS");
    assert!(refused.count() > 0, "none was in flight: {behind:?}");
    let left = "SELECT COUNT(*) FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE a.disabled = 1";
    assert_eq!(node.sql(left), [0]);
}

#[test]
fn log_ins_in_flight_when_an_account_is_deleted_are_refused_like_any_other() {
    let node = slow();
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    let (deleted, behind) = log_ins_behind(&node, || delete_account(&node, &tokens));
    assert!(deleted["data"]["deleteAccount"].is_object(), "{deleted}");
    for answer in &behind {
        let refused = ["INVALID_CREDENTIALS", "RATE_LIMITED"];
        assert!(refused.contains(&code(answer)), "{answer}");
    }
    assert_eq!(sessions(&node), [0]);
}

#[test]
fn changes_and_deletions_in_flight_when_the_password_changes_do_nothing() {
    let others: [fn(&Node, &Tokens) -> Value; 2] = [change_password, delete_account];
    for other in others {
        let node = slow();
        let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
        let (changed, behind) = five_behind(
            &node,
            || change_password(&node, &tokens),
            || other(&node, &tokens),
        );
        let new = Tokens::of(&changed, "changePassword");
        for answer in &behind {
            let refused = ["UNAUTHENTICATED", "RATE_LIMITED"];
            assert!(refused.contains(&code(answer)), "{answer}");
        }
        assert_eq!(me(&node, &new)["data"]["me"]["email"], EMAIL);
    }
}

/// Who has left a device that others use has not asked for anything any more.
#[test]
fn changes_and_deletions_in_flight_when_their_session_is_logged_out_do_nothing() {
    let others: [fn(&Node, &Tokens) -> Value; 2] = [change_password, delete_account];
    for other in others {
        let node = slow();
        let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
        let answer = std::thread::scope(|scope| {
            let changing = scope.spawn(|| other(&node, &tokens));
            wait_for_queue(&node, 0.0);
            let left = as_caller(&node, &tokens, "mutation { logOut { message } }");
            assert!(left["data"]["logOut"].is_object(), "{left}");
            changing.join().unwrap()
        });
        assert_eq!(code(&answer), "UNAUTHENTICATED", "{answer}");
        let again = node.log_in(EMAIL, PASSWORD);
        assert!(again["data"]["logIn"].is_object(), "{again}");
    }
}

#[test]
fn a_session_of_a_disabled_account_is_good_for_nothing_even_if_one_is_left() {
    let node = Node::start();
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    // Not by the command, which would end the session, too.
    node.sql("UPDATE accounts SET disabled = 1");
    assert_eq!(sessions(&node), [1]);
    assert_eq!(code(&me(&node, &tokens)), "UNAUTHENTICATED");
    assert_eq!(code(&change_password(&node, &tokens)), "UNAUTHENTICATED");
    assert_eq!(code(&delete_account(&node, &tokens)), "UNAUTHENTICATED");
    assert_eq!(code(&refresh(&node, &tokens.refresh)), "UNAUTHENTICATED");
}

#[test]
fn log_ins_at_once_are_all_right_while_one_of_them_stores_a_dearer_hash() {
    let cheap = slow();
    cheap.sign_up(EMAIL, PASSWORD);
    let dear = cheap.beside_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = 5;
        config.password.concurrent_hashes = 2;
        config.password.queue_seconds = 60;
    });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| dear.log_in(EMAIL, PASSWORD)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for answer in answers {
        assert!(answer["data"]["logIn"].is_object(), "{answer}");
    }
}
