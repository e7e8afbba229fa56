//! What broke off may have been executed: it is tried again only where a second time does no harm.

use serde_json::{Value, json};

use crate::broken_servers::start_with_a_shop_that_breaks_off;
use crate::support::{SERVING, code, eventually, start};

#[tokio::test]
async fn what_may_have_been_executed_by_a_node_is_tried_again_where_that_is_harmless_alone() {
    let stack = start(SERVING).await;
    // All is given to auth1, which answers nothing, and the gateway goes on believing in it.
    stack
        .admin("gateway", "disable health auth-core/auth1")
        .await;
    stack.stack.set_weight("auth2", 0).await.unwrap();
    stack.stack.pause_part("auth1").unwrap();

    let url = stack.url("gateway") + "/graphql?query=%7B__typename%7D";
    let requests = [
        (502, stack.sign_up_request("ann@example.com")),
        (
            200,
            stack
                .sign_up_request("ben@example.com")
                .header("idempotency-key", "one-of-a-kind"),
        ),
        (200, stack.request("{ __typename }", json!({}))),
        (200, stack.client.get(url)),
    ];
    let asked = requests.len();
    let under_way = requests.map(|(expected, request)| (expected, tokio::spawn(request.send())));
    eventually("auth1 has them all", || async {
        (stack.under_way("auth1").await == asked).then_some(())
    })
    .await;
    stack.stack.set_weight("auth2", 100).await.unwrap();
    stack.stack.kill_part("auth1").await.unwrap();

    for (number, (expected, answer)) in under_way.into_iter().enumerate() {
        let answer = answer.await.unwrap().expect("an answer");
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, expected, "number {number}: {answer}");
        let told = if expected == 200 { "" } else { "UNAVAILABLE" };
        assert_eq!(code(&answer), told, "number {number}: {answer}");
    }
}

#[tokio::test]
async fn what_may_have_been_done_by_a_service_is_not_tried_again() {
    let (stack, taken) = start_with_a_shop_that_breaks_off().await;
    let order = stack
        .client
        .post(stack.url("gateway") + "/shop")
        .body("one");
    assert_eq!(order.send().await.unwrap().status(), 502);
    assert_eq!(taken(), 1, "one order was placed {} times", taken());
}
