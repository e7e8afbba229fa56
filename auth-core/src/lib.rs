//! A minimal authentication service: sign up, log in, tell who somebody is. GraphQL over HTTP, scrypt, JWT, SQLite or
//! PostgreSQL.
//!
//! The way of a request: [`server`] accepts the connection, [`http`] finds the path, [`graphql_http`] reads the request
//! and [`graphql`] calls [`accounts`], where the story is told.

pub mod accounts;
pub mod caller;
mod common_passwords;
pub mod config;
pub mod email;
pub mod error;
pub mod error_code;
mod fair_queue;
pub mod graphql;
pub mod graphql_http;
pub mod hash_pool;
pub mod http;
pub mod idempotency;
pub mod keys;
pub mod metrics;
pub mod operation;
pub mod password;
pub mod password_policy;
mod recent;
pub mod refresh_token;
pub mod request_trace;
pub mod server;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod tokens;
pub mod users;
pub mod zipkin;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::accounts::Accounts;
use crate::config::{Config, ConfigError};
use crate::hash_pool::HashPool;
use crate::metrics::Metrics;
use crate::password_policy::PasswordPolicy;
use crate::store::{Source, Store};
use crate::tokens::{KeyRing, Keys};
use crate::zipkin::Zipkin;

/// What a request can reach.
pub struct App {
    /// This node's name.
    pub node: String,
    /// The operations.
    pub accounts: Arc<Accounts>,
    /// Their public face.
    pub schema: graphql::Schema,
    /// Documents that were parsed lately.
    pub documents: graphql::Documents,
    /// Whether introspection is allowed, and GraphiQL served to browsers.
    pub dev_mode: bool,
    /// Counters and timings.
    pub metrics: Arc<Metrics>,
    /// Set when the node is told to stop: it still serves, but wants no more work.
    pub draining: AtomicBool,
    limits: server::Limits,
}

impl App {
    /// Puts the parts together, without connecting to anything.
    ///
    /// # Errors
    /// The first thing in the configuration that cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let hasher = config.hasher()?;
        let source = Source::new(&config.database)?;
        let metrics =
            Arc::new(Metrics::new(&config.node).map_err(|error| ConfigError(error.to_string()))?);
        let keys = Keys::open(&config.tokens, Arc::clone(&metrics))?;
        let accounts = Arc::new(Accounts {
            store: Store::new(source, config.database.max_connections),
            hashes: HashPool::new(
                hasher,
                config.password.concurrent_hashes,
                Duration::from_secs(config.password.queue_seconds),
                Arc::clone(&metrics),
            ),
            keys,
            password_policy: PasswordPolicy::new(config)?,
            session_seconds: config.tokens.session_seconds,
        });
        if hasher.is_weak() {
            tracing::warn!(
                "password.scrypt is weaker than OWASP advises: good for tests, not for real passwords"
            );
        }
        if config.dev_mode {
            tracing::warn!(
                "dev_mode is on: everybody can read the whole schema and open GraphiQL at /graphql; not for a public service"
            );
        }
        Ok(Self {
            node: config.node.clone(),
            schema: graphql::schema(Arc::clone(&accounts), config.dev_mode),
            documents: graphql::Documents::default(),
            dev_mode: config.dev_mode,
            accounts,
            metrics,
            draining: AtomicBool::new(false),
            limits: server::Limits::new(config)?,
        })
    }

    /// Reads the keys again. A directory that is broken changes nothing, and the log says why.
    pub fn reload(&self) {
        systemd::reloading();
        match self.accounts.keys.reload() {
            Ok(()) => {
                let kid = self.accounts.keys.current().signing_kid().to_owned();
                tracing::info!(kid, "read the keys again");
            }
            Err(error) => tracing::error!(%error, "the keys stay as they were"),
        }
        systemd::reloaded();
    }
}

/// Checks everything that can be checked without starting: files, addresses, bounds.
///
/// # Errors
/// The first problem found.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    config.hasher()?;
    server::Limits::new(config)?;
    PasswordPolicy::new(config)?;
    Source::new(&config.database)?;
    KeyRing::check(&config.tokens)?;
    Zipkin::new(config)?;
    Ok(())
}

/// Serves on `listener` until `shutdown`, drains, and returns.
///
/// The listener is up at once; `/readyz` says 503 until the database is reached.
pub async fn serve(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let store = app.accounts.store.clone();
    let coming_up = tokio::spawn(systemd::start(store.clone()));
    let limits = app.limits;
    server::run(app, listener, limits, shutdown).await;
    coming_up.abort();
    store.close().await;
}
