//! Reaching the database, however late it comes up, and bringing its tables up to date.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{Pools, Store, migrations};
use crate::config::{ConfigError, Database};
use crate::error::Cause;
use crate::telemetry::metrics::Connections;

/// How long a request waits for a connection, a new one included.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long PostgreSQL keeps a transaction open in which nothing happens. A node that vanishes in the midst of one holds its
/// locks, and whoever repeats the request on another node waits for them; this is shorter than they wait.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "2s";

/// Of PostgreSQL's advisory locks, that of a node that brings the tables up to date: "migr" in ASCII.
const MIGRATION_LOCK: i64 = 0x6d69_6772;

/// Where the database is.
pub enum Source {
    /// One file, shared by all nodes of one machine.
    Sqlite(Box<SqliteConnectOptions>),
    /// A server, shared by all nodes.
    Postgres(Box<PgConnectOptions>),
}

impl Source {
    /// Reads the configuration without connecting.
    ///
    /// # Errors
    /// A URL that is not one of the two kinds, or a password file that cannot be read.
    pub fn new(database: &Database) -> Result<Self, ConfigError> {
        // The error of the URL's parser is not shown: the URL might have a password in it.
        let wrong = || {
            let text = "database.url: expected sqlite:FILE or postgres://USER@HOST:PORT/DATABASE";
            ConfigError(text.to_owned())
        };
        if database.max_connections == 0 {
            return Err(ConfigError(
                "database.max_connections must be 1 or more".to_owned(),
            ));
        }
        if database.url.starts_with("sqlite:") {
            if database.password_file.is_some() {
                let text = "database.password_file is for PostgreSQL only; remove it or change database.url";
                return Err(ConfigError(text.to_owned()));
            }
            let options = SqliteConnectOptions::from_str(&database.url).map_err(|_| wrong())?;
            let file = options.get_filename();
            if let Some(folder) = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                && !folder.is_dir()
            {
                return Err(ConfigError::file(
                    "database.url",
                    file,
                    "the folder does not exist",
                ));
            }
            // WAL lets two processes read while one writes; FULL makes an acknowledged sign-up survive a power cut.
            return Ok(Self::Sqlite(Box::new(
                options
                    .create_if_missing(true)
                    .foreign_keys(true)
                    .busy_timeout(Duration::from_secs(5))
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .disable_statement_logging(),
            )));
        }
        if !database.url.starts_with("postgres:") && !database.url.starts_with("postgresql:") {
            return Err(wrong());
        }
        let mut options = PgConnectOptions::from_str(&database.url).map_err(|_| wrong())?;
        if let Some(path) = &database.password_file {
            let key = "database.password_file";
            let password = String::from_utf8(ConfigError::read(key, path)?)
                .map_err(|_| ConfigError::file(key, path, "is not UTF-8 text"))?;
            options = options.password(password.trim_end_matches(['\r', '\n']));
        }
        let options = options
            .application_name("auth-core")
            .options([(
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_TIMEOUT,
            )])
            .disable_statement_logging();
        Ok(Self::Postgres(Box::new(options)))
    }
}

impl Store {
    /// A store that is reached in the background, as soon as the database is there.
    ///
    /// Until [`Store::bring_up`] is through, every query fails with `Unavailable`.
    pub fn new(source: Source, max_connections: u32) -> Self {
        let pools = match source {
            Source::Sqlite(options) => Pools::Sqlite(
                PoolOptions::new()
                    .max_connections(max_connections)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    // A file does not hang up.
                    .test_before_acquire(false)
                    // SQLite ends a transaction itself when the disk is full, and sqlx goes on counting it: whatever comes later on that
                    // connection would be within it, acknowledged and never committed, with the file locked for all others.
                    .after_release(|connection: &mut SqliteConnection, _| {
                        Box::pin(async move {
                            if !connection.is_in_transaction() {
                                return Ok(true);
                            }
                            // A rollback may be under way. It has come to its end when this is answered.
                            connection.ping().await?;
                            Ok(!connection.is_in_transaction())
                        })
                    })
                    .connect_lazy_with(*options),
            ),
            Source::Postgres(options) => Pools::Postgres(
                PoolOptions::new()
                    .max_connections(max_connections)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_lazy_with(*options),
            ),
        };
        Self {
            pools,
            migrated: Arc::new(AtomicBool::new(false)),
            asked: Arc::default(),
            outage: Arc::default(),
            replica: None,
        }
    }

    /// Connects and migrates, again and again until it works. Several nodes may do so at once.
    pub async fn bring_up(&self) {
        let mut pause = Duration::from_millis(100);
        loop {
            match self.reach().await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "the database cannot be used yet, trying again in {pause:?}")
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        tracing::info!("the database is ready");
    }

    /// Connects and migrates, once.
    ///
    /// # Errors
    /// Why the database cannot be used.
    pub async fn reach(&self) -> Result<(), Cause> {
        self.migrate().await?;
        self.migrated.store(true, Ordering::Release);
        Ok(())
    }

    async fn migrate(&self) -> Result<(), Cause> {
        // `run_direct`, because the future of `run` cannot be spawned (its bound on `Acquire` is not general enough).
        match &self.pools {
            Pools::Sqlite(pool) => {
                // sqlx takes no lock on SQLite: two nodes that start together would both create the tables.
                let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                migrations::sqlite()
                    .run_direct(None, &mut *transaction, false)
                    .await?;
                transaction.commit().await?;
            }
            Pools::Postgres(pool) => {
                // sqlx's own lock is a session's: PgBouncer lends a connection for one transaction, and the lock would stay on it.
                let mut transaction = pool.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(MIGRATION_LOCK)
                    .execute(&mut *transaction)
                    .await?;
                migrations::postgres()
                    .run_direct(None, &mut *transaction, false)
                    .await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// How many connections there are, and what they do.
    pub fn connections(&self) -> Connections {
        let (size, idle, max) = match &self.pools {
            Pools::Sqlite(pool) => (
                pool.size(),
                pool.num_idle(),
                pool.options().get_max_connections(),
            ),
            Pools::Postgres(pool) => (
                pool.size(),
                pool.num_idle(),
                pool.options().get_max_connections(),
            ),
        };
        // The two counts are not taken at the same moment.
        let idle = u32::try_from(idle).unwrap_or(size).min(size);
        Connections {
            used: size - idle,
            idle,
            max,
        }
    }

    /// Ends all connections.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite(pool) => pool.close().await,
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}
