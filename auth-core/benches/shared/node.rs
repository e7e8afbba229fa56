//! The real binary, as a process of its own, with a database and a key of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Client, graphql};

pub const EMAIL: &str = "ann@example.com";
pub const PASSWORD: &str = "correct horse battery";

/// A running `auth-core serve` with one account. It is killed when dropped.
pub struct Node {
    pub address: String,
    /// The account's access token.
    pub token: String,
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
        // The database comes up a moment after the listener.
        node.token = eventually(|| {
            let mut answer = Vec::new();
            client.send(&sign_up, &mut answer);
            let body = answer.rsplit(|byte| *byte == b'\n').next()?;
            let body: Value = serde_json::from_slice(body).ok()?;
            Some(body["data"]["signUp"]["accessToken"].as_str()?.to_owned())
        });
        node
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the node did not come up");
}
