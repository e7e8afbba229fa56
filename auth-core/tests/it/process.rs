//! The real binary as a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database;
use crate::node::{PASSWORD, key_pair, sign_up};

/// A running `auth-core serve`. It is killed when dropped.
pub struct Process {
    pub url: String,
    pub log: Arc<Mutex<String>>,
    child: Child,
    reader: Option<JoinHandle<()>>,
    pub dir: TempDir,
    pub database: String,
}

impl Process {
    pub fn start(settings: &[&str]) -> Self {
        let process = Self::spawn(tempfile::tempdir().unwrap(), settings, &[]);
        wait_until("ready", || {
            ureq::get(format!("{}/readyz", process.url)).call().is_ok()
        });
        process
    }

    /// Starts in a folder with some variables set, and returns as soon as the listener is up.
    pub fn spawn(dir: TempDir, settings: &[&str], env: &[(&str, &str)]) -> Self {
        key_pair(&dir.path().join("keys"), "key");
        // A write beyond a limit of file sizes is an error then, and not the end.
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            "trap '' XFSZ; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_auth-core"),
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--set",
            "tokens.key_directory=keys",
        ]);
        command.args([
            "--set",
            "password.scrypt.log_n=4",
            "--set",
            "drain_seconds=0",
            "--set",
            "node=auth1",
        ]);
        let given = settings
            .iter()
            .find_map(|setting| setting.strip_prefix("database.url="));
        let database = given.map_or_else(|| database::fresh(dir.path()), str::to_owned);
        database::assert_asked_for(&database);
        command.args(["--set", &format!("database.url={database}")]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command
            .env_clear()
            .envs(env.iter().copied())
            .current_dir(dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let started = lines.next().unwrap().unwrap();
        let address = serde_json::from_str::<Value>(&started).unwrap()["listen"]
            .as_str()
            .unwrap()
            .to_owned();
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    *log.lock().unwrap() += &(line + "\n");
                }
            }
        });
        Self {
            url: format!("http://{address}"),
            log,
            child,
            reader: Some(reader),
            dir,
            database,
        }
    }

    pub fn get(&self, path: &str) -> ureq::http::Response<ureq::Body> {
        let client: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        client.get(format!("{}{path}", self.url)).call().unwrap()
    }

    pub fn sign_up(&self, email: &str, headers: &[(&str, &str)]) -> Value {
        let variables = json!({ "email": email, "password": PASSWORD });
        self.graphql(headers, &sign_up(), variables)
    }

    pub fn graphql(&self, headers: &[(&str, &str)], query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let mut request = ureq::post(format!("{}/graphql", self.url))
            .config()
            .http_status_as_error(false)
            .build()
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = request
            .send(body.to_string())
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end and the last line of the log, and returns the exit code.
    pub fn end(mut self) -> i32 {
        let mut code = None;
        wait_until("ended", || {
            code = self
                .child
                .try_wait()
                .unwrap()
                .map(|status| status.code().unwrap());
            code.is_some()
        });
        self.reader.take().unwrap().join().unwrap();
        code.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_and_sigint_end_the_process_in_good_order() {
    for signal in ["-TERM", "-INT"] {
        let process = Process::start(&[]);
        process.signal(signal);
        assert_eq!(process.end(), 0, "{signal}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let process = Process::start(&["drain_seconds=3600"]);
    process.signal("-TERM");
    wait_until("draining", || {
        process.log.lock().unwrap().contains("draining")
    });
    process.signal("-TERM");
    assert_eq!(process.end(), 1);
}
