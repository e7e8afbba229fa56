//! auth-core beside services that others would write: a benchmark, `./dev bench peers`, which writes `docs/benchmarks/peers.md`.
//!
//! Each peer works on a copy of the core's own database and keys, and is asked the same with the same token. The load comes from wrk, and the
//! sides take turns within each round, so that what else the machine does falls on all.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use lab::TopologyName;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{edge::*, support::*};

const ROUNDS: usize = 5;
const SECONDS: u32 = 3;
const CONNECTIONS: u32 = 16;
/// A log-in takes most of a second on each side, so a round of them takes longer.
const LOG_IN_SECONDS: u32 = 8;
const LOG_IN_ROUNDS: usize = 3;
/// Enough for all cores to hash, too few for anybody to be refused.
const LOG_IN_CONNECTIONS: u32 = 4;

const ME: &str = "{ me { id email role } }";
const EMAIL: &str = "ann@example.com";

/// The path at the gateway, the name in the report, and the program in the folder of peers.
const PEERS: [(&str, &str, &[&str]); 3] = [
    (
        "mercurius",
        "Node: fastify, mercurius with JIT, jose, better-sqlite3",
        &["node", "node/mercurius.js"],
    ),
    (
        "yoga",
        "Node: graphql-yoga, jose, better-sqlite3",
        &["node", "node/yoga.js"],
    ),
    (
        "strawberry",
        "Python: strawberry, uvicorn, PyJWT, sqlite3",
        &["python3", "strawberry/server.py"],
    ),
];

/// A server that is measured.
struct Side {
    name: &'static str,
    what: &'static str,
    process: Child,
    direct: String,
    gateway: String,
    started_after: Duration,
    idle_mib: f64,
    busy_mib: f64,
    me: Vec<f64>,
    me_gateway: Vec<f64>,
    log_in: Vec<f64>,
}

/// Resident memory in MiB.
fn resident(process: &Child) -> f64 {
    let pid = process.id().expect("it runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib / 1024.0
}

/// Starts a server, and waits for the line that says that it serves.
async fn begin(
    mut command: Command,
    says: &str,
    from_stderr: bool,
    (name, what): (&'static str, &'static str),
    (direct, gateway): (String, String),
) -> Side {
    let begin = Instant::now();
    let mut process = command
        .stdout(if from_stderr {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stderr(if from_stderr {
            Stdio::piped()
        } else {
            Stdio::inherit()
        })
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let output: Box<dyn tokio::io::AsyncRead + Unpin + Send> = if from_stderr {
        Box::new(process.stderr.take().unwrap())
    } else {
        Box::new(process.stdout.take().unwrap())
    };
    let mut lines = BufReader::new(output).lines();
    loop {
        let line = lines.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("{name} ended before it served"));
        if line.contains(says) {
            break;
        }
    }
    // It must not stop at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let started_after = begin.elapsed();
    let idle_mib = resident(&process);
    Side {
        name,
        what,
        process,
        direct,
        gateway,
        started_after,
        idle_mib,
        busy_mib: 0.0,
        me: Vec::new(),
        me_gateway: Vec::new(),
        log_in: Vec::new(),
    }
}

/// Requests a second, all answered with 200, as wrk counts them.
async fn wrk(url: &str, script: &Path, connections: u32, seconds: u32) -> f64 {
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", &connections.to_string()])
        .args(["-d", &format!("{seconds}s"), "--timeout", "30s", "-s"])
        .arg(script)
        .arg(url)
        .output()
        .await
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{url}: {output:?}");
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{url}: {text}"
    );
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .unwrap_or_else(|| panic!("no rate: {text}"));
    rate.trim().parse().unwrap()
}

/// What wrk sends: a script of Lua's, as it has it.
fn script(folder: &Path, name: &str, query: &str, token: Option<&str>) -> PathBuf {
    let body = json!({ "query": query }).to_string();
    let bearer = token.map_or(String::new(), |token| {
        format!("wrk.headers[\"Authorization\"] = \"Bearer {token}\"\n")
    });
    let file = folder.join(name);
    let text = format!(
        "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\n{bearer}wrk.body = [==[{body}]==]\n"
    );
    fs::write(&file, text).unwrap();
    file
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of the ratios of the same rounds.
fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<_> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    median(&ratios)
}

fn required(variable: &str) -> PathBuf {
    let value = std::env::var_os(variable);
    value
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{variable} is not set: ./dev bench peers"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark: ./dev bench peers"]
async fn side_by_side() {
    let (core, peers) = (required("AUTHSTACK_CORE"), required("AUTHSTACK_PEERS"));
    let mut prefix = String::new();
    let mut stack = start_changed(
        TopologyName::Single,
        &["auth1", "gateway"],
        None,
        |setup| {
            prefix = setup.network.prefix();
            let routes: serde_json::Map<_, _> = PEERS
                .iter()
                .enumerate()
                .map(|(number, (name, ..))| {
                    let server = format!("{prefix}.{}:8080", 41 + number);
                    (
                        format!("/{name}"),
                        json!({ "servers": { server: {} }, "stripPrefix": true, "limits": { "by": "address", "windows": [] } }),
                    )
                })
                .collect();
            setup.gateway = Some(json!({
                "routes": routes,
                "limits": { "requests": null, "hashes": null, "failedLogIns": null },
            }));
        },
    )
    .await;
    stack.client = stack.client_at(1);
    let token = token_of(&stack, EMAIL).await;

    // The core of the measurement is the release's; the part's own, which made the account, makes room for it.
    let part = stack.stack.part("auth1").unwrap().clone();
    stack.stack.stop_part("auth1").await.unwrap();
    let folder = stack.directory().join("peers");
    fs::create_dir(&folder).unwrap();
    let database = part_database(&stack);
    let gateway = stack.url("gateway");
    let mut sides = Vec::new();
    let mut ours = Command::new(&core);
    ours.args(&part.command[1..])
        .current_dir(stack.directory().join("parts/auth1"));
    sides.push(
        begin(
            ours,
            "\"listen\"",
            true,
            ("auth-core", "auth-core: hyper, async-graphql, aws-lc, sqlx"),
            (part.url.clone() + "/graphql", gateway.clone() + "/graphql"),
        )
        .await,
    );
    let private = folder.join("private.pem");
    let public = folder.join("public.pem");
    fs::write(&private, private_pem(&stack)).unwrap();
    fs::write(&public, public_pem(&stack)).unwrap();
    for (number, (name, what, program)) in PEERS.into_iter().enumerate() {
        let own = folder.join(format!("{name}.sqlite"));
        fs::copy(&database, &own).unwrap();
        let listen = format!("{prefix}.{}:8080", 41 + number);
        let mut command = Command::new(program[0]);
        command
            .arg(peers.join(program[1]))
            .env("DATABASE", own)
            .env("PRIVATE_KEY", &private)
            .env("PUBLIC_KEY", &public)
            .env("ISSUER", &gateway)
            .env("LISTEN", &listen)
            .env("NODE_ENV", "production")
            .env("PYTHONPATH", peers.join("strawberry/packages"));
        let urls = (
            format!("http://{listen}/graphql"),
            format!("{gateway}/{name}/graphql"),
        );
        sides.push(begin(command, "ready", false, (name, what), urls).await);
    }

    let me = script(&folder, "me.lua", ME, Some(&token));
    let log_in = format!(
        "mutation {{ logIn(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ accessToken }} }}"
    );
    for side in &sides {
        for url in [&side.direct, &side.gateway] {
            answers_right(&stack, side.name, url, &token, &log_in).await;
        }
    }
    let log_in = script(&folder, "log-in.lua", &log_in, None);
    for round in 0..ROUNDS {
        for side in &mut sides {
            eprintln!("round {} of {ROUNDS}: {}", round + 1, side.name);
            side.me
                .push(wrk(&side.direct, &me, CONNECTIONS, SECONDS).await);
            side.me_gateway
                .push(wrk(&side.gateway, &me, CONNECTIONS, SECONDS).await);
            if round < LOG_IN_ROUNDS {
                side.log_in
                    .push(wrk(&side.direct, &log_in, LOG_IN_CONNECTIONS, LOG_IN_SECONDS).await);
            }
            side.busy_mib = side.busy_mib.max(resident(&side.process));
        }
    }
    report(&sides);
}

/// Before it is measured, each must answer what it is asked.
async fn answers_right(stack: &TestStack, name: &str, url: &str, token: &str, log_in: &str) {
    eventually(&format!("{name} is reached at {url}"), || async {
        let ask = |query: &str| stack.client.post(url).json(&json!({ "query": query }));
        let me = ask(ME).bearer_auth(token).send().await.ok()?;
        let me: serde_json::Value = me.json().await.ok()?;
        if me["data"]["me"]["email"] != EMAIL {
            return None;
        }
        let logged_in = ask(log_in).send().await.ok()?;
        let logged_in: serde_json::Value = logged_in.json().await.ok()?;
        logged_in["data"]["logIn"]["accessToken"].as_str().map(drop)
    })
    .await;
}

fn part_database(stack: &TestStack) -> PathBuf {
    let folder = stack.directory().join("data");
    let files = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|file| file.path());
    let mut databases = files.filter(|file| {
        file.extension()
            .is_some_and(|end| end == "db" || end == "sqlite")
    });
    databases
        .next()
        .unwrap_or_else(|| panic!("no database in {}", folder.display()))
}

fn private_pem(stack: &TestStack) -> String {
    let ring = stack.directory().join("keys/ring");
    let keys = fs::read_dir(&ring)
        .unwrap()
        .flatten()
        .map(|file| file.path());
    let mut pems = keys.filter_map(|file| fs::read_to_string(file).ok());
    pems.find(|text| text.contains("PRIVATE KEY"))
        .expect("a key")
}

/// Writes the page, and prints the figures that `./dev bench` keeps.
fn report(sides: &[Side]) {
    let ours = &sides[0];
    let mut rows = String::new();
    for side in sides {
        let ms = side.started_after.as_millis();
        rows += &format!(
            "| {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} | {:.2} | {ms} | {:.0} | {:.0} |\n",
            side.what,
            median(&side.me),
            ratio(&side.me, &ours.me),
            median(&side.me_gateway),
            ratio(&side.me_gateway, &ours.me_gateway),
            median(&side.log_in),
            ratio(&side.log_in, &ours.log_in),
            side.idle_mib,
            side.busy_mib,
        );
        if side.name != ours.name {
            let times = ratio(&ours.me, &side.me);
            println!(
                "peers: {} answers `me` {times:.1} times as often as {}",
                ours.name, side.name
            );
            println!("figure ratios.peers_me_{} = {times:.3}", side.name);
            println!(
                "figure ratios.peers_log_in_{} = {:.3}",
                side.name,
                ratio(&ours.log_in, &side.log_in)
            );
        }
    }
    let names: Vec<_> = sides
        .iter()
        .map(|side| format!("\"{}\"", side.name))
        .collect();
    let chart = |title: &str, values: Vec<f64>| {
        let bars: Vec<_> = values.iter().map(|value| format!("{value:.1}")).collect();
        format!(
            "```mermaid\nxychart-beta\n    title \"{title}\"\n    x-axis [{}]\n    y-axis \"a second\"\n    bar [{}]\n```\n",
            names.join(", "),
            bars.join(", ")
        )
    };
    let of = |rates: fn(&Side) -> &Vec<f64>| sides.iter().map(|side| median(rates(side))).collect();
    let template = include_str!("peers_cost.md");
    let page = template
        .replace("ROWS\n", &rows)
        .replace("CHART-OF-ME\n", &chart("me, direct", of(|side| &side.me)))
        .replace(
            "CHART-OF-LOG-INS\n",
            &chart("log-ins", of(|side| &side.log_in)),
        )
        .replace("MACHINE", &machine())
        .replace("ROUNDS", &ROUNDS.to_string());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks/peers.md");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, page).unwrap();
    println!("peers: the table is in docs/benchmarks/peers.md");
}

/// The processor and the kernel.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{cores} cores of {}, Linux {}",
        model.unwrap_or("an unknown processor"),
        kernel.split('-').next().unwrap_or_default()
    )
}
