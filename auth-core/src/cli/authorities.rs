//! The certificates by which a server at `https://` is known, for a command that is a client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use crate::config::ConfigError;

/// Certificates that are trusted.
pub type Authorities = Vec<Certificate<'static>>;

/// Reads all certificates of a PEM file, which the option `key` names.
///
/// # Errors
/// The file cannot be read, or there is none in it.
pub fn read(key: &str, path: &Path) -> Result<Authorities, ConfigError> {
    let text = ConfigError::read(key, path)?;
    let known: Authorities = ureq::tls::parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if known.is_empty() {
        return Err(ConfigError::file(
            key,
            path,
            "there is no certificate in PEM",
        ));
    }
    Ok(known)
}

/// Begins a client that trusts these, and no others, and gives each request so long.
pub fn client(known: Authorities, timeout: Duration) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(known)))
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    Agent::config_builder()
        .timeout_global(Some(timeout))
        .tls_config(tls)
}
