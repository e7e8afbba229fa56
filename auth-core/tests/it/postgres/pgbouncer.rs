//! Behind PgBouncer, which lends a node one of a few connections, for as long as a transaction takes.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Postgres, Server, open_to_all, program, unprivileged};
use crate::database;
use crate::node::{Node, PASSWORD};

/// Most connections to PostgreSQL.
const LENT: i64 = 2;

struct PgBouncer {
    url: String,
    _dir: TempDir,
    process: Child,
}

impl PgBouncer {
    /// Before a private server.
    fn before(postgres: &Postgres) -> Self {
        let Server::Private(server, _) = &postgres.server else {
            panic!("not a private server");
        };
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        open_to_all(dir.path());
        let settings = format!(
            "[databases]\n\
             postgres = host={} user=auth\n\
             [pgbouncer]\n\
             unix_socket_dir = {}\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {LENT}\n\
             server_round_robin = 1\n\
             max_prepared_statements = 100\n\
             ignore_startup_parameters = extra_float_digits,idle_in_transaction_session_timeout\n",
            server.path().display(),
            dir.path().display(),
        );
        let file = dir.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let process = unprivileged(&program("pgbouncer"))
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            url: format!(
                "postgres://auth@localhost/postgres?host={}&port=6432",
                dir.path().display()
            ),
            _dir: dir,
            process,
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Whoever cannot be killed has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether this machine's keeps prepared statements: Debian 12 has one that does not.
fn keeps_statements() -> bool {
    let output = Command::new(program("pgbouncer"))
        .arg("--version")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u32> = (said.split_whitespace().nth(1).unwrap_or_default())
        .split('.')
        .map_while(|number| number.parse().ok())
        .collect();
    numbers.as_slice() >= [1, 21].as_slice()
}

#[test]
fn nodes_that_share_two_connections_leave_nothing_behind_on_them() {
    if !keeps_statements() {
        eprintln!("not tried: PgBouncer is older than 1.21");
        return;
    }
    let postgres = Postgres::private();
    postgres.wait_until_up();
    let pgbouncer = PgBouncer::before(&postgres);
    for (round, nodes) in [1, 4, 4].into_iter().enumerate() {
        // At once, so that each is lent what another has used.
        std::thread::scope(|scope| {
            for number in 0..nodes {
                let url = &pgbouncer.url;
                scope.spawn(move || {
                    let node = Node::start_with(|config| config.database.url.clone_from(url));
                    let email = format!("user-{round}-{number}@example.com");
                    let answer = node.sign_up(&email, PASSWORD);
                    let token = answer["data"]["signUp"]["accessToken"].clone();
                    for _ in 0..5 {
                        assert!(node.log_in(&email, PASSWORD)["data"]["logIn"].is_object());
                        let me = node.with(token.as_str().unwrap()).me();
                        assert_eq!(me["data"]["me"]["email"], email.as_str());
                    }
                });
            }
        });
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        assert_eq!(database::run(&postgres.url, locks).unwrap(), [0]);
    }
    let lent = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    assert_eq!(database::run(&postgres.url, lent).unwrap(), [LENT]);
}
