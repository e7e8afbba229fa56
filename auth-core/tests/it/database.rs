//! The database of each node under test: an SQLite file, or a database on the PostgreSQL server that [`SERVER`] names.
//!
//! `all_on_postgres.rs` runs all tests once more with that variable set, but for a few. By hand, on any server where one may create databases:
//! `AUTH_CORE_TEST_POSTGRES=postgres://ME@localhost/postgres cargo test -p auth-core sessions::`

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

/// Names the URL of a server's database `postgres`.
pub const SERVER: &str = "AUTH_CORE_TEST_POSTGRES";

/// Refuses an SQLite file where PostgreSQL was asked for. A test that must have one is an exception, and `all_on_postgres.rs` lists it.
pub fn assert_asked_for(url: &str) {
    let on_postgresql = std::env::var_os(SERVER).is_some();
    assert!(
        !(on_postgresql && url.starts_with("sqlite:")),
        "{url}: this test does not run on PostgreSQL"
    );
}

/// The URL of a new, empty database for a node in `dir`.
pub fn fresh(dir: &Path) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var(SERVER) else {
        return format!("sqlite:{}", dir.join("auth.db").display());
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let name = format!(
        "test_{}_{}",
        since.as_nanos(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    run(&server, &format!("CREATE DATABASE {name}")).unwrap();
    server.replacen("/postgres", &format!("/{name}"), 1)
}

/// Runs SQL and answers the numbers in the first column.
pub fn run(url: &str, sql: &str) -> sqlx::Result<Vec<i64>> {
    let sql = AssertSqlSafe(sql.to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await?;
            sqlx::query_scalar(sql).fetch_all(&mut connection).await
        } else {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::query_scalar(sql).fetch_all(&mut connection).await
        }
    })
}

/// Whether these bytes are anywhere in a database, or with SQLite in its files.
pub fn holds(url: &str, bytes: &[u8]) -> bool {
    let found = |all: &[u8], some: &[u8]| all.windows(some.len()).any(|window| window == some);
    if let Some(file) = url.strip_prefix("sqlite:") {
        let files = ["", "-wal"].map(|suffix| std::fs::read(format!("{file}{suffix}")).unwrap());
        return files.iter().any(|file| found(file, bytes));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dump: String = runtime
        .block_on(async {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::query("SET xmlbinary = hex")
                .execute(&mut connection)
                .await?;
            sqlx::query_scalar("SELECT database_to_xml(true, true, '')::text")
                .fetch_one(&mut connection)
                .await
        })
        .unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    found(dump.as_bytes(), bytes) || found(dump.as_bytes(), hex.as_bytes())
}
