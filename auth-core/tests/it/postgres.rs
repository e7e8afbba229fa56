//! What there is on a real PostgreSQL alone: it goes away and comes back, has replicas, a pooler, and gets copies.

mod copy;
mod pgbouncer;
mod replica;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use auth_core::config::Database;
use auth_core::store::Source;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use testcontainers::core::IntoContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt, TestcontainersError};
use tokio::runtime::Runtime;

use crate::database;
use crate::node::{EMAIL, Node, PASSWORD, code};

/// Many nodes have many connections.
const MAX_CONNECTIONS: &str = "max_connections=1000";

/// A PostgreSQL of its own, which ends with the test, even one that fails.
pub struct Postgres {
    pub url: String,
    server: Server,
}

enum Server {
    /// Where a Docker engine answers.
    Container(Runtime, Option<Box<ContainerAsync<GenericImage>>>),
    /// Else a server on a socket in a folder of its own.
    Private(TempDir, Option<Child>),
}

impl Postgres {
    pub fn start() -> Self {
        let postgres = Self::container().unwrap_or_else(|error| {
            eprintln!("no container ({error}): a private server");
            Self::private()
        });
        postgres.wait_until_up();
        postgres
    }

    fn wait_until_up(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = database::run(&self.url, "SELECT 1::bigint") {
            assert!(Instant::now() < deadline, "PostgreSQL: {error}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn container() -> Result<Self, TestcontainersError> {
        let runtime = Runtime::new().unwrap();
        let image = GenericImage::new("postgres", "17-alpine")
            .with_exposed_port(5432.tcp())
            .with_env_var("POSTGRES_USER", "auth")
            .with_env_var("POSTGRES_DB", "postgres")
            .with_env_var("POSTGRES_HOST_AUTH_METHOD", "trust")
            .with_cmd(["postgres", "-c", MAX_CONNECTIONS, "-c", "fsync=off"]);
        let (container, host, port) = runtime.block_on(async {
            let container = image.start().await?;
            let host = container.get_host().await?;
            let port = container.get_host_port_ipv4(5432).await?;
            Ok::<_, TestcontainersError>((container, host, port))
        })?;
        Ok(Self {
            url: format!("postgres://auth@{host}:{port}/postgres"),
            server: Server::Container(runtime, Some(Box::new(container))),
        })
    }

    fn private() -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
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
        let mut postgres = Self {
            url: format!(
                "postgres://auth@localhost/postgres?host={}",
                dir.path().display()
            ),
            server: Server::Private(dir, None),
        };
        postgres.up();
        postgres
    }

    fn up(&mut self) {
        match &mut self.server {
            // Started again it would have another port.
            Server::Container(runtime, Some(container)) => {
                runtime.block_on(container.unpause()).unwrap();
            }
            Server::Container(_, None) => {}
            Server::Private(dir, server) => {
                assert!(server.is_none(), "it runs");
                let spawned = unprivileged(&program("postgres"))
                    .args(["-c", "listen_addresses=", "-c", "fsync=off"])
                    .args(["-c", MAX_CONNECTIONS, "-k"])
                    .arg(dir.path())
                    .arg("-D")
                    .arg(dir.path().join("data"))
                    .stderr(Stdio::null())
                    .stdout(Stdio::null())
                    .spawn();
                *server = Some(spawned.unwrap());
            }
        }
    }

    fn down(&mut self) {
        match &mut self.server {
            Server::Container(runtime, Some(container)) => {
                runtime.block_on(container.pause()).unwrap();
            }
            Server::Container(_, None) => {}
            Server::Private(_, server) => {
                if let Some(mut server) = server.take() {
                    // SIGINT is PostgreSQL's fast shutdown.
                    Command::new("kill")
                        .args(["-INT", &server.id().to_string()])
                        .status()
                        .unwrap();
                    server.wait().unwrap();
                }
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Server::Container(runtime, container) = &mut self.server {
            if let Some(container) = container.take()
                && let Err(error) = runtime.block_on(container.rm())
            {
                eprintln!("the container is left behind: {error}");
            }
        } else {
            self.down();
        }
    }
}

fn program(name: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.map(|version| version.unwrap().path().join("bin")));
    }
    // Not in the PATH of Debian's users.
    folders.push("/usr/sbin".into());
    let found = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!(
            "there is no {name} on this machine: `apt-get install postgresql pgbouncer`, or `./dev install`"
        )
    })
}

/// PostgreSQL refuses to run as root. What is started ends when the test is killed.
fn unprivileged(program: &Path) -> Command {
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(program);
    command
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o777)).unwrap();
}

#[test]
fn a_postgresql_that_goes_away_and_comes_back_costs_no_restart() {
    let mut postgres = Postgres::start();
    let node = Node::start_with(|config| config.database.url.clone_from(&postgres.url));
    let token = node.sign_up(EMAIL, PASSWORD)["data"]["signUp"]["accessToken"].clone();
    let me = || node.with(token.as_str().unwrap()).me();
    assert_eq!(me()["data"]["me"]["email"], EMAIL);
    postgres.down();
    assert_eq!(code(&node.log_in(EMAIL, PASSWORD)), "UNAVAILABLE");
    // More than one query takes.
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(code(&me()), "UNAVAILABLE"));
        }
    });
    assert_ne!(node.get("/readyz").status, 200);
    assert_eq!(node.get("/healthz").status, 200);
    postgres.up();
    node.wait_until("ready again", || node.get("/readyz").status == 200);
    assert!(node.log_in(EMAIL, PASSWORD)["data"]["logIn"].is_object());
    assert_eq!(me()["data"]["me"]["email"], EMAIL);
}

#[test]
fn a_node_that_vanished_in_the_midst_of_a_sign_up_does_not_keep_another_from_it() {
    let postgres = Postgres::start();
    let node = Node::start_with(|config| config.database.url.clone_from(&postgres.url));
    let settings = Database {
        url: postgres.url.clone(),
        ..Database::default()
    };
    let Ok(Source::Postgres(options)) = Source::new(&settings) else {
        panic!("not PostgreSQL: {}", postgres.url);
    };
    let runtime = Runtime::new().unwrap();
    // Connected as a node is; then nothing more is heard of it.
    let _vanished = runtime.block_on(async {
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let begun = "INSERT INTO accounts (id, email, email_normal, password_hash, role, created_at) VALUES ('1', $1, $1, '', 'user', 0)";
        sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
        let insert = sqlx::query(begun).bind(EMAIL);
        insert.execute(&mut connection).await.unwrap();
        connection
    });
    let answer = node.sign_up(EMAIL, PASSWORD);
    assert!(answer["data"]["signUp"].is_object(), "{answer}");
}

/// As one that is being restored, or whose disk has no room for what it writes when somebody comes.
#[test]
fn a_postgresql_that_lets_nobody_in_is_away_and_not_wrong() {
    let postgres = Postgres::start();
    let on_server = |sql: &str| database::run(&postgres.url, sql).unwrap();
    on_server("CREATE DATABASE accounts");
    let node = Node::start_with(|config| {
        config.database.url = postgres.url.replacen("/postgres", "/accounts", 1);
    });
    node.sign_up(EMAIL, PASSWORD);

    on_server("ALTER DATABASE accounts ALLOW_CONNECTIONS false");
    on_server(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'accounts'",
    );
    let answer = node.log_in(EMAIL, PASSWORD);
    assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");

    on_server("ALTER DATABASE accounts ALLOW_CONNECTIONS true");
    let answer = node.log_in(EMAIL, PASSWORD);
    assert!(answer["data"]["logIn"].is_object(), "{answer}");
}
