//! A node to test against, and a client for it.

use std::fs::Permissions;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use auth_core::App;
use auth_core::config::Config;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::database;
use crate::logged_in::LoggedIn;

pub const EMAIL: &str = "ann@example.com";
pub const PASSWORD: &str = "correct horse battery";

const SESSION: &str = "{ message accessToken refreshToken expiresIn account { id email role } }";

/// A running node. It stops when dropped.
pub struct Node {
    pub url: String,
    pub dir: TempDir,
    pub database: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    client: ureq::Agent,
}

/// An answer, as read from the socket.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Writes a new key pair: `NAME.pem` is the private key, `NAME.pub` the public one.
pub fn key_pair(dir: &Path, name: &str) {
    std::fs::create_dir_all(dir).unwrap();
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let spki = pair.public_key().as_der().unwrap();
    let file = |suffix: &str, tag: &str, bytes: &[u8]| {
        let path = dir.join(format!("{name}.{suffix}"));
        std::fs::write(&path, pem::encode(&pem::Pem::new(tag, bytes))).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    file("pem", "PRIVATE KEY", pkcs8.as_ref());
    file("pub", "PUBLIC KEY", spki.as_ref());
}

/// A configuration that hashes cheaply, with an empty database.
pub fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.tokens.key_directory = dir.join("keys");
    key_pair(&config.tokens.key_directory, "signing");
    config.database.url = database::fresh(dir);
    config.password.scrypt.log_n = 4;
    config.password.concurrent_hashes = 2;
    config.drain_seconds = 0;
    config
}

impl Node {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        let node = Self::start_in(dir, config);
        node.wait_until("ready", || node.get("/readyz").status == 200);
        node
    }

    /// Connections that have sent a body to `/graphql` for the client at `address` and wait for the answer until they are
    /// dropped.
    pub fn crowd(&self, connections: usize, address: &str, body: &str) -> Vec<TcpStream> {
        let node = self.url.trim_start_matches("http://");
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: a\r\nx-forwarded-for: {address}\r\ncontent-type: application/json\r\ncontent-length:"
        );
        (0..connections)
            .map(|_| {
                let mut client = TcpStream::connect(node).unwrap();
                write!(client, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
                client
            })
            .collect()
    }

    /// Another node on the same database.
    pub fn beside(&self) -> Self {
        self.beside_with(|_| {})
    }

    pub fn beside_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(|config| {
            config.database.url.clone_from(&self.database);
            change(config);
        })
    }

    /// Starts without waiting until it is ready.
    pub fn start_in(dir: TempDir, config: Config) -> Self {
        Self::start_changed(dir, config, |_| {})
    }

    /// The same, with what `change` does to the parts that were put together.
    pub fn start_changed(dir: TempDir, config: Config, change: fn(&mut App)) -> Self {
        database::assert_asked_for(&config.database.url);
        let database = config.database.url.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let stopped = async { drop(stopped.await) };
                let mut app = App::new(&config).unwrap();
                change(&mut app);
                auth_core::serve(Arc::new(app), listener, stopped).await;
            });
        });
        Self {
            url: format!("http://{}", told.recv().unwrap()),
            dir,
            database,
            stop: Some(stop),
            thread: Some(thread),
            client: ureq::Agent::config_builder()
                .http_status_as_error(false)
                // None for the whole: each address would be looked up by a thread of its own, on whose end glibc 2.36 once crashed.
                .timeout_recv_response(Some(Duration::from_secs(60)))
                .build()
                .into(),
        }
    }

    /// What SIGTERM does.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "")
    }

    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let body = body.into();
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() {
            self.client.run(request.body(()).unwrap())
        } else {
            self.client.run(request.body(body).unwrap())
        };
        let mut answer = answer.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }

    pub fn post(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.request("POST", "/graphql", &headers, body)
    }

    pub fn graphql(&self, headers: &[(&str, &str)], query: &str, variables: Value) -> Value {
        self.post(
            headers,
            json!({ "query": query, "variables": variables }).to_string(),
        )
        .json()
    }

    pub fn sign_up(&self, email: &str, password: &str) -> Value {
        self.graphql(
            &[],
            &sign_up(),
            json!({ "email": email, "password": password }),
        )
    }

    pub fn log_in(&self, email: &str, password: &str) -> Value {
        self.log_in_with(&[], email, password)
    }

    pub fn log_in_with(&self, headers: &[(&str, &str)], email: &str, password: &str) -> Value {
        self.graphql(
            headers,
            &log_in(),
            json!({ "email": email, "password": password }),
        )
    }

    /// A client that has this access token.
    pub fn with(&self, token: &str) -> LoggedIn<'_> {
        LoggedIn::new(self, token)
    }

    /// Reads or changes what is stored, behind the node's back. Answers the numbers in the first column.
    pub fn sql(&self, sql: &str) -> Vec<i64> {
        database::run(&self.database, sql).unwrap()
    }

    /// Whether the database has these bytes anywhere.
    pub fn holds(&self, bytes: impl AsRef<[u8]>) -> bool {
        database::holds(&self.database, bytes.as_ref())
    }

    /// A metric by its whole name, labels included. Each is there from the start.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").text;
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no metric {name}: {metrics}"));
        value.parse().unwrap()
    }

    pub fn hashes(&self) -> f64 {
        self.metric("auth_hashes_total")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

pub fn sign_up() -> String {
    format!(
        "mutation($email: String!, $password: String!) {{ signUp(email: $email, password: $password) {SESSION} }}"
    )
}

pub fn log_in() -> String {
    format!(
        "mutation($email: String!, $password: String!) {{ logIn(email: $email, password: $password) {SESSION} }}"
    )
}

pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or("")
}

/// The same answer with what differs from run to run blanked out.
pub fn steady(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                *value = match (key.as_str(), value.take()) {
                    ("accessToken" | "refreshToken" | "id", Value::String(_)) => {
                        format!("[{key}]").into()
                    }
                    (_, value) => steady(value),
                };
            }
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| *value = steady(value.take())),
        _ => {}
    }
    answer
}
