//! The state of the stack as the page shows it: gathered when somebody looks, once for all who look at the same time.

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use reqwest::Client;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::Mutex, task::JoinSet, time::timeout};

use super::{
    load::{Load, Shown},
    requests::{Recent, Requests, Seen, WINDOW},
};
use crate::{
    control::PartStatus,
    haproxy::{self, Server},
    stack::Stack,
    topology::Part,
};

/// How old a state may be that is shown.
pub(super) const FRESH: Duration = Duration::from_millis(500);
/// What has not answered after this long shows as silent.
const PATIENCE: Duration = Duration::from_millis(500);
/// How many of the last requests, and how many alerts, the page gets at a time.
const REQUESTS: usize = 40;
const ALERTS: usize = 50;

/// Looks at a stack.
#[derive(Debug)]
pub(super) struct Observer {
    pub stack: Arc<Stack>,
    pub load: Load,
    client: Client,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    requests: Requests,
    state: Option<(Instant, Arc<str>)>,
}

#[derive(Serialize)]
struct State {
    /// Over how many seconds `recent` counts.
    window: u64,
    parts: Vec<PartState>,
    left_out: Vec<String>,
    gateways: Vec<Gateway>,
    recent: Vec<Recent>,
    requests: Vec<Seen>,
    /// `null`: Prometheus does not say.
    alerts: Option<Vec<Alert>>,
    load: Shown,
}

#[derive(Serialize)]
struct PartState {
    name: String,
    role: &'static str,
    state: &'static str,
    pid: Option<i32>,
    /// What a member of the database says that it is.
    says: Option<&'static str>,
    /// Pages to look at, by their titles.
    links: Vec<(String, String)>,
}

/// What a gateway says of the servers that it sends requests to; `null`: it says nothing.
#[derive(Serialize)]
struct Gateway {
    name: String,
    servers: Option<Vec<Server>>,
}

#[derive(Serialize)]
struct Alert {
    name: String,
    severity: String,
    /// All of them, which tell it from every other.
    labels: String,
    summary: String,
    /// `pending` or `firing`.
    state: String,
}

impl Observer {
    pub fn new(stack: Arc<Stack>) -> Result<Self> {
        let logs = gateways(&stack).map(|part| (part.name.clone(), stack.log(&part.name)));
        let requests = Requests::new(logs);
        Ok(Self {
            client: Client::builder().no_proxy().timeout(PATIENCE).build()?,
            stack,
            load: Load::default(),
            last: Mutex::new(Last {
                requests,
                state: None,
            }),
        })
    }

    /// The state now, as JSON.
    pub async fn look(&self) -> Arc<str> {
        let mut last = self.last.lock().await;
        if let Some((when, state)) = &last.state
            && when.elapsed() < FRESH
        {
            return state.clone();
        }
        let (status, gateways, members, alerts) = tokio::join!(
            self.stack.status(),
            self.gateways(),
            self.members(),
            self.alerts()
        );
        last.requests.update();
        let state = State {
            window: WINDOW.as_secs(),
            parts: status
                .parts
                .into_iter()
                .map(|part| self.part(part, &members))
                .collect(),
            left_out: status.left_out.into_iter().map(|part| part.name).collect(),
            gateways,
            recent: last.requests.by_node(),
            requests: last.requests.last(REQUESTS),
            alerts,
            load: self.load.shown(),
        };
        let state: Arc<str> = serde_json::to_string(&state).unwrap_or_default().into();
        last.state = Some((Instant::now(), state.clone()));
        state
    }

    fn part(&self, status: PartStatus, members: &BTreeMap<String, &'static str>) -> PartState {
        let part = self.stack.part(&status.name).ok();
        let role = part.map_or("", role);
        let mut links: Vec<_> = part
            .into_iter()
            .flat_map(|part| part.pages.clone())
            .collect();
        if role == "monitor" {
            links.push((status.kind, status.url));
        }
        PartState {
            role,
            state: match status.pid {
                None => "not running",
                Some(pid) if is_paused(pid) => "paused",
                Some(_) if status.ready => "ready",
                Some(_) => "not ready",
            },
            says: members.get(&status.name).copied(),
            name: status.name,
            pid: status.pid,
            links,
        }
    }

    async fn gateways(&self) -> Vec<Gateway> {
        let mut all = Vec::new();
        for part in gateways(&self.stack) {
            let socket = self.stack.admin_socket(&part.name);
            let servers = timeout(PATIENCE, haproxy::servers(&socket)).await;
            all.push(Gateway {
                name: part.name.clone(),
                servers: servers.ok().and_then(Result::ok),
            });
        }
        all
    }

    /// By Patroni's own API, of each that answers.
    async fn members(&self) -> BTreeMap<String, &'static str> {
        let mut asked = JoinSet::new();
        for part in self.stack.parts() {
            if part.kind == "patroni" {
                let request = self.client.get(format!("{}/patroni", part.url)).send();
                let name = part.name.clone();
                asked.spawn(async move {
                    let answer: Value = request.await.ok()?.json().await.ok()?;
                    Some((name, words(&answer)))
                });
            }
        }
        asked.join_all().await.into_iter().flatten().collect()
    }

    /// What Prometheus finds wrong.
    async fn alerts(&self) -> Option<Vec<Alert>> {
        let prometheus = &self.stack.part("prometheus").ok()?.url;
        let answer = self
            .client
            .get(format!("{prometheus}/api/v1/alerts"))
            .send()
            .await
            .ok()?;
        let answer: Value = answer.json().await.ok()?;
        let alerts = answer["data"]["alerts"].as_array()?.iter().take(ALERTS);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(
            alerts
                .map(|alert| Alert {
                    name: text(&alert["labels"]["alertname"]),
                    severity: text(&alert["labels"]["severity"]),
                    labels: alert["labels"].to_string(),
                    summary: text(&alert["annotations"]["summary"]),
                    state: text(&alert["state"]),
                })
                .collect(),
        )
    }
}

fn gateways(stack: &Stack) -> impl Iterator<Item = &Part> {
    stack.parts().iter().filter(|part| role(part) == "gateway")
}

/// Where it stands in the picture.
fn role(part: &Part) -> &'static str {
    match part.kind.as_str() {
        "haproxy" => "gateway",
        "postgres" | "tcp-proxy" => "database",
        "patroni" => "member",
        "etcd" => "etcd",
        "sample-service" => "service",
        "probe" => "helper",
        "auth-core" if part.listens.is_empty() => "helper",
        "auth-core" => "node",
        _ => "monitor",
    }
}

/// Of a member of the database. `master` is Patroni 3's word.
fn words(status: &Value) -> &'static str {
    match (status["state"].as_str(), status["role"].as_str()) {
        (Some("running" | "streaming"), Some("master" | "primary")) => "primary",
        (Some("running" | "streaming"), _) if status["sync_standby"] == true => "synchronous copy",
        (Some("running" | "streaming"), _) => "copy",
        _ => "PostgreSQL is not running",
    }
}

/// Whether a process is stopped (`proc_pid_stat(5)`).
fn is_paused(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; the state follows it.
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('T'))
}
