//! A stack for one test, and a client that speaks to it as a user would.

use std::{
    fs,
    future::Future,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

use lab::{
    Event, Setup, Stack, TopologyName, network::Network, programs, ready, topology::ScryptCost,
};
use loadtests::Report;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::Command,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::sleep,
};

/// A password that appears nowhere else, so that finding it anywhere is a leak.
pub const PASSWORD: &str = "correct-horse-battery-staple-7f3a";

/// Cheap hashes.
pub const CHEAP: ScryptCost = ScryptCost::CHEAP;

/// The parts that answer users, on SQLite.
pub const SERVING: &[&str] = &["auth1", "auth2", "gateway"];

/// A stack of its own for one test. Its processes end with the test.
pub struct TestStack {
    pub stack: Arc<Stack>,
    _events: UnboundedReceiver<Event>,
    pub client: reqwest::Client,
    directory: TempDir,
}

/// Starts `parts` (all when empty) of the default topology, with cheap hashes.
pub async fn start(parts: &[&str]) -> TestStack {
    start_with(TopologyName::Single, parts, Some(CHEAP)).await
}

pub async fn start_with(
    topology: TopologyName,
    parts: &[&str],
    scrypt: Option<ScryptCost>,
) -> TestStack {
    start_changed(topology, parts, scrypt, |_| ()).await
}

/// The same, with what `change` does to the setup.
pub async fn start_changed(
    topology: TopologyName,
    parts: &[&str],
    scrypt: Option<ScryptCost>,
    change: impl FnOnce(&mut Setup),
) -> TestStack {
    let directory = TempDir::with_prefix("authstack-test-").expect("a temporary directory");
    let (tell, events) = unbounded_channel();
    let mut setup = Setup {
        topology,
        directory: directory.path().to_owned(),
        network: Network::for_test().expect("a free network"),
        tls_profile: None,
        internal_tls: false,
        gateway: None,
        scrypt,
        parts: (!parts.is_empty()).then(|| parts.iter().map(|part| (*part).to_owned()).collect()),
    };
    change(&mut setup);
    let stack = Stack::prepare(setup, tell)
        .await
        .expect("the stack can be prepared");
    // `up` does without some parts; a test that did would prove nothing.
    let left_out: Vec<_> = stack.left_out().iter().map(|part| part.reason()).collect();
    assert_eq!(left_out, Vec::<String>::new());
    stack.start().await.expect("the stack starts");
    let client = ready::client(stack.ca()).expect("the CA can be read");
    TestStack {
        stack: Arc::new(stack),
        _events: events,
        client,
        directory,
    }
}

impl TestStack {
    pub fn url(&self, part: &str) -> String {
        self.stack
            .part(part)
            .expect("the part is there")
            .url
            .clone()
    }

    /// How many of these a client, or a node, has by default: `what` is a place in nixos-modules/render/defaults.nix.
    pub fn default_of(&self, what: &str) -> usize {
        let number = self.stack.defaults().pointer(what).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("{what} is no number")) as usize
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command of the operator's on the database of the nodes, and answers what it prints.
    pub fn auth_core(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new(programs::built("auth-core").unwrap())
            .args(arguments)
            .arg("--config")
            .arg(self.directory().join("parts/auth1/auth-core.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Sends a GraphQL request to the gateway and answers the HTTP status, the headers and the body.
    pub async fn send(
        &self,
        query: &str,
        variables: Value,
        token: Option<&str>,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        self.try_send(query, variables, token)
            .await
            .expect("the gateway answers")
    }

    /// The same, for when the gateway may break off.
    pub async fn try_send(
        &self,
        query: &str,
        variables: Value,
        token: Option<&str>,
    ) -> reqwest::Result<(u16, reqwest::header::HeaderMap, Value)> {
        let mut request = self.request(query, variables);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok((status, headers, answer.json().await?))
    }

    /// A GraphQL request to the gateway, not sent yet.
    pub fn request(&self, query: &str, variables: Value) -> reqwest::RequestBuilder {
        self.client
            .post(self.url("gateway") + "/graphql")
            .json(&json!({ "query": query, "variables": variables }))
    }

    /// The body of the answer to a GraphQL request.
    pub async fn ask(&self, query: &str, variables: Value, token: Option<&str>) -> Value {
        self.send(query, variables, token).await.2
    }

    pub async fn sign_up(&self, email: &str) -> Value {
        self.try_sign_up(email).await.expect("the gateway answers")
    }

    /// The same, for when the gateway may break off.
    pub async fn try_sign_up(&self, email: &str) -> reqwest::Result<Value> {
        self.sign_up_request(email).send().await?.json().await
    }

    /// The same, not sent yet.
    pub fn sign_up_request(&self, email: &str) -> reqwest::RequestBuilder {
        self.request(
            "mutation($email: String!, $password: String!) {
                signUp(email: $email, password: $password) { accessToken account { id email role } } }",
            json!({ "email": email, "password": PASSWORD }),
        )
    }

    pub async fn log_in(&self, email: &str, password: &str, token: Option<&str>) -> Value {
        self.ask(
            "mutation($email: String!, $password: String!) {
                logIn(email: $email, password: $password) { message accessToken account { email } } }",
            json!({ "email": email, "password": password }),
            token,
        )
        .await
    }

    /// The state of a node as HAProxy sees it, such as `UP` or `DOWN`.
    pub async fn node_state(&self, node: &str) -> String {
        let state = self.node_statistic(node, 17).await;
        state
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// How many requests HAProxy has given to the node.
    pub async fn served(&self, node: &str) -> usize {
        self.node_statistic(node, 7)
            .await
            .parse()
            .expect("a number")
    }

    /// How many of these it has no answer to yet.
    pub async fn under_way(&self, node: &str) -> usize {
        self.node_statistic(node, 4)
            .await
            .parse()
            .expect("a number")
    }

    /// How many of those that it was given were tried again, there or at another.
    pub async fn retried(&self, node: &str) -> usize {
        let mut retried = 0;
        for column in [15, 16] {
            let count = self.node_statistic(node, column).await;
            retried += count.parse::<usize>().expect("a number");
        }
        retried
    }

    /// A column of the node's line in HAProxy's statistics (its Management Guide, 9.1).
    async fn node_statistic(&self, node: &str, column: usize) -> String {
        let stats = self.text(&(self.stats_page() + ";csv")).await;
        let line = stats
            .lines()
            .find(|line| line.starts_with(&format!("auth-core,{node},")))
            .expect("a line of the node");
        line.split(',').nth(column).expect("the column").to_owned()
    }

    /// What HAProxy's admin socket answers.
    pub async fn admin(&self, gateway: &str, command: &str) -> String {
        let answer = lab::haproxy::admin(&self.stack.admin_socket(gateway), command).await;
        answer.expect("the gateway answers")
    }

    pub fn stats_page(&self) -> String {
        self.stack.part("gateway").expect("a gateway").pages["statistics"].clone()
    }

    pub async fn text(&self, url: &str) -> String {
        let answer = self.client.get(url).send().await.expect("an answer");
        answer.text().await.expect("a text")
    }

    pub async fn json(&self, url: &str) -> Value {
        let text = self.text(url).await;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{url} answers no JSON ({error}): {text}"))
    }

    /// The `number`th address of the stack's network that belongs to clients: limits count by address.
    pub fn client_address(&self, number: u8) -> IpAddr {
        let IpAddr::V4(gateway) = self.gateway_address().ip() else {
            panic!("the lab's gateway has an IPv4 address")
        };
        let [a, b, c, _] = gateway.octets();
        IpAddr::from([a, b, c, 128 + number])
    }

    /// Where the gateway listens.
    pub fn gateway_address(&self) -> SocketAddr {
        let url = self.url("gateway");
        let address = url.strip_prefix("https://").expect("an HTTPS address");
        address.parse().expect("an address and a port")
    }

    /// From here on the client has the `number`th of these addresses.
    pub fn move_client_to(&mut self, number: u8) {
        self.client = self.client_at(number);
    }

    /// Another client, with the `number`th of these addresses.
    pub fn client_at(&self, number: u8) -> reqwest::Client {
        let ca = fs::read(self.stack.ca()).expect("the CA can be read");
        reqwest::Client::builder()
            .no_proxy()
            .local_address(self.client_address(number))
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).expect("a certificate")])
            .build()
            .expect("a client")
    }

    /// Puts the scenario `session` on the gateway by the real `authload`, each iteration of a user from another address.
    pub async fn load(&self, users: u32, rate: u32, seconds: u32) -> Load {
        let [users, rate, seconds] = [users, rate, seconds].map(|number| number.to_string());
        let pace = ["--users", &users, "--throttle-requests", &rate];
        self.authload("session", &[&pace[..], &["--run-time", &seconds]].concat())
            .await
    }

    /// Runs the real `authload` against the gateway, from the addresses of clients.
    pub async fn authload(&self, scenario: &str, arguments: &[&str]) -> Load {
        let report = self.directory().join("report.json");
        // That of the run before is none of this one.
        let _ = fs::remove_file(&report);
        let output = Command::new(programs::built("authload").expect("authload is built"))
            .args(["run", scenario, "--url", &self.url("gateway"), "--ca"])
            .arg(self.stack.ca())
            .args(["--from", &self.stack.client_addresses()])
            .args(arguments)
            .arg("--report")
            .arg(&report)
            .kill_on_drop(true)
            .output()
            .await
            .expect("authload runs");
        let text = fs::read_to_string(&report)
            .unwrap_or_else(|error| panic!("no report ({error}): {output:?}"));
        Load {
            report: serde_json::from_str(&text).expect("authload's own report"),
            output,
        }
    }

    /// Every file that the stack wrote as a log, with its text.
    pub fn logs(&self) -> Vec<(PathBuf, String)> {
        fs::read_dir(self.directory().join("logs"))
            .expect("there are logs")
            .flatten()
            .map(|file| {
                (
                    file.path(),
                    String::from_utf8_lossy(&fs::read(file.path()).expect("a log")).into_owned(),
                )
            })
            .collect()
    }
}

/// What a run of `authload` gave.
pub struct Load {
    pub report: Report,
    pub output: Output,
}

impl Load {
    #[track_caller]
    pub fn assert_no_failure(&self) {
        assert!(
            self.output.status.success(),
            "{}{}",
            self.text(),
            String::from_utf8_lossy(&self.output.stderr)
        );
    }

    /// What it printed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }
}

/// Waits until `check` answers something, and fails with `what` when it has not within half a minute.
#[track_caller]
pub fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    check: impl Fn() -> F,
) -> impl Future<Output = T> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let begin = Instant::now();
    async move {
        loop {
            if let Some(value) = check().await {
                return value;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {what}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The stable code of the first error of a GraphQL answer.
pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}
