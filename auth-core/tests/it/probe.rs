//! `auth-core probe`: what it tells Prometheus of a node that it asks as a client would.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use tempfile::TempDir;

use crate::database;
use crate::node::{EMAIL, PASSWORD};
use crate::process::{Process, wait_until};
use crate::tls::{CERTIFICATE, SETTINGS, client, put};

/// The node's certificate as it was in 2020, for one day.
const EXPIRED: &str = include_str!("tls/expired.pem");

/// One that has nothing to do with it.
const ANOTHER: &str = include_str!("tls/another.pem");

/// `notAfter` of the node's, in seconds since 1970.
const EXPIRES: &str = "4949128938";
const EXPIRED_AT: &str = "1577923200";

/// A running probe. It is killed when dropped.
struct Probe {
    child: Child,
    url: String,
    dir: TempDir,
}

impl Probe {
    /// Asks `url`, and logs in with this password where there is one.
    fn start(url: &str, ca: &str, password: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), ca).unwrap();
        let mut account = Vec::new();
        if let Some(password) = password {
            fs::write(dir.path().join("password"), format!("{password}\n")).unwrap();
            account = vec!["--email", EMAIL, "--password-file", "password"];
        }
        let mut child = command(dir.path(), url)
            .args(["--ca", "ca.pem", "--listen", "127.0.0.1:0"])
            .args(account)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on ").expect(&line);
        let url = format!("http://{address}/metrics");
        Self { child, url, dir }
    }

    fn metrics(&self) -> String {
        scrape(&self.url)
    }

    /// What it wrote to its log until it was ended.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-core"));
    command
        .args(["probe", url])
        .env_clear()
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn scrape(url: &str) -> String {
    let mut answer = ureq::get(url).call().unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.body_mut().read_to_string().unwrap()
}

/// The metrics without how long each step took.
fn steady(metrics: &str) -> String {
    metrics
        .lines()
        .map(|line| match line.rsplit_once(' ') {
            Some((name, seconds)) if name.starts_with("auth_probe_seconds{") => {
                let seconds: f64 = seconds.parse().unwrap();
                assert!((0.0..20.0).contains(&seconds), "{line}");
                format!("{name} [seconds]\n")
            }
            _ => format!("{line}\n"),
        })
        .collect()
}

/// A node with an account, and its URL by HTTPS.
fn node(certificate: &str) -> (Process, String) {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path());
    let process = Process::spawn(dir, SETTINGS, &[]);
    let url = process.url.replace("http:", "https:");
    wait_until("ready", || {
        client().get(format!("{url}/readyz")).call().is_ok()
    });
    let query = format!(
        "mutation {{ signUp(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ message }} }}"
    );
    client()
        .post(format!("{url}/graphql"))
        .content_type("application/json")
        .send(json!({ "query": query }).to_string())
        .unwrap();
    if certificate != CERTIFICATE {
        fs::write(process.dir.path().join("certificate.pem"), certificate).unwrap();
        process.signal("-HUP");
    }
    (process, url)
}

fn count(process: &Process, sql: &str) -> i64 {
    database::run(&process.database, sql).unwrap()[0]
}

#[test]
fn a_log_in_as_a_client_does_it_succeeds_and_leaves_no_session() {
    let (process, url) = node(CERTIFICATE);
    let before = count(&process, "SELECT count(*) FROM sessions");
    let probe = Probe::start(&url, CERTIFICATE, Some(PASSWORD));
    probe.metrics();
    assert_snapshot!(steady(&probe.metrics()), @r#"
        # HELP auth_probe_success Whether the step succeeded: 1 or 0.
        # TYPE auth_probe_success gauge
        auth_probe_success{step="certificate"} 1
        auth_probe_success{step="answer"} 1
        auth_probe_success{step="log_in"} 1
        # HELP auth_probe_seconds How long the step took, whatever it came to.
        # TYPE auth_probe_seconds gauge
        auth_probe_seconds{step="certificate"} [seconds]
        auth_probe_seconds{step="answer"} [seconds]
        auth_probe_seconds{step="log_in"} [seconds]
        # HELP auth_probe_certificate_expires_timestamp_seconds When the certificate that is shown expires, in seconds since 1970, whether it is valid or not.
        # TYPE auth_probe_certificate_expires_timestamp_seconds gauge
        auth_probe_certificate_expires_timestamp_seconds 4949128938
        "#);
    let log_ins = "SELECT count(*) FROM audit WHERE event = 'log_in'";
    assert_eq!(count(&process, log_ins), 2, "each probe logged in");
    assert_eq!(count(&process, "SELECT count(*) FROM sessions"), before);
    assert_eq!(probe.log(), "");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_told_and_so_is_when_it_expires() {
    let (_process, url) = node(CERTIFICATE);
    let probe = Probe::start(&url, ANOTHER, None);
    let metrics = probe.metrics();
    for line in [
        r#"auth_probe_success{step="certificate"} 0"#,
        r#"auth_probe_success{step="answer"} 0"#,
        &format!("auth_probe_certificate_expires_timestamp_seconds {EXPIRES}"),
    ] {
        assert!(
            metrics.contains(&format!("\n{line}\n")),
            "{line}: {metrics}"
        );
    }
    assert!(
        !metrics.contains("log_in"),
        "nobody is to log in: {metrics}"
    );
    let log = probe.log();
    assert!(
        log.starts_with("certificate: invalid peer certificate: UnknownIssuer\n"),
        "{log}"
    );
}

#[test]
fn a_certificate_that_has_expired_is_told_and_when() {
    let (_process, url) = node(EXPIRED);
    let both = format!("{CERTIFICATE}{EXPIRED}");
    let probe = Probe::start(&url, &both, Some(PASSWORD));
    let expired = format!("auth_probe_certificate_expires_timestamp_seconds {EXPIRED_AT}");
    let mut metrics = String::new();
    wait_until("the node shows it", || {
        metrics = probe.metrics();
        metrics.contains(&expired)
    });
    for step in ["certificate", "answer", "log_in"] {
        let line = format!("\nauth_probe_success{{step=\"{step}\"}} 0\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    let log = probe.log();
    assert!(
        log.contains("certificate: invalid peer certificate: certificate expired"),
        "{log}"
    );
    assert!(!log.contains(PASSWORD), "{log}");
}

#[test]
fn a_log_in_that_is_refused_is_told_without_the_password() {
    let (process, url) = node(CERTIFICATE);
    let wrong = "seven-quiet-otters-paint";
    let probe = Probe::start(&url, CERTIFICATE, Some(wrong));
    let metrics = probe.metrics();
    for line in [
        r#"auth_probe_success{step="certificate"} 1"#,
        r#"auth_probe_success{step="answer"} 1"#,
        r#"auth_probe_success{step="log_in"} 0"#,
    ] {
        assert!(
            metrics.contains(&format!("\n{line}\n")),
            "{line}: {metrics}"
        );
    }
    // A password that was changed is taken up without a restart.
    fs::write(probe.dir.path().join("password"), PASSWORD).unwrap();
    wait_until("it logs in", || {
        probe
            .metrics()
            .contains(r#"auth_probe_success{step="log_in"} 1"#)
    });
    fs::remove_file(probe.dir.path().join("password")).unwrap();
    assert!(
        probe
            .metrics()
            .contains(r#"auth_probe_success{step="log_in"} 0"#)
    );
    drop(process);
    let metrics = metrics + &probe.metrics();
    let log = probe.log();
    assert!(
        log.starts_with("log_in: refused with INVALID_CREDENTIALS\n"),
        "{log}"
    );
    assert!(log.contains("--password-file"), "{log}");
    assert!(log.contains("answer: "), "the node is gone: {log}");
    for secret in [wrong, PASSWORD] {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "{log}{metrics}"
        );
    }
}

#[test]
fn one_probe_runs_at_a_time_and_whoever_asks_meanwhile_gets_its_result() {
    // It takes connections, and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    thread::spawn({
        let connections = Arc::clone(&connections);
        move || {
            let mut held = Vec::new();
            for connection in silent.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                held.push(connection);
            }
        }
    });
    let probe = Probe::start(&url, CERTIFICATE, None);
    // One that goes away early ends nothing.
    let hurried: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_millis(300)))
        .build()
        .into();
    assert!(hurried.get(&probe.url).call().is_err());
    wait_until("the probe has begun", || {
        connections.load(Ordering::SeqCst) > 0
    });
    let others: Vec<_> = (0..3)
        .map(|_| {
            let url = probe.url.clone();
            thread::spawn(move || scrape(&url))
        })
        .collect();
    let told: Vec<_> = others
        .into_iter()
        .map(|other| other.join().unwrap())
        .collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert!(
        told[0].contains(r#"auth_probe_success{step="answer"} 0"#),
        "{}",
        told[0]
    );
    // One for each step of the one probe.
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[test]
fn what_cannot_be_probed_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ca.pem"), CERTIFICATE).unwrap();
    let run = |url: &str, more: &[&str]| -> String {
        let Output { status, stderr, .. } = command(dir.path(), url).args(more).output().unwrap();
        assert!(!status.success());
        let said = String::from_utf8(stderr).unwrap();
        said.lines().next().unwrap_or_default().to_owned() + "\n"
    };
    let known = [
        "--ca",
        "ca.pem",
        "--email",
        EMAIL,
        "--password-file",
        "none",
    ];
    let said = [
        run("http://auth.example.org", &known[..2]),
        run("https://ann:secret@auth.example.org", &known[..2]),
        run("https://auth.example.org", &["--ca", "none"]),
        run("https://auth.example.org", &known[..4]),
        run("https://auth.example.org", &known),
    ];
    assert_snapshot!(said.concat(), @r#"
    auth-core: expected a URL such as https://auth.example.org, without a user and a path
    auth-core: expected a URL such as https://auth.example.org, without a user and a path
    auth-core: --ca = "none": No such file or directory (os error 2)
    error: the following required arguments were not provided:
    auth-core: --password-file = "none": No such file or directory (os error 2)
    "#);
}
