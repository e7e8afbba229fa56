//! What it costs the gateway to check tokens: a benchmark, `./dev bench edge`.
//!
//! What is compared is HAProxy's processor time for a request. Clients, gateway, service and nodes share the machine, so that rates
//! would tell more of the others.

use std::{fs, path::PathBuf, process::Stdio};

use reqwest::Client;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use lab::TopologyName;
use serde_json::json;

use crate::{edge::*, forged_tokens::Forger, support::*};

const ROUNDS: usize = 15;
const REQUESTS: usize = 2000;
const CONNECTIONS: usize = 8;

/// Nanoseconds of processor time that a process has had.
pub fn processor_time(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .map(|thread| {
            let file = thread.unwrap().path().join("schedstat");
            let text = fs::read_to_string(file).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum()
}

/// A server to be measured, and requests for it.
struct Side {
    pid: u32,
    client: Client,
    url: String,
    microseconds: Vec<f64>,
}

impl Side {
    fn new(pid: u32, client: &Client, url: String) -> Self {
        Self {
            pid,
            client: client.clone(),
            url,
            microseconds: Vec::new(),
        }
    }

    /// Sends a request with each of the tokens, over connections that are kept alive.
    async fn round(&mut self, tokens: &[String]) {
        let before = processor_time(self.pid);
        let send = |tokens: Vec<String>| {
            let (client, url) = (self.client.clone(), self.url.clone());
            tokio::spawn(async move {
                for token in tokens {
                    let answer = client.get(&url).bearer_auth(token).send().await.unwrap();
                    assert_eq!(answer.status(), 200, "{url}");
                    answer.bytes().await.unwrap();
                }
            })
        };
        let connections: Vec<_> = tokens
            .chunks(REQUESTS / CONNECTIONS)
            .map(|tokens| send(tokens.to_vec()))
            .collect();
        for connection in connections {
            connection.await.unwrap();
        }
        let spent = processor_time(self.pid) - before;
        self.microseconds
            .push(spent as f64 / 1000.0 / tokens.len() as f64);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What is left of the machine's moods: the two sides of a figure are of the same round.
fn of_rounds(ours: &Side, theirs: &Side, figure: impl Fn(f64, f64) -> f64) -> f64 {
    let rounds = ours.microseconds.iter().zip(&theirs.microseconds);
    median(
        rounds
            .map(|(ours, theirs)| figure(*ours, *theirs))
            .collect(),
    )
}

/// Express with jsonwebtoken, as `./dev bench edge` has installed it.
async fn express(stack: &TestStack) -> (Child, u32, String) {
    let folder = PathBuf::from(std::env::var_os("AUTHSTACK_EXPRESS").expect("./dev bench edge"));
    let mut peer = Command::new("node")
        .arg(folder.join("server.js"))
        .env("PUBLIC_KEY", public_pem(stack))
        .env("ISSUER", stack.url("gateway"))
        .env("NODE_ENV", "production")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node runs");
    let mut lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().expect("its address");
    let pid = peer.id().expect("it runs");
    (peer, pid, url)
}

/// Microseconds of a verification by OpenSSL.
fn openssl_verification() -> f64 {
    let output = std::process::Command::new("openssl")
        .args(["speed", "-seconds", "2", "-mr", "ecdsap256"])
        .output()
        .expect("openssl runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("+F4:"));
    let line = line.unwrap_or_else(|| panic!("no figure of ECDSA: {text}"));
    // +F4:NUMBER:BITS:SIGNATURES A SECOND:VERIFICATIONS A SECOND
    let rate: f64 = line.rsplit(':').next().unwrap().parse().unwrap();
    1e6 / rate
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: ./dev bench edge"]
async fn checked_tokens() {
    let parts = &["auth1", "gateway", "gateway-keys", "sample1"];
    let to = |token: bool| json!({ "servers": { "sample1:8080": {} }, "requireToken": token, "limits": { "by": "address", "windows": [] } });
    let stack = start_changed(TopologyName::Single, parts, Some(CHEAP), |setup| {
        setup.gateway = Some(json!({
            "routes": { "/open": to(false), "/members": to(true) },
            "limits": { "requests": null, "hashes": null, "failedLogIns": null },
        }));
    })
    .await;
    until_keys(&stack, 1).await;
    let info = stack.admin("gateway", "show info").await;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "));
    let gateway = pid.unwrap().trim().parse().unwrap();
    let forger = Forger::new(&stack);
    let token = |id: String| {
        let claims = forger.claims("jti", id);
        forger.sign(&forger.good_header(), &claims)
    };
    let (_express, express, express_url) = express(&stack).await;

    let client = &stack.client;
    let mut open = Side::new(gateway, client, stack.url("gateway") + "/open");
    let mut seen = Side::new(gateway, client, stack.url("gateway") + "/members");
    let mut fresh = Side::new(gateway, client, stack.url("gateway") + "/members");
    let mut peer = Side::new(express, client, express_url);
    for round in 0..ROUNDS {
        let one = vec![token(format!("seen-{round}")); REQUESTS];
        let new: Vec<_> = (0..REQUESTS)
            .map(|number| token(format!("{round}-{number}")))
            .collect();
        open.round(&one).await;
        seen.round(&one).await;
        fresh.round(&new).await;
        peer.round(&new).await;
    }
    let verification = openssl_verification();
    let micro = |side: &Side| median(side.microseconds.clone());
    println!(
        "edge: processor time of a request in µs: {:.1} without a token, {:.1} with one that was seen before, {:.1} with a new one, \
         {:.1} at express; a verification by openssl {verification:.1}",
        micro(&open),
        micro(&seen),
        micro(&fresh),
        micro(&peer)
    );
    let edge_seen = of_rounds(&seen, &open, |seen, open| open / seen);
    println!("edge_seen: {edge_seen:.2} of the requests (goal 0.85)");
    let verifications = of_rounds(&fresh, &open, |fresh, open| (fresh - open) / verification);
    println!("edge_fresh: {verifications:.2} verifications by openssl (goal at most 1.5)");
    let edge_express = of_rounds(&seen, &peer, |seen, peer| peer / seen);
    println!("edge_express: {edge_express:.1} times what express verifies (goal 10)");
    for (name, value) in [
        ("edge_seen", edge_seen),
        ("edge_fresh", 1.0 / verifications),
        ("edge_express", edge_express),
    ] {
        println!("figure ratios.{name} = {value:.3}");
    }
}
