//! A minimal authentication service: sign up, log in, tell who somebody is. GraphQL over HTTP, scrypt, JWT, SQLite or
//! PostgreSQL.
//!
//! The way of a request: [`http`] accepts the connection, finds the path and reads the request, and [`graphql`] calls
//! [`accounts`], where the story is told by means of [`passwords`], [`tokens`] and [`store`]. No module knows one that
//! knows it.

pub mod accounts;
pub mod api_keys;
pub mod app;
pub mod audit;
pub mod caller;
pub mod cli;
pub mod clock;
pub mod config;
pub mod email;
pub mod error;
pub mod error_code;
pub mod graphql;
pub mod http;
pub mod idempotency;
pub mod identity;
pub mod operation;
pub mod outcome;
pub mod passwords;
mod recent;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod tls;
pub mod tokens;
pub mod version;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;

pub use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::passwords::Hasher;
use crate::passwords::policy::PasswordPolicy;
use crate::store::{Replica, Source, Store};
use crate::telemetry::zipkin;
use crate::tls::Tls;
use crate::tokens::KeyRing;

/// How long the unit is kept from being started by a database that does not answer.
///
/// Units ordered after this one should find a service that works, so a database that comes up soon is waited for. But
/// systemd ends a unit that never gets ready, and a restart would bring no database back: after this time the unit
/// counts as started, its status says what it waits for, and `/readyz` keeps saying 503.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks everything that can be checked without starting: files, addresses, bounds.
///
/// # Errors
/// The first problem found.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    config.check_connections()?;
    config.audit.check()?;
    config.tracing.check()?;
    Tls::open(&config.tls)?;
    Hasher::from_config(&config.password)?;
    PasswordPolicy::new(config)?;
    Source::new(&config.database)?;
    Replica::options(&config.database)?;
    KeyRing::check(&config.tokens)?;
    zipkin::exporter(config)?;
    Ok(())
}

/// Serves on `listener` until `shutdown`, drains, and returns.
///
/// The listener is up at once; `/readyz` says 503 until the database is reached and its tables are up to date.
pub async fn serve(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let store = app.accounts.store.clone();
    let starting = tokio::spawn(start(store.clone(), app.audit_days));
    http::server::run(app, listener, shutdown).await;
    starting.abort();
    store.close().await;
}

/// Connects to the database and migrates it, however late it comes up, and tells systemd.
/// Then it removes what has expired, until the node stops.
async fn start(store: Store, audit_days: u32) {
    let mut coming_up = pin!(store.bring_up());
    if timeout(STARTUP_TIMEOUT, &mut coming_up).await.is_err() {
        systemd::waiting_for_database();
        coming_up.await;
    }
    systemd::ready();
    tokio::join!(
        store.remove_expired_for_ever(audit_days),
        store.beat_for_ever()
    );
}
