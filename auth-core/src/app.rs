//! What a node is made of.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::accounts::Accounts;
use crate::audit::{Entry, Event};
use crate::config::{Config, ConfigError};
use crate::passwords::Hasher;
use crate::passwords::hash_pool::HashPool;
use crate::passwords::policy::PasswordPolicy;
use crate::store::{Replica, Source, Store};
use crate::telemetry::metrics::Metrics;
use crate::tls::Tls;
use crate::tokens::Keys;
use crate::{graphql, systemd};

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
    /// The certificate, where connections are not plain.
    pub(crate) tls: Option<Tls>,
    /// Most connections at once.
    pub(crate) max_connections: usize,
    /// How long entries of the audit stream are kept, in days.
    pub(crate) audit_days: u32,
    /// How long new requests are still served after the node was told to stop.
    pub(crate) drain: Duration,
}

impl App {
    /// Puts the parts together, without connecting to anything.
    ///
    /// # Errors
    /// The first thing in the configuration that cannot be used.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        config.check_connections()?;
        config.audit.check()?;
        let hasher = Hasher::from_config(&config.password)?;
        let source = Source::new(&config.database)?;
        let metrics =
            Arc::new(Metrics::new(&config.node).map_err(|error| ConfigError(error.to_string()))?);
        let keys = Keys::open(&config.tokens, Arc::clone(&metrics))?;
        let accounts = Arc::new(Accounts {
            store: Store::new(source, config.database.max_connections)
                .with_replica(Replica::new(config)?),
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
            tls: Tls::open(&config.tls)?,
            max_connections: config.max_connections,
            audit_days: config.audit.retention_days,
            drain: Duration::from_secs(config.drain_seconds),
        })
    }

    /// Reads the keys and the certificate again. What is broken changes nothing, and the log says why.
    pub async fn reload(&self) {
        systemd::reloading();
        let signing_kid = || self.accounts.keys.current().signing_kid().to_owned();
        let before = signing_kid();
        match self.accounts.keys.reload() {
            Ok(()) => {
                let kid = signing_kid();
                tracing::info!(kid, "read the keys again");
                if kid != before {
                    self.record_signing_key(kid).await;
                }
            }
            Err(error) => tracing::error!(%error, "the keys stay as they were"),
        }
        if let Some(tls) = &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!("read the certificate again"),
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            }
        }
        systemd::reloaded();
    }

    async fn record_signing_key(&self, kid: String) {
        let entry = Entry::by_node(Event::SigningKeyChanged).with(kid);
        if let Err(error) = self.accounts.store.record(&entry).await {
            tracing::error!(
                ?error,
                "the audit stream lacks that the signing key has changed"
            );
        }
    }
}
