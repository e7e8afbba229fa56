//! `tour`: walks a newcomer through a sign-up, failed log-ins, a killed node and a canary on the stack that runs, and says at each
//! step where to look. What it changed is put back at its end, however it ends.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lab::{
    control::{self, Answer, Request, Status},
    haproxy,
};
use reqwest::{Certificate, Client, Response, Url};
use serde_json::{Value, json};
use tokio::{signal::ctrl_c, sync::oneshot, task::JoinSet, time::sleep};

use crate::commands::running;

const VICTIM: &str = "auth1";
const VERSIONS: [&str; 2] = ["sample1", "sample2"];
const PASSWORD: &str = "seven quiet otters paint";
/// A wave that the gateway has not stopped by then is not going to be stopped.
const LONGEST_WAVE: usize = 60;
/// How long the gateway may take to see that a node has gone or is back.
const PATIENCE: Duration = Duration::from_secs(20);

/// Walks from step to step; without `yes`, each waits for ENTER.
pub async fn walk(state: &Path, yes: bool) -> Result<()> {
    let Ok(status) = running(state).await else {
        bail!(
            "the tour goes through a stack that runs: `./dev up --topology cluster` in another terminal starts one"
        );
    };
    let tour = Tour::new(state, status, yes)?;
    println!(
        "The tour of the stack that runs here. Have this page open beside it: {}",
        tour.status.page
    );
    let walked = tokio::select! {
        walked = tour.steps() => walked,
        _ = ctrl_c() => Ok(()),
    };
    println!("\nThe end of the tour");
    let put_back = tour.put_back().await;
    walked?;
    put_back?;
    println!(
        "\nNow break it yourself: by the buttons of the page, or `./dev kill`, `pause` and `weight`.\n\
         docs/how-to/watch-it-break.md says which fault shows where."
    );
    Ok(())
}

struct Tour {
    state: PathBuf,
    status: Status,
    yes: bool,
    gateway: String,
    ca: Certificate,
    /// The first of the addresses from which the tour asks: limits count by address.
    address: Ipv4Addr,
    killed: Cell<bool>,
    /// What the versions had before.
    weights: RefCell<Vec<(&'static str, u16)>>,
}

impl Tour {
    fn new(state: &Path, status: Status, yes: bool) -> Result<Self> {
        let ca = Certificate::from_pem(&fs::read(&status.ca)?)?;
        let gateway = status.parts.iter().find(|part| part.name == "gateway");
        let gateway = gateway.context("there is no gateway")?.url.clone();
        let host = Url::parse(&gateway)?
            .host_str()
            .unwrap_or_default()
            .to_owned();
        let [a, b, c, _] = host.parse::<Ipv4Addr>()?.octets();
        // Not those of a tour that was just walked, which may have used up what is theirs.
        let last = 128 + (std::process::id() % 100) as u8;
        Ok(Self {
            state: state.to_owned(),
            yes,
            gateway,
            ca,
            address: Ipv4Addr::new(a, b, c, last),
            killed: Cell::default(),
            weights: RefCell::default(),
            status,
        })
    }

    async fn steps(&self) -> Result<()> {
        let email = self.sign_up().await?;
        if !self.go_on().await {
            return Ok(());
        }
        self.failed_log_ins(&email).await?;
        if !self.go_on().await {
            return Ok(());
        }
        self.killed_node().await?;
        if !self.go_on().await {
            return Ok(());
        }
        self.canary().await?;
        self.go_on().await;
        Ok(())
    }

    async fn sign_up(&self) -> Result<String> {
        title(1, "A sign-up");
        let email = format!("tour-{}@example.com", std::process::id());
        println!(
            "  Somebody signs up as {email}, at {}/graphql.",
            self.gateway
        );
        let begin = Instant::now();
        let answer = mutation(&self.client(0)?, &self.gateway, "signUp", &email, PASSWORD).await?;
        let (node, trace) = (
            header(&answer, "x-served-by"),
            header(&answer, "x-trace-id"),
        );
        let took = begin.elapsed().as_millis();
        let answer: Value = answer.json().await?;
        ensure!(
            !answer["data"]["signUp"].is_null(),
            "the sign-up failed: {answer}"
        );
        println!(
            "  {node} answers after {took} ms with an account and its tokens. Most of the time went into the hash of the password."
        );
        self.look(&[
            (
                "on the page",
                &self.status.page,
                "the request comes in, goes to a node, and is the first of the list",
            ),
            (
                "in Zipkin",
                &self.zipkin(&trace),
                "its trace: the gateway, the core, the hash, the database",
            ),
        ]);
        Ok(email)
    }

    async fn failed_log_ins(&self, email: &str) -> Result<()> {
        title(2, "A wave of failed log-ins");
        println!(
            "  Somebody else tries one password on many accounts, from one address, four at a time."
        );
        let attacker = self.client(1)?;
        let mut wrong = 0;
        let stopped = loop {
            let mut guesses = JoinSet::new();
            for number in 0..4 {
                let (attacker, gateway) = (attacker.clone(), self.gateway.clone());
                let account = format!("victim-{}@example.com", wrong + number);
                guesses.spawn(async move {
                    mutation(&attacker, &gateway, "logIn", &account, "hunter22 hunter22").await
                });
            }
            let mut refused = 0;
            for answer in guesses.join_all().await {
                if answer?.status() == 429 {
                    refused += 1
                } else {
                    wrong += 1
                }
            }
            if refused > 0 || wrong > LONGEST_WAVE {
                break refused > 0;
            }
        };
        ensure!(stopped, "{wrong} wrong passwords were let through");
        println!(
            "  After {wrong} wrong passwords the gateway answers 429 in the place of a node: no more hashes for that address."
        );
        let there = mutation(&attacker, &self.gateway, "logIn", email, PASSWORD).await?;
        let here = mutation(&self.client(0)?, &self.gateway, "logIn", email, PASSWORD).await?;
        println!(
            "  The right password gets {} from there, and {} from the address of who signed up.",
            there.status().as_u16(),
            here.status().as_u16()
        );
        self.look(&[
            ("on the page", &self.status.page, "squares turn back at the gateway, and the table counts them in the row of the gateway"),
            (
                "in Prometheus",
                &self.prometheus(r#"sum by (outcome) (rate(auth_requests_total{operation="logIn"}[1m]))"#),
                "log-ins by outcome; the alert BruteForceWave fires when this goes on for minutes",
            ),
        ]);
        Ok(())
    }

    async fn killed_node(&self) -> Result<()> {
        title(3, "A killed node");
        println!(
            "  Forty requests; after the tenth, {VICTIM} is killed, as `./dev kill {VICTIM}` does."
        );
        let client = self.client(0)?;
        let mut by_node = BTreeMap::<String, usize>::new();
        for number in 0..40 {
            if number == 10 {
                self.killed.set(true);
                self.ask(Request::Kill(VICTIM.into())).await?;
            }
            let url = format!("{}/graphql?query=%7B__typename%7D", self.gateway);
            let answer = client.get(url).send().await?;
            ensure!(
                answer.status().is_success(),
                "a request failed with {}",
                answer.status()
            );
            *by_node.entry(header(&answer, "x-served-by")).or_default() += 1;
        }
        let by_node: Vec<_> = by_node
            .iter()
            .map(|(node, count)| format!("{node} {count}"))
            .collect();
        println!("  All forty were answered: {}.", by_node.join(", "));
        self.until_seen("DOWN").await?;
        println!("  The gateway's health checks see it, and send it nothing more.");
        self.look(&[
            (
                "on the page",
                &self.status.page,
                "auth1 does not run, and is DOWN for the gateway",
            ),
            (
                "in Prometheus",
                &self.prometheus(r#"haproxy_server_status{proxy="auth-core",state="UP"}"#),
                "one line has gone to 0; the alert NodeOutOfRotation fires after 20 s",
            ),
        ]);
        self.go_on().await;
        self.revive().await?;
        println!("  {VICTIM} is started again, and gets its share of the requests as before.");
        Ok(())
    }

    async fn canary(&self) -> Result<()> {
        title(4, "A canary");
        let known = haproxy::servers(&self.admin_socket()).await?;
        for part in VERSIONS {
            let server = known.iter().find(|server| server.part == part);
            let weight = server
                .with_context(|| format!("no gateway sends requests to {part}"))?
                .weight;
            self.weights.borrow_mut().push((part, weight));
        }
        let [(_, first), (_, second)] = self.weights.borrow()[..] else {
            bail!("there are two versions")
        };
        println!(
            "  /sample is a service in two versions: v1 with the weight {first}, and a new v2 with {second}."
        );
        println!("  Of forty requests, {}.", self.versions().await?);
        println!(
            "  It does well, so it gets as much as v1: `./dev weight sample1 50`, `./dev weight sample2 50`."
        );
        for part in VERSIONS {
            self.ask(Request::Weight(part.into(), 50)).await?;
        }
        println!("  Of forty requests, {}.", self.versions().await?);
        let statistics = self
            .gateway
            .replace("https", "http")
            .replace(":8443", ":8404/stats");
        self.look(&[
            (
                "on the page",
                &self.status.page,
                "the weights of sample1 and sample2, and their requests in the table",
            ),
            (
                "at HAProxy",
                &statistics,
                "the same in its own statistics, under :sample",
            ),
        ]);
        Ok(())
    }

    /// Which versions answer forty requests.
    async fn versions(&self) -> Result<String> {
        let client = self.client(2)?;
        let mut by_version = BTreeMap::from([("v1".to_owned(), 0), ("v2".to_owned(), 0)]);
        for _ in 0..40 {
            let answer: Value = client
                .get(format!("{}/sample", self.gateway))
                .send()
                .await?
                .json()
                .await?;
            let version = answer["version"]
                .as_str()
                .context("the sample service says its version")?;
            *by_version.entry(version.to_owned()).or_default() += 1;
        }
        let said: Vec<_> = by_version
            .iter()
            .map(|(version, count)| format!("{version} answers {count}"))
            .collect();
        Ok(said.join(", "))
    }

    /// Starts what was killed, and gives the versions the weights that they had.
    async fn put_back(&self) -> Result<()> {
        self.revive().await?;
        for (part, weight) in self.weights.take() {
            self.ask(Request::Weight(part.into(), weight)).await?;
        }
        println!(
            "  What the tour changed is as it was before: auth1 runs, and sample1 and sample2 have their weights."
        );
        Ok(())
    }

    async fn revive(&self) -> Result<()> {
        if self.killed.replace(false) {
            self.ask(Request::Start(VICTIM.into())).await?;
            self.until_seen("UP").await?;
        }
        Ok(())
    }

    async fn ask(&self, request: Request) -> Result<()> {
        match control::ask(&self.state, &request).await? {
            Some(Answer::Done(_)) => Ok(()),
            Some(Answer::Refused(reason)) => bail!(reason),
            _ => bail!("the stack has ended"),
        }
    }

    /// Waits until the gateway sees the node in this state.
    async fn until_seen(&self, status: &str) -> Result<()> {
        let begin = Instant::now();
        loop {
            let servers = haproxy::servers(&self.admin_socket()).await?;
            if servers
                .iter()
                .any(|server| server.part == VICTIM && server.status == status)
            {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "the gateway does not see {VICTIM} {status}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn admin_socket(&self) -> PathBuf {
        self.state.join("parts/gateway/admin.sock")
    }

    /// A client with an address of its own.
    fn client(&self, number: u8) -> Result<Client> {
        let [a, b, c, last] = self.address.octets();
        Ok(Client::builder()
            .no_proxy()
            .tls_certs_only([self.ca.clone()])
            .local_address(IpAddr::from([a, b, c, last + number]))
            .build()?)
    }

    /// Whether to go on, which ENTER says.
    async fn go_on(&self) -> bool {
        if self.yes {
            return true;
        }
        println!("\n  ENTER goes on, Ctrl-C ends the tour.");
        let (tell, pressed) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = tell.send(io::stdin().read_line(&mut String::new()));
        });
        // Nothing was read where there is no keyboard.
        matches!(pressed.await, Ok(Ok(read)) if read > 0)
    }

    /// Says where to look; what is left out of the stack has no address.
    fn look(&self, places: &[(&str, &str, &str)]) {
        println!("\n  Look");
        for (place, address, what) in places.iter().filter(|place| !place.1.is_empty()) {
            println!("    {place}: {what}\n      {address}");
        }
    }

    fn url(&self, part: &str) -> Option<&str> {
        let part = self.status.parts.iter().find(|known| known.name == part)?;
        Some(&part.url)
    }

    fn zipkin(&self, trace: &str) -> String {
        self.url("zipkin")
            .map_or_else(String::new, |zipkin| format!("{zipkin}/traces/{trace}"))
    }

    fn prometheus(&self, query: &str) -> String {
        let page = self
            .url("prometheus")
            .map(|prometheus| format!("{prometheus}/graph"));
        let with = [
            ("g0.expr", query),
            ("g0.tab", "0"),
            ("g0.range_input", "5m"),
        ];
        page.and_then(|page| Url::parse_with_params(&page, with).ok())
            .map_or_else(String::new, String::from)
    }
}

fn title(number: u8, what: &str) {
    println!("\n{number}. {what}\n");
}

/// Signs up or logs in.
async fn mutation(
    client: &Client,
    gateway: &str,
    which: &str,
    email: &str,
    password: &str,
) -> Result<Response> {
    let query = format!(
        "mutation($email: String!, $password: String!) {{ {which}(email: $email, password: $password) {{ accessToken }} }}"
    );
    let body = json!({ "query": query, "variables": { "email": email, "password": password } });
    Ok(client
        .post(format!("{gateway}/graphql"))
        .json(&body)
        .send()
        .await?)
}

fn header(answer: &Response, name: &str) -> String {
    let value = answer
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
