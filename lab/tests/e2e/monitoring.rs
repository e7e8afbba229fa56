//! The operator's view: metrics of every part, the gateway's statistics page.

use crate::support::{SERVING, eventually, start};

#[tokio::test]
async fn prometheus_sees_every_target_up() {
    let stack = start(&[]).await;
    let targets = stack.url("prometheus") + "/api/v1/targets?state=active";
    eventually("every part is a target, and up", || async {
        let answer = stack.json(&targets).await;
        let active = answer["data"]["activeTargets"].as_array()?.iter();
        let mut up: Vec<_> = active
            .filter(|target| target["health"] == "up")
            .filter_map(|target| target["labels"]["node"].as_str())
            .collect();
        up.sort();
        let mut parts: Vec<_> = stack
            .stack
            .parts()
            .iter()
            // A user's own service is not ours to watch, and what works for a gateway has nothing to tell.
            .filter(|part| part.kind != "sample-service" && !part.name.starts_with("gateway-"))
            .map(|part| part.name.as_str())
            .collect();
        parts.sort();
        (up == parts).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_alert_for_a_dead_target_reaches_alertmanager() {
    let stack = start(&["auth1", "auth2", "gateway", "prometheus", "alertmanager"]).await;
    stack.stack.kill_part("auth1").await.unwrap();
    stack.stack.kill_part("auth2").await.unwrap();
    let alerts = stack.url("alertmanager") + "/api/v2/alerts";
    eventually("Alertmanager knows that no node is left", || async {
        let answer = stack.json(&alerts).await;
        answer
            .as_array()?
            .iter()
            .any(|alert| alert["labels"]["alertname"] == "NoNodeLeft")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_statistics_page_lists_every_node() {
    let stack = start(SERVING).await;
    let page = stack.text(&stack.stats_page()).await;
    for node in ["auth1", "auth2"] {
        assert!(
            page.contains(&format!("auth-core/{node}")),
            "{node} is not on the page"
        );
    }
}

/// Its memory, environment and log levels are at `/actuator` where nobody turns that off; its metrics are elsewhere.
#[tokio::test]
async fn zipkins_own_management_is_closed_and_its_metrics_are_there() {
    let stack = start(&["zipkin"]).await;
    let zipkin = stack.url("zipkin");
    let root = zipkin.trim_end_matches("/zipkin");
    for (path, expected) in [
        ("/actuator", 404),
        ("/actuator/env", 404),
        ("/actuator/heapdump", 404),
        ("/actuator/loggers", 404),
        ("/prometheus", 200),
    ] {
        let answer = stack.client.get(format!("{root}{path}")).send().await;
        assert_eq!(answer.unwrap().status(), expected, "{path}");
    }
}
