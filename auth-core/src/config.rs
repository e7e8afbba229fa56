//! The configuration: a TOML file, overridden by `AUTH_CORE_*` variables, overridden by flags.
//!
//! Unknown keys are errors, because a misspelt limit is no limit. Secrets are only ever named by their files.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Value;
use serde::Deserialize;

/// Where the configuration comes from, on the command line.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    /// TOML file with the configuration
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Address to listen on; the same as --set listen=ADDR
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Override one key, as in --set log.level=debug; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
}

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// This node's name in logs and spans.
    pub node: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// TLS on that address; without it HTTP is plain.
    pub tls: Tls,
    /// Most connections that are open at once. Who comes when there are as many waits until one is closed.
    pub max_connections: usize,
    /// How long new requests are still served after SIGTERM, in seconds.
    pub drain_seconds: u64,
    /// For development only: allow introspection, and serve GraphiQL at `/graphql` to browsers.
    pub dev_mode: bool,
    /// Where accounts are stored.
    pub database: Database,
    /// Access tokens.
    pub tokens: Tokens,
    /// Password policy and cost.
    pub password: Password,
    /// The audit stream, in the database.
    pub audit: Audit,
    /// Logs, to standard error.
    pub log: Log,
    /// Spans.
    pub tracing: Tracing,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "auth-core".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: Tls::default(),
            max_connections: 1000,
            drain_seconds: 2,
            dev_mode: false,
            database: Database::default(),
            tokens: Tokens::default(),
            password: Password::default(),
            audit: Audit::default(),
            log: Log::default(),
            tracing: Tracing::default(),
        }
    }
}

/// The certificate that the node shows to gateways and monitors. Both files, or neither; SIGHUP reads them again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the private key.
    pub key_file: Option<PathBuf>,
}

/// Where accounts are stored.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite:FILE` (created if missing) or `postgres://USER@HOST:PORT/DATABASE`.
    pub url: String,
    /// File with the PostgreSQL password.
    pub password_file: Option<PathBuf>,
    /// Most connections to the database, and to its replica.
    pub max_connections: u32,
    /// The same for a replica of PostgreSQL, from which `me` may read: it shows and changes nothing.
    pub replica_url: Option<String>,
    /// How old an answer of the replica may be, in seconds: so long a session may seem to last after it has ended.
    pub replica_max_lag_seconds: u64,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite:auth.db".to_owned(),
            password_file: None,
            max_connections: 10,
            replica_url: None,
            replica_max_lag_seconds: 5,
        }
    }
}

/// Access tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
    /// How long an access token is good, in seconds.
    pub access_token_seconds: u64,
    /// How long a session can be refreshed after its log-in, in seconds.
    pub session_seconds: u64,
    /// Directory with the keys, one `KID.pem` each; see `auth-core keys`. Required; empty means not given.
    pub key_directory: PathBuf,
    /// Make the first key (ES256) on start if the directory has none, and the directory if there is none.
    pub generate_first_key: bool,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            issuer: "authstack".to_owned(),
            audience: "authstack".to_owned(),
            access_token_seconds: 900,
            session_seconds: 30 * 24 * 60 * 60,
            key_directory: PathBuf::new(),
            generate_first_key: false,
        }
    }
}

/// Password policy and cost.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Password {
    /// Fewest code points of a new password.
    pub min_length: usize,
    /// File with the passwords that nobody may choose, one a line, in place of the built-in words.
    pub blocklist_file: Option<PathBuf>,
    /// Cost of a hash.
    pub scrypt: Scrypt,
    /// Hashes that run at once; by default one for each core.
    pub concurrent_hashes: u32,
    /// Longest wait for a hash, in seconds. What cannot begin by then is refused at once, with `OVERLOADED`.
    pub queue_seconds: u64,
}

impl Default for Password {
    fn default() -> Self {
        Self {
            min_length: 15,
            blocklist_file: None,
            scrypt: Scrypt::default(),
            concurrent_hashes: std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            queue_seconds: 5,
        }
    }
}

/// Cost of a hash: `128 · r · 2^log_n` bytes of memory, filled `p` times.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrypt {
    /// Binary logarithm of N.
    pub log_n: u8,
    /// Block size.
    pub r: u32,
    /// Parallelism; computed one after the other.
    pub p: u32,
}

impl Default for Scrypt {
    fn default() -> Self {
        Self {
            log_n: 17,
            r: 8,
            p: 1,
        }
    }
}

/// The audit stream: `auth-core audit`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How long its entries are kept, in days.
    pub retention_days: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            retention_days: 365,
        }
    }
}

impl Audit {
    /// Whether anything is kept.
    ///
    /// # Errors
    /// Nothing is.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.retention_days > 0 {
            return Ok(());
        }
        let text = "audit.retention_days = 0 is out of bounds: 1 or more";
        Err(ConfigError(text.to_owned()))
    }
}

/// Logs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// By default `human` on a terminal, else `json`.
    pub format: Option<LogFormat>,
    /// Least important level that is written. `info` has a line for each request, except those that only read and got
    /// what they asked for: nothing happened, there are many, and the gateway logs them.
    pub level: LogLevel,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Spans.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracing {
    /// Zipkin's v2 endpoint, for instance `http://127.0.0.1:9411/api/v2/spans`. Without it no span is exported.
    pub zipkin_url: Option<String>,
    /// The share of all traces that is exported, from 0 to 1. Requests that failed by the service's fault are always exported.
    pub sample_ratio: f64,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            zipkin_url: None,
            sample_ratio: 1.0,
        }
    }
}

impl Tracing {
    /// Whether the share is one.
    ///
    /// # Errors
    /// It is less than nothing, or more than all.
    pub fn check(&self) -> Result<(), ConfigError> {
        if (0.0..=1.0).contains(&self.sample_ratio) {
            return Ok(());
        }
        let ratio = self.sample_ratio;
        let text = format!("tracing.sample_ratio = {ratio} is out of bounds: 0 to 1");
        Err(ConfigError(text))
    }
}

impl Config {
    /// Reads and merges all sources.
    ///
    /// # Errors
    /// The first problem, with the key and the source it comes from.
    pub fn load(args: &ConfigArgs) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = &args.config {
            // figment takes a missing file for an empty one.
            ConfigError::read("--config", path)?;
            figment = figment.merge(Toml::file_exact(path));
        }
        figment = figment.merge(Env::prefixed("AUTH_CORE_").split("__"));
        for set in &args.set {
            let (key, value) = set
                .split_once('=')
                .ok_or_else(|| ConfigError(format!("--set {set}: expected KEY=VALUE")))?;
            let Ok(value) = value.parse::<Value>();
            figment = figment.merge(Serialized::default(key, value));
        }
        if let Some(listen) = args.listen {
            figment = figment.merge(Serialized::default("listen", listen));
        }
        figment
            .extract()
            .map_err(|error| ConfigError::describe(&error))
    }

    /// Whether a node can have so many connections.
    ///
    /// # Errors
    /// None, or more than a process can have.
    pub fn check_connections(&self) -> Result<(), ConfigError> {
        const MOST: usize = 100_000;
        let connections = self.max_connections;
        if (1..=MOST).contains(&connections) {
            return Ok(());
        }
        let text = format!("max_connections = {connections} is out of bounds: 1 to {MOST}");
        Err(ConfigError(text))
    }
}

/// A configuration that cannot be used: what is wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl ConfigError {
    /// Reads the file that a key names.
    ///
    /// # Errors
    /// The key, the file and why it cannot be read.
    pub fn read(key: &str, path: &Path) -> Result<Vec<u8>, Self> {
        std::fs::read(path).map_err(|error| Self::file(key, path, error))
    }

    /// The file that a key names is not right.
    pub fn file(key: &str, path: &Path, problem: impl fmt::Display) -> Self {
        Self(format!(
            "{key} = {:?}: {problem}",
            path.display().to_string()
        ))
    }

    fn describe(error: &figment::Error) -> Self {
        let mut path = error.path.clone();
        let problem = match &error.kind {
            Kind::UnknownField(field, expected) => {
                if path.last() != Some(field) {
                    path.push(field.clone());
                }
                format!("unknown key; expected one of {}", expected.join(", "))
            }
            Kind::UnknownVariant(found, expected) => {
                format!("{found:?} is not one of {}", expected.join(", "))
            }
            kind => kind.to_string(),
        };
        let metadata = error.metadata.as_ref();
        let file = metadata.and_then(|metadata| metadata.source.as_ref()?.file_path());
        let place = match file {
            _ if metadata.is_some_and(|metadata| metadata.name.contains("environment")) => {
                format!("AUTH_CORE_{}", path.join("__").to_uppercase())
            }
            Some(file) if path.is_empty() => file.display().to_string(),
            Some(file) => format!("{}: {}", file.display(), path.join(".")),
            None => path.join("."),
        };
        Self(format!("{place}: {problem}"))
    }
}
