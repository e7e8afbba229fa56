//! One request, one trace: from the gateway's id to the core's spans.

use crate::support::{PASSWORD, eventually, start};
use serde_json::json;

#[tokio::test]
async fn one_trace_holds_the_gateways_id_and_the_cores_spans() {
    let stack = start(&["auth1", "auth2", "gateway", "zipkin"]).await;
    let (_, headers, answer) = stack
        .send(
            "mutation SignUp($password: String!) { signUp(email: \"ana@example.com\", password: $password) { message } }",
            json!({ "password": PASSWORD }),
            None,
        )
        .await;
    assert!(answer["errors"].is_null(), "{answer}");
    let id = headers["x-trace-id"].to_str().unwrap().to_owned();

    let trace = format!(
        "{}/api/v2/trace/{id}",
        stack.url("zipkin").trim_end_matches("/zipkin")
    );
    eventually("the core's spans are in the trace", || async {
        let response = stack.client.get(&trace).send().await.ok()?;
        let spans: serde_json::Value = response.json().await.ok()?;
        let names: Vec<_> = spans
            .as_array()?
            .iter()
            .inspect(|span| assert_eq!(span["traceId"], id.as_str()))
            .filter_map(|span| span["name"].as_str())
            .collect();
        // The request, and what it spent its time on.
        ["signup", "hash"]
            .iter()
            .all(|name| names.contains(name))
            .then_some(())
    })
    .await;

    let gateway_log = std::fs::read_to_string(stack.stack.log("gateway")).unwrap();
    assert!(
        gateway_log.contains(&format!("\"trace_id\":\"{id}\"")),
        "the gateway's log does not know the trace"
    );
}

#[tokio::test]
async fn a_request_is_answered_although_zipkin_is_away() {
    let stack = start(&["auth1", "auth2", "gateway", "zipkin"]).await;
    stack.stack.kill_part("zipkin").await.unwrap();
    for number in 0..20 {
        let answer = stack.sign_up(&format!("user{number}@example.com")).await;
        assert!(answer["errors"].is_null(), "{answer}");
    }
}
