//! The operator's view: metrics of every part, dashboards, rules, alerts, the gateway's statistics page.

use std::{fs, path::Path, process::Command, time::Duration};

use lab::{TopologyName, programs};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use crate::{
    support::{CHEAP, SERVING, TestStack, eventually, start, start_with},
    webhook,
};

/// Panels without data where all is well, or nobody makes backups.
const TROUBLES: [&str; 5] = [
    "Authstack: database: Backups: age of the newest",
    "Authstack: database: Backups: size of the newest",
    "Authstack: database: PostgreSQL: replication lag",
    "Authstack: hosts: Units that failed, by name",
    "Authstack: overview: What fires",
];

/// What may be missing: nothing fires, the lab makes no backups of itself (`backup.rs` looks at their metrics), there need not be a systemd whose units node-exporter could tell of, and the exporter of Debian 12 does
/// not say how far a server is behind that is no replica.
const MAY_BE_MISSING: [&str; 6] = [
    "ALERTS",
    "auth_backup_last_success_timestamp_seconds",
    "auth_backup_size_bytes",
    "node_systemd_service_restart_total",
    "node_systemd_unit_state",
    "pg_replication_lag_seconds",
];

/// One test, as starting Zipkin is what takes time.
#[tokio::test]
async fn prometheus_sees_every_target_up_and_zipkins_own_management_is_closed() {
    let stack = start(&[]).await;
    zipkins_own_management_is_closed_and_its_metrics_are_there(&stack).await;
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

/// A metric that nothing exports, or a label that it does not have, is seen here.
#[tokio::test]
async fn every_panel_and_every_rule_reads_metrics_that_are_there_and_the_panels_show_something() {
    let stack = start_with(TopologyName::Cluster, &[], Some(CHEAP)).await;
    // Rates are those of the last minute: on a slow machine the first load is over before the last panel is asked.
    let loads = async {
        loop {
            stack.load(2, 10, 8).await.assert_no_failure();
        }
    };
    tokio::select! {
        () = loads => {}
        () = every_query_is_answered(&stack) => {}
    }
}

async fn every_query_is_answered(stack: &TestStack) {
    let queries = queries_of_dashboards();
    let rules = eventually("every rule was evaluated without an error", || async {
        let rules = rules(stack).await;
        let well = rules.iter().all(|rule| rule.health == "ok");
        (!rules.is_empty() && well).then_some(rules)
    })
    .await;

    let exprs = queries.iter().map(|query| &query.expr);
    let mut read: Vec<_> = exprs
        .chain(rules.iter().map(|rule| &rule.query))
        .flat_map(|expr| selectors(expr))
        .filter(|selector| !MAY_BE_MISSING.contains(&metric(selector)))
        .collect();
    read.sort();
    read.dedup();
    assert!(read.len() > 100, "{read:?}");
    for selector in read {
        eventually(&format!("{selector} is there"), || async {
            (!ask(stack, &selector).await.is_empty()).then_some(())
        })
        .await;
    }

    for query in queries {
        let Query { panel, expr } = query;
        let systemd = selectors(&expr)
            .iter()
            .any(|selector| metric(selector) == "node_systemd_unit_state");
        // Nothing fires, and nothing was started just now.
        let marks = panel.contains(": annotation: ");
        if systemd || marks || TROUBLES.contains(&panel.as_str()) {
            // Prometheus understands it at least.
            ask(stack, &expr).await;
            continue;
        }
        eventually(&format!("{panel} shows something: {expr}"), || async {
            let values = ask(stack, &expr).await;
            values.iter().any(|value| value.is_finite()).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_killed_core_is_told_to_a_webhook_within_half_a_minute_and_so_is_its_return() {
    let stack = start(&["auth1", "auth2", "gateway", "prometheus", "alertmanager"]).await;
    let (url, mut told) = webhook::listen().await;
    receive_at(&stack, &url).await;

    stack.stack.kill_part("auth1").await.unwrap();
    let alert = next(&mut told, "firing").await;
    assert_eq!(alert["labels"]["severity"], "warning");
    assert_eq!(
        alert["annotations"]["summary"],
        "The gateway gateway sends nothing to auth1: its health check fails"
    );
    let page = alert["annotations"]["runbook_url"].as_str().unwrap();
    let (_, page) = page.rsplit_once("/docs/").unwrap();
    assert!(repository().join("docs").join(page).exists(), "{page}");

    stack.stack.start_part("auth1").await.unwrap();
    next(&mut told, "resolved").await;
}

#[tokio::test]
async fn the_alert_that_no_node_is_left_reaches_alertmanager() {
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

/// The canary's password is made with the stack, and its account when the probe is first started.
#[tokio::test]
async fn the_probe_logs_a_canary_in_and_tells_when_it_cannot() {
    let parts = ["auth1", "auth2", "gateway", "prometheus", "probe"];
    let stack = start(&parts).await;
    let each = |step: &str| format!("auth_probe_success{{step=\"{step}\"}}");
    let becomes = async |step: &str, expected: f64| {
        eventually(&format!("{step} is {expected}"), || async {
            (ask(&stack, &each(step)).await == [expected]).then_some(())
        })
        .await;
    };
    for step in ["certificate", "answer", "log_in"] {
        becomes(step, 1.0).await;
    }
    let days = "(auth_probe_certificate_expires_timestamp_seconds - time()) / 86400";
    let left = ask(&stack, days).await[0];
    assert!((88.0..=89.0).contains(&left), "{left} days");

    stack.stack.kill_part("auth1").await.unwrap();
    stack.stack.kill_part("auth2").await.unwrap();
    becomes("log_in", 0.0).await;
    stack.stack.kill_part("gateway").await.unwrap();
    becomes("answer", 0.0).await;
    becomes("certificate", 0.0).await;
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
async fn zipkins_own_management_is_closed_and_its_metrics_are_there(stack: &TestStack) {
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

/// A query of a panel.
#[derive(Deserialize)]
struct Query {
    panel: String,
    expr: String,
}

fn queries_of_dashboards() -> Vec<Query> {
    let program = &programs::find(&["nix-instantiate"]).unwrap()["nix-instantiate"];
    let output = Command::new(program)
        .args(["--eval", "--strict", "--json", "--store", "dummy://"])
        .args(["--arg", "clustered", "false"])
        .arg(repository().join("nixos-modules/render/tests/queries.nix"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A rule, as Prometheus has it: `health` is "ok" once it was evaluated.
#[derive(Deserialize)]
struct Rule {
    query: String,
    health: String,
}

async fn rules(stack: &TestStack) -> Vec<Rule> {
    let mut answer = stack
        .json(&(stack.url("prometheus") + "/api/v1/rules"))
        .await;
    let groups = answer["data"]["groups"].as_array_mut().unwrap();
    let rules = groups.iter_mut().map(|group| group["rules"].take());
    rules
        .flat_map(|rules| serde_json::from_value::<Vec<Rule>>(rules).unwrap())
        .collect()
}

/// The values that Prometheus answers now.
async fn ask(stack: &TestStack, expr: &str) -> Vec<f64> {
    let url = stack.url("prometheus") + "/api/v1/query";
    let url = Url::parse_with_params(&url, [("query", expr)]).unwrap();
    let answer = stack.json(url.as_str()).await;
    assert_eq!(answer["status"], "success", "{expr}: {answer}");
    let series = answer["data"]["result"].as_array().unwrap();
    let values = series.iter().map(|series| series["value"][1].as_str());
    values
        .map(|value| value.unwrap().parse().unwrap())
        .collect()
}

/// What an expression reads: names with their braces. Other than labels and keywords, our metrics have a `_` or a `:` in their names, but for two;
/// other than functions, no parenthesis after them.
fn selectors(expr: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(begin) = rest.find(|c: char| is_name(c) || c == '"') {
        rest = &rest[begin..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').expect("the end of a text").1;
            continue;
        }
        let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        rest = after;
        let is_metric = name.contains(['_', ':']) || ["up", "ALERTS"].contains(&name);
        if !is_metric || after.trim_start().starts_with('(') {
            continue;
        }
        let braces = match after.find('}') {
            Some(end) if after.starts_with('{') => &after[..=end],
            _ => "",
        };
        found.push(format!("{name}{braces}"));
        rest = &after[braces.len()..];
    }
    found
}

fn metric(selector: &str) -> &str {
    selector.split('{').next().unwrap_or_default()
}

#[test]
fn what_an_expression_reads_is_found_in_it() {
    let expr = r#"clamp_min(sum by (node) (rate(a_total{code="5(x_y)x"}[5m])) - up, 0) > a:b_c or ALERTS{x="y"}"#;
    assert_eq!(
        selectors(expr),
        [
            r#"a_total{code="5(x_y)x"}"#,
            "up",
            "a:b_c",
            r#"ALERTS{x="y"}"#
        ]
    );
}

/// Gives the receiver that the lab has, and that tells nobody, a webhook.
async fn receive_at(stack: &TestStack, url: &str) {
    let file = stack
        .directory()
        .join("parts/alertmanager/alertmanager.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["receivers"][0]["webhook_configs"] = json!([{ "url": url }]);
    fs::write(&file, config.to_string()).unwrap();
    let reload = stack.url("alertmanager") + "/-/reload";
    let answer = stack.client.post(reload).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// The next that the webhook is told of auth1 being out of rotation.
async fn next(told: &mut UnboundedReceiver<Value>, status: &str) -> Value {
    let wanted = async {
        loop {
            let alert = told.recv().await.expect("the webhook listens");
            let labels = &alert["labels"];
            if labels["alertname"] == "NodeOutOfRotation" && alert["status"] == status {
                assert_eq!(labels["server"], "auth1", "{alert}");
                return alert;
            }
        }
    };
    timeout(Duration::from_secs(30), wanted)
        .await
        .unwrap_or_else(|_| panic!("not told within 30 s: {status}"))
}
