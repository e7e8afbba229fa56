//! The same behaviour on a real PostgreSQL, and what happens when it goes away and comes back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::node::{EMAIL, Node, PASSWORD, code, config, sign_up};

/// A PostgreSQL of its own, on a socket in a folder of its own.
pub struct Postgres {
    dir: TempDir,
    server: Option<Child>,
}

impl Postgres {
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("pg")
            .tempdir_in("/tmp")
            .unwrap();
        open_to_all(dir.path());
        let data = dir.path().join("data");
        let initdb = unprivileged(&program("initdb"))
            .args(["-A", "trust", "-U", "auth", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            initdb.status.success(),
            "{}",
            String::from_utf8_lossy(&initdb.stderr)
        );
        let mut postgres = Self { dir, server: None };
        postgres.up();
        postgres
    }

    fn up(&mut self) {
        let server = unprivileged(&program("postgres"))
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(self.dir.path())
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        self.server = Some(server.unwrap());
    }

    fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            // SIGINT is PostgreSQL's fast shutdown.
            Command::new("kill")
                .args(["-INT", &server.id().to_string()])
                .status()
                .unwrap();
            server.wait().unwrap();
        }
    }

    fn url(&self) -> String {
        format!(
            "postgres://auth@localhost/postgres?host={}",
            self.dir.path().display()
        )
    }

    pub fn node(&self) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.database.url = self.url();
        Node::start_in(dir, config)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down();
    }
}

fn program(name: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.map(|version| version.unwrap().path().join("bin")));
    }
    let found = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!(
            "there is no {name} on this machine: `apt-get install postgresql`, or `./dev install`"
        )
    })
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program);
    command
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o777)).unwrap();
}

fn ready(node: &Node) -> bool {
    node.get("/readyz").status == 200
}

#[test]
fn three_nodes_start_at_once_on_an_empty_database_and_share_it() {
    let postgres = Postgres::start();
    let nodes = [postgres.node(), postgres.node(), postgres.node()];
    for node in &nodes {
        node.wait_until("ready", || ready(node));
    }
    let key = [("idempotency-key", "key-of-a-sign-up")];
    let variables = json!({ "email": EMAIL, "password": PASSWORD });
    let first = nodes[0].graphql(&key, &sign_up(), variables.clone());
    let again = nodes[1].graphql(&key, &sign_up(), variables);
    assert!(
        first["data"]["signUp"]["account"]["id"].is_string(),
        "{first}"
    );
    assert_eq!(
        first["data"]["signUp"]["account"],
        again["data"]["signUp"]["account"]
    );
    assert_eq!(code(&nodes[2].sign_up(EMAIL, PASSWORD)), "EMAIL_TAKEN");
    assert!(nodes[2].log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
}

#[test]
fn of_many_sign_ups_with_one_email_on_two_nodes_one_gets_the_account() {
    let postgres = Postgres::start();
    let nodes = [postgres.node(), postgres.node()];
    for node in &nodes {
        node.wait_until("ready", || ready(node));
    }
    let answers: Vec<_> = std::thread::scope(|scope| {
        let sign_up = |i: usize| nodes[i % 2].sign_up(EMAIL, PASSWORD);
        let threads: Vec<_> = (0..100).map(|i| scope.spawn(move || sign_up(i))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let signed_up = answers
        .iter()
        .filter(|answer| answer["data"]["signUp"].is_object())
        .count();
    let taken = answers
        .iter()
        .filter(|answer| code(answer) == "EMAIL_TAKEN")
        .count();
    assert_eq!((signed_up, taken), (1, 99));
}

#[test]
fn a_database_that_goes_away_and_comes_back_costs_no_restart() {
    let mut postgres = Postgres::start();
    let node = postgres.node();
    node.wait_until("ready", || ready(&node));
    node.sign_up(EMAIL, PASSWORD);
    postgres.down();
    assert_eq!(code(&node.log_in(EMAIL, PASSWORD)), "UNAVAILABLE");
    assert!(!ready(&node));
    assert_eq!(node.get("/healthz").status, 200);
    postgres.up();
    node.wait_until("ready again", || ready(&node));
    assert!(node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
}
