//! The `authload` command as its user meets it: output, report and exit code against a fake service.

mod answers;
mod command;
mod fake_auth;
mod latency;
mod reports;
mod scenarios;
mod thresholds;

use std::process::{Output, Stdio};

use loadtests::Report;
use tempfile::TempDir;
use tokio::process::Command;

use fake_auth::{FakeAuth, Fault};

/// What a run of `authload` left behind.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
    report: Option<Report>,
}

impl Ran {
    fn report(&self) -> &Report {
        self.report.as_ref().expect("a report was written")
    }
}

fn authload(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authload"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(url: &str, arguments: &[&str]) -> Ran {
    play("session", url, arguments).await
}

async fn play(scenario: &str, url: &str, arguments: &[&str]) -> Ran {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("report.json");
    let output = authload(&["run", scenario, "--url", url, "--report"])
        .arg(&file)
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .await
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|name| name == "report.json"),
        "left behind: {left:?}"
    );
    let report = std::fs::read(&file)
        .ok()
        .map(|json| serde_json::from_slice(&json).unwrap());
    ran(output, report)
}

fn ran(output: Output, report: Option<Report>) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        report,
    }
}

async fn against(fault: Fault, arguments: &[&str]) -> (FakeAuth, Ran) {
    let fake = FakeAuth::start(fault).await;
    let ran = run(&fake.url(), arguments).await;
    (fake, ran)
}

const SHORT: [&str; 6] = ["--users", "2", "--duration", "2", "--rate", "50"];
