//! How cost grows with accounts, connections, nodes and routes: a benchmark, `./dev bench growth`, which writes `docs/benchmarks/growth.md`.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use lab::TopologyName;
use serde_json::json;
use tokio::process::Command;

use crate::{edge_cost::processor_time, peers_cost::machine, raw, support::*};

const EMAIL: &str = "ann@example.com";
/// Requests of a figure.
const ASKED: usize = 300;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: ./dev bench growth"]
async fn with_size() {
    let page = include_str!("growth_cost.md")
        .replace("MACHINE", &machine())
        .replace("ACCOUNTS\n", &accounts().await)
        .replace("CONNECTIONS\n", &connections().await)
        .replace("NODES\n", &nodes().await)
        .replace("ROUTES\n", &routes().await);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks/growth.md");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, page).unwrap();
    println!("growth: the tables are in docs/benchmarks/growth.md");
}

/// With more accounts in the SQLite file: the time of a log-in and of `me`, each of another account.
async fn accounts() -> String {
    let stack = start_changed(
        TopologyName::Single,
        &["auth1", "gateway"],
        Some(CHEAP),
        unlimited,
    )
    .await;
    stack.sign_up(EMAIL).await;
    let database = stack.directory().join("data/auth.db");
    let largest: u64 = std::env::var("AUTHSTACK_ACCOUNTS")
        .map_or(1_000_000, |text| text.parse().expect("a number"));
    let mut rows = String::new();
    for count in (3..)
        .map(|power| 10u64.pow(power))
        .take_while(|count| *count <= largest)
    {
        eprintln!("{count} accounts");
        stack.stack.stop_part("auth1").await.unwrap();
        let filled = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/growth-accounts.py"))
            .arg(&database)
            .args([&count.to_string(), EMAIL])
            .output()
            .await
            .expect("python3 runs");
        assert!(filled.status.success(), "{filled:?}");
        let said = String::from_utf8(filled.stdout).unwrap();
        let (bytes, index) = said.trim().split_once(' ').expect("two figures");
        let begin = Instant::now();
        stack.stack.start_part("auth1").await.unwrap();
        let ready = begin.elapsed();
        let (mut log_ins, mut questions) = (Vec::new(), Vec::new());
        for number in 0..ASKED as u64 {
            // Anywhere among them: nobody has asked for them before.
            let email = format!("user{}@example.org", number * 7919 % count);
            let begin = Instant::now();
            let answer = direct(&stack, "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { accessToken } }",
                json!({ "email": email, "password": PASSWORD }), None).await;
            log_ins.push(begin.elapsed());
            let token = answer["data"]["logIn"]["accessToken"]
                .as_str()
                .unwrap_or_else(|| panic!("{answer}"));
            let begin = Instant::now();
            let answer = direct(&stack, "{ me { email } }", json!({}), Some(token)).await;
            questions.push(begin.elapsed());
            assert_eq!(answer["data"]["me"]["email"], *email);
        }
        rows += &format!(
            "| 10^{} | {:.0} MiB | {} ms | {} | {} | {index} s |\n",
            count.ilog10(),
            bytes.parse::<f64>().unwrap() / f64::from(1 << 20),
            ready.as_millis(),
            times(log_ins),
            times(questions),
        );
    }
    rows
}

/// With more connections that are open and idle: the memory of the gateway.
async fn connections() -> String {
    const PER_ADDRESS: usize = 100;
    let stack = start_changed(TopologyName::Single, SERVING, Some(CHEAP), |setup| {
        unlimited(setup);
        setup.gateway.as_mut().expect("settings")["connections"] = json!({
            "clients": 9_200, "perAddress": PER_ADDRESS, "requestsPerAddress": 64, "redirected": 100, "inside": 100,
            "perNode": 250, "idlePerNode": 50, "queueSeconds": 5,
        });
    })
    .await;
    let gateway = haproxy_pid(&stack).await;
    let mut open = Vec::new();
    let empty = resident_kib(gateway);
    let mut rows = String::new();
    // HAProxy wants two files for each connection that it may have, and a process often has no more than 20,000.
    for count in [10, 100, 1_000, 9_000] {
        eprintln!("{count} connections");
        while open.len() < count {
            let client = (open.len() / PER_ADDRESS) as u8;
            open.push(
                raw::connect_tls(&stack, client)
                    .await
                    .expect("a connection"),
            );
        }
        let mut asked = Vec::new();
        for _ in 0..ASKED {
            let begin = Instant::now();
            let (status, ..) = stack.send("{ __typename }", json!({}), None).await;
            assert_eq!(status, 200);
            asked.push(begin.elapsed());
        }
        let more = resident_kib(gateway) - empty;
        rows += &format!(
            "| {count} | {:.1} | {} |\n",
            more as f64 / count as f64,
            times(asked)
        );
    }
    rows
}

/// With more nodes on the same cores: what the gateway spends on a request.
async fn nodes() -> String {
    let mut rows = String::new();
    for count in 1..=3 {
        eprintln!("{count} nodes");
        let names = ["auth1", "auth2", "auth3"];
        let parts = [&["postgres", "gateway"][..], &names[..count]].concat();
        let stack = start_changed(TopologyName::Cluster, &parts, Some(CHEAP), unlimited).await;
        let gateway = haproxy_pid(&stack).await;
        let before = processor_time(gateway);
        let mut asked = Vec::new();
        for _ in 0..ASKED * 5 {
            let begin = Instant::now();
            stack.send("{ __typename }", json!({}), None).await;
            asked.push(begin.elapsed());
        }
        let spent = (processor_time(gateway) - before) as f64 / 1000.0 / asked.len() as f64;
        rows += &format!("| {count} | {spent:.0} | {} |\n", times(asked));
    }
    rows
}

/// With more routes, each with a limit of its own: what the gateway spends on a request to the last one, and takes of memory.
async fn routes() -> String {
    let mut rows = String::new();
    for count in [1, 10, 100, 1_000] {
        eprintln!("{count} routes");
        let route = json!({ "servers": { "sample1:8080": {} }, "limits": { "by": "address", "windows": [{ "count": 1_000_000, "seconds": 60 }] } });
        let all: serde_json::Map<_, _> = (1..=count)
            .map(|number| (format!("/route{number}"), route.clone()))
            .collect();
        let begin = Instant::now();
        let stack = start_changed(TopologyName::Single, &["auth1", "gateway", "sample1"], Some(CHEAP), |setup| {
            setup.gateway = Some(json!({ "routes": all, "limits": { "requests": null, "hashes": null, "failedLogIns": null } }));
        })
        .await;
        let started = begin.elapsed();
        let gateway = haproxy_pid(&stack).await;
        let url = format!("{}/route{count}", stack.url("gateway"));
        let before = processor_time(gateway);
        for _ in 0..ASKED * 5 {
            assert_eq!(stack.client.get(&url).send().await.unwrap().status(), 200);
        }
        let spent = (processor_time(gateway) - before) as f64 / 1000.0 / (ASKED * 5) as f64;
        rows += &format!(
            "| {count} | {spent:.0} | {:.0} | {:.1} s |\n",
            resident_kib(gateway) as f64 / 1024.0,
            started.as_secs_f64()
        );
    }
    rows
}

fn unlimited(setup: &mut lab::Setup) {
    setup.gateway =
        Some(json!({ "limits": { "requests": null, "hashes": null, "failedLogIns": null } }));
}

/// Asks the node itself, so that nothing but the node is measured.
async fn direct(
    stack: &TestStack,
    query: &str,
    variables: serde_json::Value,
    token: Option<&str>,
) -> serde_json::Value {
    let url = stack.url("auth1") + "/graphql";
    let mut request = stack
        .client
        .post(url)
        .json(&json!({ "query": query, "variables": variables }));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().json().await.unwrap()
}

/// The process that serves, which its master has started.
async fn haproxy_pid(stack: &TestStack) -> u32 {
    let info = stack.admin("gateway", "show info").await;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "));
    pid.unwrap().trim().parse().unwrap()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// The median, and what 99 of 100 stay below.
fn times(mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |share: usize| all[(all.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    format!("{:.1} / {:.1} ms", at(50), at(99))
}
