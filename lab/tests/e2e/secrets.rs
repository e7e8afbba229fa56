//! What is secret stays secret: it is in no log, metric, trace, argument, environment or error of any part, not even when
//! they say all they can.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write,
};

use lab::TopologyName;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::leaks::{Search, unique};
use crate::support::{CHEAP, TestStack, eventually, start_with};

const EMAIL: &str = "ana@example.com";

/// The nodes of the cluster.
const NODES: [&str; 3] = ["auth1", "auth2", "auth3"];

const LOG_IN: &str = "mutation($email: String!, $password: String!) {
    logIn(email: $email, password: $password) { accessToken refreshToken } }";
const SIGN_UP: &str = "mutation($email: String!, $password: String!) {
    signUp(email: $email, password: $password) { accessToken refreshToken } }";
const CHANGE: &str = "mutation($current: String!, $new: String!) {
    changePassword(currentPassword: $current, newPassword: $new) { accessToken refreshToken } }";
const RESET: &str = "mutation($token: String!, $password: String!) {
    resetPassword(resetToken: $token, newPassword: $password) { accessToken refreshToken } }";
const REFRESH: &str = "mutation($token: String!) {
    refresh(refreshToken: $token) { accessToken refreshToken } }";

#[tokio::test]
async fn no_secret_is_in_a_log_a_metric_a_trace_an_argument_an_environment_or_an_error() {
    let stack = start_with(TopologyName::Cluster, &[], Some(CHEAP)).await;
    say_all(&stack).await;
    let mut search = Search::default();
    for file in [
        "ring/signing-key.pem",
        "ca-key.pem",
        "gateway.pem",
        "postgres-password",
        "canary-password",
    ] {
        search.file(&stack, file);
    }
    use_secrets(&stack, &mut search).await;
    use_what_the_operator_gives(&stack, &mut search).await;
    read_interfaces(&stack, &mut search).await;
    read_processes(&stack, &mut search).await;
    without_database(&stack, &mut search).await;
    stack.stack.stop().await;
    for (file, text) in stack.logs() {
        let name = file.file_name().unwrap().to_string_lossy();
        search.text(format!("the log {name}"), text);
    }
    for node in NODES {
        let log = format!("the log {node}.log");
        search.assert_seen(&log, "\"level\":\"DEBUG\"");
        search.assert_seen(&log, "\"operation\":\"logIn\"");
    }
    search.assert_seen("the log auth1.log", "the database does not answer");
    search.assert_seen("the log gateway.log", "\"method\":\"POST\"");
    search.assert_seen("the log postgres.log", "INSERT INTO accounts");
    for part in stack.stack.parts() {
        search.assert_seen(&format!("the log {}.log", part.name), "");
    }
    let leaks = search.leaks();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// Makes the nodes and the database log all that they can.
async fn say_all(stack: &TestStack) {
    for node in NODES {
        stack.stack.kill_part(node).await.unwrap();
    }
    stack.stack.stop_part("postgres").await.unwrap();
    for node in NODES {
        let file = stack.directory().join("parts").join(node);
        let file = file.join("auth-core.toml");
        let text = fs::read_to_string(&file).unwrap();
        let talkative = text.replace("log = { ", "log = { level = \"trace\", ");
        assert_ne!(text, talkative);
        fs::write(file, talkative).unwrap();
    }
    let file = stack
        .directory()
        .join("data/scratch/data/postgresql.auto.conf");
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    // With the values that statements are given, and what is slow, refused or ended.
    writeln!(file, "log_statement = 'all'\nlog_min_messages = 'debug1'").unwrap();
    writeln!(file, "log_connections = on\nlog_disconnections = on").unwrap();
    for part in ["postgres"].iter().chain(&NODES) {
        stack.stack.start_part(part).await.unwrap();
    }
    for node in NODES {
        eventually("the gateway has seen that it is back", || async {
            (stack.node_state(node).await == "UP").then_some(())
        })
        .await;
    }
}

/// Everything that a client may do with a secret, right or wrong.
async fn use_secrets(stack: &TestStack, search: &mut Search) {
    let right = search.fresh("a password");
    let wrong = search.fresh("a wrong password");
    let new = search.fresh("a new password");
    let key = search.fresh("an Idempotency-Key");
    let graphql = |query: &str, variables: Value| stack.request(query, variables);
    let credentials = |password: &str| json!({ "email": EMAIL, "password": password });
    let answered = async |request: RequestBuilder| -> Value {
        let answer = request.send().await.expect("an answer");
        answer.json().await.expect("JSON")
    };

    let sign_up = || graphql(SIGN_UP, credentials(&right)).header("idempotency-key", &key);
    let answer = answered(sign_up()).await;
    let (access, refresh) = search.session(&answer, "signUp");
    let repeated = answered(sign_up()).await;
    search.session(&repeated, "signUp");
    let other = graphql(LOG_IN, credentials(&right)).header("idempotency-key", &key);
    search.refused("IDEMPOTENCY_KEY_REUSED", other).await;
    let again = graphql(SIGN_UP, credentials(&new));
    search.refused("EMAIL_TAKEN", again).await;

    let guess = graphql(LOG_IN, credentials(&wrong));
    search.refused("INVALID_CREDENTIALS", guess).await;
    let logged_in = answered(graphql(LOG_IN, credentials(&right)).bearer_auth(&access)).await;
    search.text("an answer to who is logged in", logged_in.to_string());
    let changing = |current: &str| {
        let variables = json!({ "current": current, "new": new });
        graphql(CHANGE, variables).bearer_auth(&access)
    };
    search
        .refused("INVALID_CREDENTIALS", changing(&wrong))
        .await;
    let weak = unique();
    search.secret("a weak password", &weak);
    let other = json!({ "email": "bob@example.com", "password": weak });
    search
        .refused("WEAK_PASSWORD", graphql(SIGN_UP, other))
        .await;
    for (what, expected, end) in [
        ("a password with NUL", "BAD_REQUEST", "\0".to_owned()),
        ("a long password", "WEAK_PASSWORD", "x".repeat(2000)),
    ] {
        let password = search.fresh(what) + &end;
        let other = json!({ "email": "bob@example.com", "password": password });
        search.refused(expected, graphql(SIGN_UP, other)).await;
    }

    let refreshing = |token: &str| graphql(REFRESH, json!({ "token": token }));
    let refreshed = answered(refreshing(&refresh)).await;
    search.session(&refreshed, "refresh");
    let changed = answered(changing(&right)).await;
    let (access, refresh) = search.session(&changed, "changePassword");
    let refreshed = answered(refreshing(&refresh)).await;
    search.session(&refreshed, "refresh");
    // Used twice: its session ends, and the log says so.
    search
        .refused("UNAUTHENTICATED", refreshing(&refresh))
        .await;
    let made_up = search.fresh("a refresh token that was made up");
    search
        .refused("UNAUTHENTICATED", refreshing(&made_up))
        .await;
    let me = graphql("{ me { id } }", json!({}));
    search
        .refused("UNAUTHENTICATED", me.bearer_auth(&access))
        .await;
    let made_up = search.fresh("an access token that was made up");
    let me = graphql("{ me { id } }", json!({}));
    search
        .refused("UNAUTHENTICATED", me.bearer_auth(&made_up))
        .await;

    // What careless clients do: secrets in the URL, in other headers, in the text of the query, in broken requests.
    let url = stack.url("gateway") + "/graphql";
    let query = format!("?query=%7BverifyToken(token:%22{access}%22)%7Bvalid%7D%7D");
    stack.text(&(url.clone() + &query)).await;
    let nothing = stack
        .client
        .get(format!("{}/nothing{query}", stack.url("gateway")));
    search.refused("NOT_FOUND", nothing).await;
    let headers = graphql("{ nothing }", json!({}))
        .header("cookie", format!("token={access}"))
        .header("referer", format!("https://example.com/?token={access}"))
        .header("user-agent", &wrong)
        .basic_auth(EMAIL, Some(&right));
    search.refused("BAD_REQUEST", headers).await;
    let typed = format!("mutation {{ logIn(email: \"{EMAIL}\", password: \"{right}\") }}");
    search
        .refused("BAD_REQUEST", graphql(&typed, json!({})))
        .await;
    let broken = format!("mutation {{ logIn(email: \"{EMAIL}\", password: \"{right}\"");
    search
        .refused("BAD_REQUEST", graphql(&broken, json!({})))
        .await;
    let listed = json!({ "email": EMAIL, "password": [right] });
    search.refused("BAD_REQUEST", graphql(LOG_IN, listed)).await;
    let bodies = [
        (
            "application/json",
            "BAD_REQUEST",
            format!("{{\"query\": \"{right}"),
        ),
        (
            "application/json",
            "BAD_REQUEST",
            format!("{{\"query\": \"{{ me }}\", \"variables\": \"{right}\"}}"),
        ),
        (
            "text/plain",
            "UNSUPPORTED_MEDIA_TYPE",
            format!("{right}&{access}"),
        ),
    ];
    for (media, expected, body) in bodies {
        let request = stack.client.post(&url).header("content-type", media);
        search.refused(expected, request.body(body)).await;
    }
}

/// A reset token and an API key, right and wrong.
async fn use_what_the_operator_gives(stack: &TestStack, search: &mut Search) {
    let token = stack.auth_core(&["user", "reset-password", EMAIL]);
    search.secret("a reset token", &token);
    let password = search.fresh("a password after a reset");
    let reset = || {
        let variables = json!({ "token": token, "password": password });
        stack.request(RESET, variables)
    };
    let answer = reset().send().await.expect("an answer");
    search.session(&answer.json().await.expect("JSON"), "resetPassword");
    search.refused("INVALID_RESET_TOKEN", reset()).await;

    let key = stack.auth_core(&["api-key", "add", "billing", "--scope", "/machines"]);
    search.secret("an API key", &key);
    let made_up = search.fresh("an API key that was made up");
    for key in [&key, &made_up] {
        let url = stack.url("gateway") + "/machines";
        let answer = stack.client.get(url).header("x-api-key", key).send().await;
        search.text(
            "an answer to an API key",
            answer.unwrap().text().await.unwrap(),
        );
    }
}

/// What the parts tell whoever asks.
async fn read_interfaces(stack: &TestStack, search: &mut Search) {
    let gateway = stack.stats_page();
    search.text("the statistics page", stack.text(&gateway).await);
    for part in NODES.iter().chain(&["node-exporter"]) {
        let metrics = stack.text(&(stack.url(part) + "/metrics")).await;
        search.text(format!("the metrics of {part}"), metrics);
    }
    let metrics = stack.text(&gateway.replace("/stats", "/metrics")).await;
    search.text("the metrics of gateway", metrics);
    let prometheus = stack.url("prometheus");
    // Scraped after the last log-in.
    let counted = "/api/v1/query?query=sum(auth_requests_total{operation=\"refresh\"})";
    eventually("Prometheus knows of refreshes", || async {
        let answer = stack.json(&(prometheus.clone() + counted)).await;
        let sum = answer["data"]["result"][0]["value"][1].as_str()?.to_owned();
        (sum.parse::<f64>().ok()? >= 4.0).then_some(())
    })
    .await;
    for path in [
        "query?query={__name__=~\".%2B\"}",
        "series?match[]={__name__=~\".%2B\"}",
        "targets",
        "rules",
        "status/config",
        "status/flags",
    ] {
        let text = stack.text(&format!("{prometheus}/api/v1/{path}")).await;
        search.text("Prometheus", text);
    }
    let alertmanager = stack.url("alertmanager");
    for path in ["alerts", "status"] {
        let text = stack.text(&format!("{alertmanager}/api/v2/{path}")).await;
        search.text("Alertmanager", text);
    }
    let zipkin = stack.url("zipkin");
    let traces = format!("{zipkin}/api/v2/traces?limit=10000");
    let traces = eventually("the traces of all are there", || async {
        let text = stack.text(&traces.replace("/zipkin/api", "/api")).await;
        ["signup", "login", "refresh", "changepassword"]
            .iter()
            .all(|name| text.contains(&format!("\"name\":\"{name}\"")))
            .then_some(text)
    })
    .await;
    search.text("the traces", traces);
    search.assert_seen("the metrics of auth1", "auth_requests_total");
    search.assert_seen("the metrics of gateway", "haproxy_");
    search.assert_seen("the metrics of node-exporter", "node_");
    search.assert_seen("Prometheus", "\"operation\":\"logIn\"");
    search.assert_seen("Prometheus", "scrape_configs");
    search.assert_seen("Alertmanager", "versionInfo");
}

/// Arguments and environments of all processes of this machine, which those of the parts are among.
async fn read_processes(stack: &TestStack, search: &mut Search) {
    let parts = stack.stack.status().await.parts;
    let mut running: BTreeSet<_> = parts.iter().filter_map(|part| part.pid).collect();
    assert_eq!(running.len(), stack.stack.parts().len());
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let read = |file: &str| fs::read(process.path().join(file));
        // It may be another's, or have ended.
        let (Ok(arguments), Ok(environment)) = (read("cmdline"), read("environ")) else {
            continue;
        };
        let arguments = String::from_utf8_lossy(&arguments);
        let name = parts.iter().find(|part| part.pid == Some(pid));
        let name = name.map_or("another process", |part| &part.name);
        if running.remove(&pid) {
            assert!(!arguments.is_empty(), "no arguments of {name}");
        }
        search.text(format!("the arguments of {name}"), arguments);
        let environment = String::from_utf8_lossy(&environment);
        search.text(format!("the environment of {name}"), environment);
    }
    assert!(running.is_empty(), "not looked at: {running:?}");
    search.assert_seen("the environment of auth1", "PATH=");
}

/// What is said when the database goes away.
async fn without_database(stack: &TestStack, search: &mut Search) {
    stack.stack.kill_part("postgres").await.unwrap();
    let password = search.fresh("a password that cannot be checked");
    for node in NODES {
        let body = json!({
            "query": LOG_IN,
            "variables": { "email": EMAIL, "password": password },
        });
        let request = stack.client.post(stack.url(node) + "/graphql").json(&body);
        search.refused("UNAVAILABLE", request).await;
    }
}
