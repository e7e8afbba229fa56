//! `auth-core database copy`: from an SQLite file into PostgreSQL.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use insta::assert_snapshot;
use serde_json::json;
use tempfile::TempDir;

use super::Postgres;
use crate::database;
use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::process::wait_until;

/// Every table that there is.
const TABLES: [&str; 7] = [
    "accounts",
    "sessions",
    "failed_log_ins",
    "idempotency_keys",
    "password_resets",
    "api_keys",
    "audit",
];

/// An SQLite file that a node made, and no node uses any more.
struct Source {
    folder: TempDir,
}

impl Source {
    fn new(fill: impl FnOnce(&Node)) -> Self {
        let source = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let node = Node::start_with(|config| config.database.url = source.url());
        fill(&node);
        drop(node);
        source
    }

    /// With so many accounts that a copy takes a while, each with a session.
    fn large() -> Self {
        const MANY: u32 = 100_000;
        let source = Self::new(|_| {});
        source.sql(&format!(
            "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < {MANY}) \
             INSERT INTO accounts (id, email, email_normal, password_hash, role, created_at) \
             SELECT printf('%08d', n), 'u' || n || '@example.com', 'u' || n || '@example.com', hex(randomblob(50)), 'user', n FROM n"
        ));
        source.sql(
            "INSERT INTO sessions (id, account_id, family_hash, token_hash, expires_at) \
             SELECT 's' || id, id, randomblob(32), randomblob(32), 9000000000 FROM accounts",
        );
        source
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("auth.db")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    fn sql(&self, sql: &str) -> Vec<i64> {
        database::run(&self.url(), sql).unwrap()
    }

    fn counts(&self) -> Vec<i64> {
        TABLES.map(|table| count(&self.url(), table)).to_vec()
    }

    fn copy_to(&self, target: &str) -> Child {
        auth_core(&["database", "copy", "--from", &self.url(), "--to", target])
    }
}

/// A database of its own on the server.
fn empty(postgres: &Postgres, name: &str) -> String {
    database::run(&postgres.url, &format!("CREATE DATABASE {name}")).unwrap();
    postgres.url.replacen("/postgres", &format!("/{name}"), 1)
}

fn count(url: &str, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    database::run(url, &sql).map_or(0, |counts| counts[0])
}

fn auth_core(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_auth-core"))
        .args(arguments)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How it ended and all that it said, without what differs from run to run.
fn said(child: Child) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let text = String::from_utf8([stderr, stdout].concat()).unwrap();
    let mut text = format!("exit {}\n{text}", status.code().unwrap());
    if let Some(at) = text.rfind(" in ")
        && text.ends_with(" s\n")
    {
        text.truncate(at);
        text += " in [seconds] s\n";
    }
    text
}

#[test]
fn all_that_there_is_is_copied_and_nodes_go_on_with_it_in_postgresql() {
    let mut tokens = serde_json::Value::Null;
    let source = Source::new(|node| {
        tokens = node.sign_up(EMAIL, PASSWORD)["data"]["signUp"].clone();
        node.log_in(EMAIL, "a wrong password");
        let key = [("idempotency-key", "a-key-of-a-test")];
        node.log_in_with(&key, EMAIL, PASSWORD);
        node.sign_up("o'neil@example.com", PASSWORD);
        let of_o_neil = "SELECT id FROM accounts WHERE email LIKE 'o%'";
        let reset =
            format!("INSERT INTO password_resets SELECT x'00ff', ({of_o_neil}), 9000000000");
        node.sql(&reset);
        node.sql("INSERT INTO failed_log_ins VALUES ('nobody@example.com', 3, 9000000000)");
        node.sql("INSERT INTO api_keys VALUES ('robot', 'abc', '/a /b', 1)");
        // What COPY writes in a way of its own; and an id that was given, and is gone.
        node.sql("INSERT INTO audit (id, at, event, detail) VALUES (41, 9000000000, '\\N', 'a\\b' || char(8, 9, 10, 11, 12, 13, 127, 233, 128512))");
        node.sql("INSERT INTO audit (id, at, event, detail) VALUES (42, 9000000000, '\\.', '')");
        node.sql("INSERT INTO audit (id, at, event) VALUES (99, 9000000000, 'gone')");
        node.sql("DELETE FROM audit WHERE id = 99");
    });
    assert!(
        source.counts().iter().all(|count| *count > 0),
        "{:?}",
        source.counts()
    );
    let postgres = Postgres::start();
    let target = empty(&postgres, "copied");
    let before = std::fs::read(source.file()).unwrap();

    // As the page has it, with other places.
    let page = std::fs::read_to_string("../docs/how-to/move-to-postgresql.md").unwrap();
    let command = page
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("$ auth-core database copy "))
        .expect("the command of the page");
    let password = source.folder.path().join("password");
    std::fs::write(&password, "not asked for here\n").unwrap();
    let arguments = command.split(' ').map(|argument| match argument {
        "sqlite:/var/lib/auth-core/auth.db" => source.url(),
        "postgres://auth-core@10.0.0.5:5432/auth-core" => target.clone(),
        "/run/secrets/authstack-database-password" => password.display().to_string(),
        other => {
            assert!(other.starts_with("--"), "{other}");
            other.to_owned()
        }
    });
    let arguments: Vec<_> = ["database", "copy"]
        .map(str::to_owned)
        .into_iter()
        .chain(arguments)
        .collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    assert_snapshot!("copied", said(auth_core(&arguments)));

    assert_eq!(
        TABLES.map(|table| count(&target, table)).to_vec(),
        source.counts()
    );
    let odd = "SELECT count(*) FROM audit WHERE event = '\\N' AND detail = 'a\\b' || chr(8) || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(127) || chr(233) || chr(128512)";
    assert_eq!(database::run(&target, odd).unwrap(), [1]);
    assert_eq!(std::fs::read(source.file()).unwrap(), before);

    let node = Node::start_with(|config| config.database.url.clone_from(&target));
    let refresh =
        "mutation($token: String!) { refresh(refreshToken: $token) { account { email } } }";
    let variables = json!({ "token": tokens["refreshToken"] });
    let refreshed = node.graphql(&[], refresh, variables);
    assert_eq!(refreshed["data"]["refresh"]["account"]["email"], EMAIL);
    assert!(node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
    assert_eq!(code(&node.sign_up(EMAIL, PASSWORD)), "EMAIL_TAKEN");
    assert_eq!(node.sql("SELECT min(id) FROM audit WHERE id > 42"), [100]);
}

#[test]
fn a_copy_that_was_killed_goes_on_where_it_was() {
    let source = Source::large();
    let postgres = Postgres::start();
    let target = empty(&postgres, "interrupted");
    let mut copying = source.copy_to(&target);
    wait_until("some accounts are there", || count(&target, "accounts") > 0);
    copying.kill().unwrap();
    copying.wait().unwrap();
    let there = count(&target, "accounts");
    assert!(there < source.counts()[0], "it was through already");
    // Were these written again, there would be another row with their key.
    assert_snapshot!("gone_on", said(source.copy_to(&target)));
    assert_snapshot!("once_more", said(source.copy_to(&target)));
}

#[test]
fn a_target_that_has_anything_else_is_refused_and_left_as_it_was() {
    let source = Source::new(|node| {
        node.sign_up(EMAIL, PASSWORD);
    });
    let postgres = Postgres::start();
    let others = empty(&postgres, "others");
    let node = Node::start_with(|config| config.database.url.clone_from(&others));
    node.sign_up("another@example.com", PASSWORD);
    drop(node);
    assert_snapshot!("of_others", said(source.copy_to(&others)));
    // The first table to be written to is as empty as before.
    let later = empty(&postgres, "later");
    let node = Node::start_with(|config| config.database.url.clone_from(&later));
    node.sql("INSERT INTO audit (at, event) VALUES (9000000000, 'other')");
    drop(node);
    assert!(said(source.copy_to(&later)).contains("audit there has rows"));
    assert_eq!(count(&later, "accounts"), 0);
    // The same rows but for one value.
    let changed = empty(&postgres, "changed");
    assert!(said(source.copy_to(&changed)).starts_with("exit 0"));
    database::run(&changed, "UPDATE accounts SET role = 'admin'").unwrap();
    assert!(said(source.copy_to(&changed)).contains("accounts there has rows"));
}

#[test]
fn what_is_written_during_a_copy_is_told() {
    let source = Source::large();
    let postgres = Postgres::start();
    let [written, changed] = ["written", "changed"].map(|name| empty(&postgres, name));
    let copying = source.copy_to(&written);
    wait_until("some accounts are there", || {
        count(&written, "accounts") > 0
    });
    source.sql("UPDATE accounts SET role = 'admin' WHERE id = '00000001'");
    assert_snapshot!("source_written_to", said(copying));
    assert_eq!(count(&written, "accounts"), source.counts()[0]);

    let copying = source.copy_to(&changed);
    wait_until("some accounts are there", || {
        count(&changed, "accounts") > 0
    });
    database::run(
        &changed,
        "UPDATE accounts SET role = 'admin' WHERE id = '00000002'",
    )
    .unwrap();
    assert_snapshot!("target_written_to", said(copying));
}

#[test]
fn what_cannot_be_copied_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = format!("sqlite:{}/nothing.db", folder.path().display());
    let no_tables = format!("sqlite:{}/empty.db", folder.path().display());
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    let source = Source::new(|_| {});
    let to = "postgres://auth-core@127.0.0.1:1/auth-core";
    let mut all = String::new();
    for (from, to) in [
        (&*nothing, to),
        (&no_tables, to),
        ("postgres://somebody@localhost/auth-core", to),
        (&source.url(), to),
        (&nothing, "sqlite:another.db"),
        (&nothing, "postgres://somebody:secret@localhost/auth-core"),
        (
            &nothing,
            "postgres://somebody@localhost/auth-core?password=secret",
        ),
    ] {
        let copy = ["database", "copy", "--from", from, "--to", to];
        all += &said(auth_core(&copy));
    }
    all += &said(auth_core(&["database", "copy", "--help"]));
    assert!(!all.contains("secret"), "{all}");
    let all = all.replace(folder.path().to_str().unwrap(), "[folder]");
    assert_snapshot!("refused", all);
}
