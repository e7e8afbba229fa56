//! The real binary, as a process of its own, with a database and a key of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::figure;
use crate::http::{Client, graphql};

pub const EMAIL: &str = "ann@example.com";
pub const PASSWORD: &str = "correct horse battery";

/// A running `auth-core serve` with one account. It is killed when dropped.
pub struct Node {
    pub address: String,
    /// The account's access token.
    pub token: String,
    /// From the start of the process to the first `200` of `/readyz`.
    pub ready_after: Duration,
    /// Resident memory before the first request, in KiB.
    pub idle_kib: u64,
    child: Child,
    _dir: TempDir,
}

impl Node {
    /// Starts with some settings changed. It logs into a file, as a service does.
    pub fn start(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_auth-core"));
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        for setting in [
            "tokens.key_directory=keys",
            "tokens.generate_first_key=true",
        ]
        .iter()
        .chain(settings)
        {
            command.args(["--set", setting]);
        }
        let started = Instant::now();
        let child = command
            .env_clear()
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut node = Self {
            address: String::new(),
            token: String::new(),
            ready_after: Duration::ZERO,
            idle_kib: 0,
            child,
            _dir: dir,
        };
        let log = File::open(log).unwrap();
        node.address = eventually(|| {
            let line = BufReader::new(&log)
                .lines()
                .map_while(Result::ok)
                .find(|line| line.contains("\"listen\""))?;
            let line: Value = serde_json::from_str(&line).ok()?;
            Some(line["listen"].as_str()?.to_owned())
        });
        let sign_up = graphql(
            None,
            &format!(
                "mutation {{ signUp(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ accessToken }} }}"
            ),
        );
        let mut client = Client::new(&node.address);
        let mut answer = Vec::new();
        // The database comes up a moment after the listener.
        eventually(|| {
            client.send(
                b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n",
                &mut answer,
            );
            answer.starts_with(b"HTTP/1.1 200 ").then_some(())
        });
        node.ready_after = started.elapsed();
        node.idle_kib = node.resident_kib();
        client.send(&sign_up, &mut answer);
        let body = answer.rsplit(|byte| *byte == b'\n').next().unwrap();
        let body: Value = serde_json::from_slice(body).unwrap();
        node.token = body["data"]["signUp"]["accessToken"]
            .as_str()
            .unwrap()
            .to_owned();
        node
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Says what the node takes.
    pub fn print_footprint(&self) {
        let binary = std::fs::metadata(env!("CARGO_BIN_EXE_auth-core"))
            .unwrap()
            .len();
        let ready = self.ready_after.as_millis();
        let idle = self.idle_kib as f64 / 1024.0;
        let binary = binary as f64 / (1 << 20) as f64;
        println!(
            "node: ready after {ready} ms (goal: 100), {idle:.1} MiB idle (goal: 20), binary of {binary:.1} MiB (goal: 20)"
        );
        figure::absolute("ready_ms", ready as f64);
        figure::absolute("idle_mib", idle);
        figure::absolute("binary_mib", binary);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..20_000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the node did not come up");
}
