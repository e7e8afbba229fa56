//! Signing up, logging in, and what a token is good for.

use insta::assert_json_snapshot;
use serde_json::json;

use crate::database;
use crate::node::{EMAIL, Node, PASSWORD, code, log_in, sign_up, steady};

#[test]
fn a_sign_up_answers_with_a_session() {
    let node = Node::start();
    assert_json_snapshot!(steady(node.sign_up("Ann@Example.com", PASSWORD)));
}

#[test]
fn a_log_in_answers_with_a_session_however_the_email_is_cased() {
    let node = Node::start();
    node.sign_up("Ann@Example.com", PASSWORD);
    assert_json_snapshot!(steady(node.log_in("aNN@example.COM", PASSWORD)));
}

#[test]
fn a_new_token_is_good_for_me_and_for_verify_token() {
    let node = Node::start();
    let token = node.sign_up(EMAIL, PASSWORD)["data"]["signUp"]["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let query = "query($token: String!) { me { id email role } \
                 verifyToken(token: $token) { valid reason account { id email role } } }";
    let variables = json!({ "token": token });
    let answer = node.with(&token).graphql(&[], query, variables);
    assert_eq!(
        answer["data"]["me"],
        answer["data"]["verifyToken"]["account"]
    );
    assert_json_snapshot!(steady(answer));
}

#[test]
fn a_taken_email_is_refused_in_any_case() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    assert_json_snapshot!(node.sign_up("ANN@example.com", "another good password"));
}

#[test]
fn a_sign_up_costs_a_hash_whether_its_email_is_taken_or_not_and_whoever_goes_away_learns_nothing() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let costs = |email: &str| {
        let hashes = node.hashes();
        node.sign_up(email, "another good password");
        node.hashes() - hashes
    };
    assert_eq!((costs(EMAIL), costs("bob@example.com")), (1.0, 1.0));
}

#[test]
fn an_unknown_user_and_a_wrong_password_look_the_same_and_cost_one_hash_each() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    let before = node.hashes();
    let wrong_password = node.log_in(EMAIL, "wrong horse battery");
    assert_eq!(node.hashes(), before + 1.0);
    let unknown_user = node.log_in("bob@example.com", PASSWORD);
    assert_eq!(node.hashes(), before + 2.0);
    assert_eq!(wrong_password, unknown_user);
    assert_json_snapshot!(unknown_user);
}

#[test]
fn a_caller_who_is_logged_in_already_is_told_so_and_nothing_is_hashed() {
    let node = Node::start();
    let token = node.sign_up(EMAIL, PASSWORD)["data"]["signUp"]["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let hashes = node.hashes();
    let answer = node
        .with(&token)
        .log_in("bob@example.com", "whatever it is");
    assert_eq!(
        answer["data"]["logIn"]["message"],
        "이미 ann@example.com로 로그인 하였습니다."
    );
    assert_eq!(node.hashes(), hashes);
    assert_json_snapshot!(steady(answer));
}

#[test]
fn a_log_in_with_a_bad_authorization_header_is_an_ordinary_log_in() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    for header in ["Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer"] {
        let answer = node.log_in_with(&[("authorization", header)], EMAIL, PASSWORD);
        assert!(
            answer["data"]["logIn"]["accessToken"].is_string(),
            "{header}: {answer}"
        );
    }
}

#[test]
fn the_gateway_is_told_how_a_credential_check_went_however_the_query_is_written() {
    let node = Node::start();
    let signed_up = node.sign_up(EMAIL, PASSWORD);
    let token = signed_up["data"]["signUp"]["accessToken"].as_str().unwrap();
    let told = |token: &str, query: &str, email: &str, password: &str| {
        let variables = json!({ "email": email, "password": password });
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = node.with(token).post(&[], body);
        answer.header("x-auth-outcome").to_owned()
    };
    let plain = log_in();
    let hidden = plain.replace("logIn(", "__typename m: __typename me: logIn(");
    for query in [&plain, &hidden] {
        assert_eq!(told("", query, EMAIL, PASSWORD), "login-ok");
        assert_eq!(
            told("", query, EMAIL, "wrong horse battery"),
            "login-failed"
        );
        assert_eq!(told("", query, "bob@example.com", PASSWORD), "login-failed");
        assert_eq!(told("", query, "not an e-mail", ""), "login-failed");
        assert_eq!(
            told(token, query, EMAIL, "wrong horse battery"),
            "",
            "nothing was checked"
        );
    }
    assert_eq!(told("", &sign_up(), "cy@example.com", PASSWORD), "");
    assert_eq!(
        told("", "{ me { id } }", "", ""),
        "",
        "no credentials, no outcome"
    );
}

#[test]
fn the_gateway_is_told_how_many_hashes_a_request_cost_whatever_came_of_it() {
    let node = Node::start();
    let cost = |token: &str, query: &str| {
        let body = json!({ "query": query }).to_string();
        let answer = node.with(token).post(&[], body);
        (answer.header("x-auth-hashes").to_owned(), answer.json())
    };
    let sign_up = format!(
        "mutation {{ signUp(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ accessToken }} }}"
    );
    let (hashes, answer) = cost("", &sign_up);
    assert_eq!(hashes, "1");
    let token = answer["data"]["signUp"]["accessToken"].as_str().unwrap();
    let change = |current: &str| {
        format!(
            "mutation {{ changePassword(currentPassword: \"{current}\", newPassword: \"another good password\") {{ message }} }}"
        )
    };
    for (token, query, hashes) in [
        ("", &sign_up, "1"),
        ("", &log_in_as(EMAIL, PASSWORD), "1"),
        ("", &log_in_as("nobody@example.com", PASSWORD), "1"),
        ("", &log_in_as("no e-mail", PASSWORD), ""),
        (token, &change("wrong horse battery"), "1"),
        (token, &"{ me { email } }".to_owned(), ""),
        (token, &change(PASSWORD), "2"),
        ("", &change(PASSWORD), ""),
    ] {
        assert_eq!(cost(token, query).0, hashes, "{query}");
    }
}

fn log_in_as(email: &str, password: &str) -> String {
    format!("mutation {{ logIn(email: \"{email}\", password: \"{password}\") {{ message }} }}")
}

#[test]
fn me_needs_a_token() {
    let node = Node::start();
    assert_json_snapshot!(node.graphql(&[], "{ me { id } }", json!({})));
    assert_eq!(code(&node.with("a.b.c").me()), "UNAUTHENTICATED");
}

#[test]
fn verify_token_says_why_a_token_is_bad() {
    let node = Node::start();
    let query = "{ verifyToken(token: \"a.b.c\") { valid reason account { id } } }";
    assert_json_snapshot!(node.graphql(&[], query, json!({})));
}

#[test]
fn of_200_sign_ups_with_one_email_on_two_nodes_exactly_one_gets_the_account() {
    let first = Node::start_with(|config| config.password.scrypt.log_n = 10);
    let second = first.beside_with(|config| config.password.scrypt.log_n = 10);
    let nodes = [&first, &second];
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..200)
            .map(|number| scope.spawn(move || nodes[number % 2].sign_up(EMAIL, PASSWORD)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let signed_up = answers
        .iter()
        .filter(|answer| answer["data"]["signUp"].is_object())
        .count();
    let taken = answers
        .iter()
        .filter(|answer| code(answer) == "EMAIL_TAKEN")
        .count();
    assert_eq!((signed_up, taken), (1, 199));
}

#[test]
fn nodes_start_at_once_on_an_empty_database_and_share_it_and_accounts_outlive_them() {
    let dir = tempfile::tempdir().unwrap();
    let url = &database::fresh(dir.path());
    let mut nodes: Vec<_> = std::thread::scope(|scope| {
        let start = || Node::start_with(|config| config.database.url.clone_from(url));
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    nodes[0].sign_up(EMAIL, PASSWORD);
    nodes.remove(0);
    assert!(nodes[0].log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
    nodes.remove(0);
    assert_eq!(code(&nodes[0].sign_up(EMAIL, PASSWORD)), "EMAIL_TAKEN");
}

#[test]
fn a_cost_that_was_raised_is_applied_at_the_next_log_in_and_one_that_was_lowered_is_not() {
    let cheap = Node::start();
    cheap.sign_up(EMAIL, PASSWORD);
    let dear = cheap.beside_with(|config| config.password.scrypt.log_n = 6);
    let hashes_of_log_in = |node: &Node| {
        let before = node.hashes();
        assert!(node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
        node.hashes() - before
    };
    assert_eq!(
        code(&dear.log_in(EMAIL, "wrong horse battery")),
        "INVALID_CREDENTIALS"
    );
    assert_eq!(hashes_of_log_in(&dear), 2.0, "one to check, one to store");
    assert_eq!(hashes_of_log_in(&dear), 1.0, "once is enough");
    assert_eq!(hashes_of_log_in(&cheap), 1.0, "the dear hash stays");
    assert_eq!(hashes_of_log_in(&dear), 1.0);
}

#[test]
fn of_many_who_ask_at_once_each_learns_who_they_are() {
    let node = Node::start();
    let emails: Vec<_> = (0..100).map(|i| format!("ann{i}@example.com")).collect();
    let asked: Vec<_> = emails
        .iter()
        .map(|email| {
            let token = node.sign_up(email, PASSWORD)["data"]["signUp"]["accessToken"].clone();
            (email, token.as_str().unwrap().to_owned())
        })
        .collect();
    let out = |i: usize| i.is_multiple_of(7);
    for (i, (_, token)) in asked.iter().enumerate() {
        if out(i) {
            let log_out = "mutation { logOut { message } }";
            node.with(token).graphql(&[], log_out, json!({}));
        }
    }
    std::thread::scope(|scope| {
        for (i, (email, token)) in asked.iter().enumerate() {
            let node = &node;
            scope.spawn(move || {
                for _ in 0..5 {
                    let answer = node.with(token).me();
                    if out(i) {
                        assert_eq!(code(&answer), "UNAUTHENTICATED");
                    } else {
                        assert_eq!(answer["data"]["me"]["email"], **email);
                    }
                }
            });
        }
    });
}
