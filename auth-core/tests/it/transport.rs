//! HTTP: paths, methods, media types, health.

use insta::assert_json_snapshot;
use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD, code, config};

const TYPENAME: &str = r#"{"query":"{ __typename }"}"#;

#[test]
fn a_wrong_path_is_not_found() {
    let answer = Node::start().get("/nothing");
    assert_eq!(answer.status, 404);
    assert_json_snapshot!(answer.json());
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let node = Node::start();
    for (method, path, allow) in [
        ("DELETE", "/graphql", "GET, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/readyz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("POST", "/.well-known/jwks.json", "GET, HEAD"),
    ] {
        let answer = node.request(method, path, &[], "x");
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, allow),
            "{method} {path}"
        );
        assert_eq!(code(&answer.json()), "METHOD_NOT_ALLOWED");
    }
}

#[test]
fn queries_can_be_sent_by_get_and_mutations_cannot() {
    let node = Node::start();
    let answer = node.get("/graphql?query=%7B__typename%7D");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "data": { "__typename": "Query" } }))
    );
    let variables = "query($t:String!){verifyToken(token:$t){valid}}";
    let answer = node.get(
        &format!("/graphql?query={variables}&variables=%7B%22t%22:%22x%22%7D")
            .replace(['{', '}'], "%7B")
            .replace("valid%7B%7B", "valid%7D%7D"),
    );
    assert_eq!(answer.json()["data"]["verifyToken"]["valid"], false);

    let mutation = "mutation%7BlogIn(email:%22a%22,password:%22b%22)%7Bmessage%7D%7D";
    let answer = node.get(&format!("/graphql?query={mutation}"));
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    assert_json_snapshot!(answer.json());
    // Nor is one hidden behind a query and picked by its name.
    let both = format!(
        "query%20q%7B__typename%7D%20{}&operationName=m",
        mutation.replacen("mutation", "mutation%20m", 1)
    );
    assert_eq!(node.get(&format!("/graphql?query={both}")).status, 405);
    assert_eq!(node.get("/graphql").status, 400);
}

#[test]
fn only_json_is_accepted_so_that_a_form_of_another_site_is_not() {
    let node = Node::start();
    for content_type in [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/jsonp",
        "application/json; charset=latin1",
    ] {
        let answer = node.request(
            "POST",
            "/graphql",
            &[("content-type", content_type)],
            TYPENAME,
        );
        assert_eq!(answer.status, 415, "{content_type}");
        assert_eq!(code(&answer.json()), "UNSUPPORTED_MEDIA_TYPE");
    }
    for content_type in [
        "application/json",
        "Application/JSON; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
    ] {
        let answer = node.request(
            "POST",
            "/graphql",
            &[("content-type", content_type)],
            TYPENAME,
        );
        assert_eq!(answer.status, 200, "{content_type}");
    }
}

#[test]
fn the_answer_has_the_media_type_that_the_client_likes_best() {
    const NEW: &str = "application/graphql-response+json; charset=utf-8";
    const OLD: &str = "application/json; charset=utf-8";
    let node = Node::start();
    for (accept, content_type) in [
        ("application/graphql-response+json", NEW),
        (
            "application/graphql-response+json, application/json;q=0.9",
            NEW,
        ),
        ("application/json, application/graphql-response+json", OLD),
        (
            "application/json;q=0.5, application/graphql-response+json",
            NEW,
        ),
        ("*/*", OLD),
        ("application/*", OLD),
        ("text/html, */*;q=0.1", OLD),
    ] {
        let answer = node.post(&[("accept", accept)], TYPENAME);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, content_type),
            "{accept}"
        );
    }
    let answer = node.post(&[("accept", "text/html")], TYPENAME);
    assert_eq!(answer.status, 406);
    assert_json_snapshot!(answer.json());
}

#[test]
fn the_status_tells_a_refused_request_only_in_the_newer_media_type() {
    let node = Node::start();
    let new = ("accept", "application/graphql-response+json");
    for body in [
        r#"{"query":"{"}"#,
        r#"{"query":"{ nothing }"}"#,
        r#"{"query":"{ __typename }","operationName":"x"}"#,
    ] {
        assert_eq!(node.post(&[], body).status, 200, "{body}");
        let answer = node.post(&[new], body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(
            answer.json().get("data").is_none(),
            "nothing was executed, so there is no data"
        );
    }
    let executed = node.post(&[new], r#"{"query":"{ me { id } }"}"#);
    assert_eq!(
        (executed.status, code(&executed.json())),
        (200, "UNAUTHENTICATED")
    );
}

#[test]
fn answers_with_tokens_are_not_cached() {
    let node = Node::start();
    assert_eq!(node.post(&[], TYPENAME).header("cache-control"), "no-store");
    assert_eq!(
        node.post(&[], "nonsense").header("cache-control"),
        "no-store"
    );
}

#[test]
fn metrics_count_by_operation_and_outcome() {
    let node = Node::start();
    node.sign_up(EMAIL, PASSWORD);
    node.sign_up(EMAIL, PASSWORD);
    node.log_in(EMAIL, "wrong horse battery");
    node.post(&[], "nonsense");
    // What is refused unread is about the first that has a name of its own.
    let queries = r#"{ __typename me { nothing } verifyToken(token: "a") { valid } }"#;
    node.graphql(&[], queries, json!({}));
    for (labels, count) in [
        (r#"operation="me",outcome="bad_request""#, 1.0),
        (r#"operation="verifyToken",outcome="bad_request""#, 0.0),
        (r#"operation="signUp",outcome="ok""#, 1.0),
        (r#"operation="signUp",outcome="email_taken""#, 1.0),
        (r#"operation="logIn",outcome="invalid_credentials""#, 1.0),
        (r#"operation="other",outcome="bad_request""#, 1.0),
    ] {
        assert_eq!(
            node.metric(&format!("auth_requests_total{{{labels}}}")),
            count,
            "{labels}"
        );
    }
    assert_eq!(
        node.metric(r#"auth_request_seconds_count{operation="signUp"}"#),
        2.0
    );
    assert_eq!(node.metric("auth_hash_seconds_count"), 3.0);
    assert_eq!(node.hashes(), 3.0);
    assert!(
        node.get("/metrics")
            .text
            .contains("process_resident_memory_bytes")
    );
}

#[test]
fn without_a_database_the_node_is_up_and_not_ready_until_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let folder = dir.path().join("later");
    std::fs::create_dir(&folder).unwrap();
    config.database.url = format!("sqlite:{}", folder.join("auth.db").display());
    // A directory where the file should be: it cannot be opened.
    std::fs::create_dir(folder.join("auth.db")).unwrap();
    let node = Node::start_in(dir, config);
    assert_eq!(node.get("/healthz").status, 200);
    assert_eq!(node.get("/readyz").status, 503);
    assert_json_snapshot!(node.sign_up(EMAIL, PASSWORD));
    std::fs::remove_dir(folder.join("auth.db")).unwrap();
    node.wait_until("ready", || node.get("/readyz").status == 200);
    assert!(node.sign_up(EMAIL, PASSWORD)["data"]["signUp"].is_object());
}

#[test]
fn operations_are_picked_by_name() {
    let node = Node::start();
    let query = "query a { __typename } query b { b: __typename }";
    let answer = |name| {
        node.post(
            &[],
            json!({ "query": query, "operationName": name }).to_string(),
        )
        .json()
    };
    assert_eq!(answer(json!("b")), json!({ "data": { "b": "Query" } }));
    assert_json_snapshot!(answer(json!(null)));
    assert_eq!(code(&answer(json!("c"))), "BAD_REQUEST");
}

#[test]
fn the_schema_is_what_clients_were_promised() {
    let committed = std::fs::read_to_string("schema.graphql").unwrap();
    let current = auth_core::graphql::sdl();
    assert!(
        committed == current,
        "schema.graphql is not current: cargo run -p auth-core -- schema > auth-core/schema.graphql"
    );
}
