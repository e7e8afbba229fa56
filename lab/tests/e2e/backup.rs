//! A lost disk costs no account that was there when the newest backup was made: by the script that NixOS runs, and real age.

use std::{
    cell::RefCell,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
};

use lab::{TopologyName, programs};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{CHEAP, PASSWORD, SERVING, TestStack, code, eventually, start, start_with};

/// Who makes backups, and who can read them.
struct Safe<'a> {
    stack: &'a TestStack,
    folder: PathBuf,
    path: String,
}

impl<'a> Safe<'a> {
    async fn new(stack: &'a TestStack) -> Self {
        let folder = stack.directory().join("safe");
        fs::create_dir_all(folder.join("backups")).unwrap();
        let found = programs::find(&["pg_isready", "age"]).unwrap();
        let mut path = vec![
            programs::built("auth-core")
                .unwrap()
                .parent()
                .unwrap()
                .to_owned(),
            found["pg_isready"].parent().unwrap().to_owned(),
        ];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
        let path = env::join_paths(path).unwrap().into_string().unwrap();
        let safe = Self {
            stack,
            folder,
            path,
        };
        for key in ["key", "another"] {
            let made = safe.shell(&format!("age-keygen --output {key}")).await;
            assert!(made.status.success(), "{made:?}");
        }
        let public = safe.shell("age-keygen -y key > recipients").await;
        assert!(public.status.success(), "{public:?}");
        safe
    }

    /// What NixOS runs, by a timer, with settings of the test.
    async fn back_up(&self, settings: &str) -> Output {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../nixos-modules/render/backup.sh");
        let node = self.config();
        let dump = match self.stack.stack.part("postgres") {
            Ok(postgres) => format!("pg_dump --dbname={}", postgres.url),
            Err(_) => format!("auth-core --config {}", node.display()),
        };
        let metrics = self
            .stack
            .directory()
            .join("parts/node-exporter/textfile/backup.prom");
        fs::create_dir_all(metrics.parent().unwrap()).unwrap();
        self.shell(&format!(
            "BACKUP_RECIPIENTS=recipients BACKUP_METRICS={} TMPDIR=$PWD/work BACKUP_DIRECTORY=backups {settings} sh {} {dump}",
            metrics.display(),
            script.display()
        ))
        .await
    }

    fn config(&self) -> PathBuf {
        self.stack.directory().join("parts/auth1/auth-core.toml")
    }

    /// Names in the order of time.
    fn backups(&self) -> Vec<String> {
        names(&self.folder.join("backups"))
    }

    async fn shell(&self, line: &str) -> Output {
        let work = self.folder.join("work");
        fs::create_dir_all(&work).unwrap();
        let password = self.stack.directory().join("keys/postgres-password");
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env(
                "PGPASSWORD",
                fs::read_to_string(password).unwrap_or_default(),
            )
            .output()
            .await
            .unwrap();
        assert_eq!(
            names(&work),
            [""; 0],
            "what is not encrypted stays on the disk"
        );
        output
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// Signs people up until `meanwhile` is over. Answers those whose sign-up was acknowledged before it began, thirty or more.
async fn with_sign_ups(stack: &TestStack, meanwhile: impl Future<Output = ()>) -> Vec<String> {
    let acknowledged = RefCell::new(Vec::new());
    let signing_up = async {
        for number in 0.. {
            // An address gets no more than its share of hashes.
            let client = stack.client_at((1 + number / 40) as u8);
            let email = format!("user{number}@example.com");
            let request = stack.sign_up_request(&email).build().unwrap();
            let answer: Value = client.execute(request).await.unwrap().json().await.unwrap();
            assert!(answer["data"]["signUp"].is_object(), "{answer}");
            acknowledged.borrow_mut().push(email);
        }
    };
    let mut before = Vec::new();
    let work = async {
        eventually("thirty accounts are made", || async {
            (acknowledged.borrow().len() >= 30).then_some(())
        })
        .await;
        before.clone_from(&acknowledged.borrow());
        meanwhile.await;
        let then = acknowledged.borrow().len();
        eventually("people go on to sign up", || async {
            (acknowledged.borrow().len() > then).then_some(())
        })
        .await;
    };
    tokio::select! { () = signing_up => {}, () = work => {} }
    before
}

async fn everybody_logs_in(stack: &TestStack, emails: &[String]) {
    for (number, email) in emails.iter().enumerate() {
        let client = stack.client_at((100 + number / 40) as u8);
        let request = stack.request(
            "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { account { email } } }",
            json!({ "email": email, "password": PASSWORD }),
        );
        let answer = client.execute(request.build().unwrap()).await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(
            answer["data"]["logIn"]["account"]["email"], *email,
            "{answer}"
        );
    }
}

async fn start_all(stack: &TestStack, nodes: &[&str]) {
    for node in nodes {
        stack.stack.start_part(node).await.unwrap();
        eventually("the gateway uses the node", || async {
            (stack.node_state(node).await == "UP").then_some(())
        })
        .await;
    }
}

async fn refresh(stack: &TestStack, token: &str) -> Value {
    let query = "mutation($token: String!) { refresh(refreshToken: $token) { accessToken } }";
    stack.ask(query, json!({ "token": token }), None).await
}

/// The refresh token of somebody who signs up.
async fn session(stack: &TestStack) -> String {
    let query = "mutation($password: String!) { signUp(email: \"ann@example.com\", password: $password) { refreshToken } }";
    let answer = stack
        .ask(query, json!({ "password": PASSWORD }), None)
        .await;
    let token = answer["data"]["signUp"]["refreshToken"].as_str();
    token.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn a_lost_disk_costs_no_account_that_was_acknowledged_before_the_backup() {
    let stack = start(SERVING).await;
    let safe = Safe::new(&stack).await;
    let token = session(&stack).await;
    let backed_up = async {
        let made = safe.back_up("BACKUP_KEEP=2").await;
        assert!(made.status.success(), "{}", said(&made));
    };
    let mut emails = with_sign_ups(&stack, backed_up).await;
    emails.push("ann@example.com".to_owned());
    let backups = safe.backups();
    assert_eq!(backups.len(), 1, "{backups:?}");
    let backup = safe.folder.join("backups").join(&backups[0]);
    let mode = fs::metadata(&backup).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        fs::read(&backup)
            .unwrap()
            .starts_with(b"age-encryption.org/v1")
    );

    let restore = |key: &str| {
        format!(
            "age --decrypt --identity {key} {} | auth-core restore - --config {}",
            backup.display(),
            safe.config().display()
        )
    };
    let refused = safe.shell(&restore("key")).await;
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("auth.db is there: a restore overwrites nothing"),
        "{}",
        said(&refused)
    );

    for node in ["auth1", "auth2"] {
        stack.stack.kill_part(node).await.unwrap();
    }
    let data = stack.directory().join("data");
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(data.join(format!("auth.db{suffix}"))).unwrap();
    }
    let before = names(&data);
    let refused = safe.shell(&restore("another")).await;
    assert!(!refused.status.success());
    assert!(
        said(&refused).contains("no identity matched any of the recipients"),
        "{}",
        said(&refused)
    );
    assert!(
        said(&refused).contains("-: it is empty"),
        "{}",
        said(&refused)
    );
    assert_eq!(names(&data), before);

    let restored = safe.shell(&restore("key")).await;
    assert!(restored.status.success(), "{}", said(&restored));
    start_all(&stack, &["auth1", "auth2"]).await;
    everybody_logs_in(&stack, &emails).await;
    assert_eq!(code(&refresh(&stack, &token).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_lost_postgresql_costs_no_account_either_and_no_session_comes_back() {
    let parts = ["postgres", "auth1", "gateway"];
    let stack = start_with(TopologyName::Cluster, &parts, Some(CHEAP)).await;
    let safe = Safe::new(&stack).await;
    let token = session(&stack).await;
    let backed_up = async {
        let made = safe.back_up("BACKUP_KEEP=2").await;
        assert!(made.status.success(), "{}", said(&made));
    };
    let mut emails = with_sign_ups(&stack, backed_up).await;
    emails.push("ann@example.com".to_owned());

    stack.stack.kill_part("auth1").await.unwrap();
    stack.stack.kill_part("postgres").await.unwrap();
    fs::remove_dir_all(stack.directory().join("data/scratch/data")).unwrap();
    stack.stack.start_part("postgres").await.unwrap();
    let url = stack.url("postgres");
    let restore = format!(
        "age --decrypt --identity key backups/{} | pg_restore --exit-on-error --single-transaction --dbname={url}",
        safe.backups()[0]
    );
    let restored = safe.shell(&restore).await;
    assert!(restored.status.success(), "{}", said(&restored));
    let refused = safe.shell(&restore).await;
    assert!(!refused.status.success(), "it overwrites nothing");
    start_all(&stack, &["auth1"]).await;
    everybody_logs_in(&stack, &emails).await;
    assert_eq!(code(&refresh(&stack, &token).await), "UNAUTHENTICATED");
}

#[tokio::test]
async fn the_newest_backups_are_kept_and_one_that_fails_leaves_nothing_and_takes_none_away() {
    let stack = start(&["auth1"]).await;
    let safe = Safe::new(&stack).await;
    let older: Vec<_> = (1..=4)
        .map(|day| format!("accounts-2020010{day}T000000Z.age"))
        .collect();
    for name in older
        .iter()
        .map(String::as_str)
        .chain(["accounts-x.age.unfinished", "diary"])
    {
        fs::write(safe.folder.join("backups").join(name), "").unwrap();
    }
    let made = safe.back_up("BACKUP_KEEP=3").await;
    assert!(made.status.success(), "{}", said(&made));
    let after = safe.backups();
    assert_eq!(after[..2], older[2..]);
    assert_eq!(after[3..], ["diary"]);
    let metrics = stack
        .directory()
        .join("parts/node-exporter/textfile/backup.prom");
    let told = fs::read_to_string(&metrics).unwrap();

    // A disk that does not keep what was written.
    let made = safe
        .shell("mkdir faults && printf '#!/bin/sh\nexit 1\n' >faults/sync && chmod +x faults/sync")
        .await;
    assert!(made.status.success());
    let failed = safe.back_up("BACKUP_KEEP=1 PATH=$PWD/faults:$PATH").await;
    assert!(!failed.status.success());
    assert_eq!(safe.backups(), after);
    fs::write(safe.folder.join("recipients"), "age1nobody").unwrap();
    let failed = safe.back_up("BACKUP_KEEP=1").await;
    assert!(!failed.status.success());
    assert!(
        said(&failed).contains("backup: nothing was backed up: it could not be encrypted"),
        "{}",
        said(&failed)
    );
    fs::remove_file(stack.directory().join("parts/auth1/auth-core.toml")).unwrap();
    let failed = safe.back_up("BACKUP_KEEP=1").await;
    assert!(!failed.status.success());
    assert!(
        said(&failed).contains("backup: nothing was backed up: the line above says why"),
        "{}",
        said(&failed)
    );
    assert_eq!(safe.backups(), after);
    assert_eq!(fs::read_to_string(metrics).unwrap(), told);
}

#[tokio::test]
async fn prometheus_knows_when_the_newest_backup_was_made_and_how_large_it_is() {
    let stack = start(&["auth1", "prometheus", "node-exporter"]).await;
    let safe = Safe::new(&stack).await;
    let made = safe.back_up("BACKUP_KEEP=2").await;
    assert!(made.status.success(), "{}", said(&made));
    let size = fs::metadata(safe.folder.join("backups").join(&safe.backups()[0]))
        .unwrap()
        .len();
    for (expr, least, most) in [
        (
            "time() - auth_backup_last_success_timestamp_seconds",
            0.0,
            60.0,
        ),
        (
            "auth_backup_size_bytes{node=\"node-exporter\"}",
            size as f64,
            size as f64,
        ),
    ] {
        eventually(&format!("{expr} is known"), || async {
            let url = stack.url("prometheus") + "/api/v1/query";
            let url = reqwest::Url::parse_with_params(&url, [("query", expr)]).unwrap();
            let answer = stack.json(url.as_str()).await;
            let value: f64 = answer["data"]["result"][0]["value"][1]
                .as_str()?
                .parse()
                .unwrap();
            (least..=most).contains(&value).then_some(())
        })
        .await;
    }
}
