//! TLS between a gateway and this node, where the configuration names a certificate.
//!
//! TLS 1.3 alone (RFC 8446): whoever calls a node is of the same fleet.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::server::TlsStream;

use crate::config::{self, ConfigError};

/// How long a client may take to agree on keys.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const CERTIFICATE: &str = "tls.certificate_file";
const KEY: &str = "tls.key_file";

/// The certificate that is shown, which can be replaced.
pub struct Tls {
    files: config::Tls,
    current: RwLock<TlsAcceptor>,
}

impl Tls {
    /// Reads the certificate and its key; none where neither is configured.
    ///
    /// # Errors
    /// One without the other, a file that cannot be read or holds something else, or a key of another certificate.
    pub fn open(files: &config::Tls) -> Result<Option<Self>, ConfigError> {
        Ok(acceptor(files)?.map(|current| Self {
            files: files.clone(),
            current: RwLock::new(current),
        }))
    }

    /// Reads both again, for connections from now on.
    ///
    /// # Errors
    /// See [`Tls::open`]; then nothing is changed.
    pub fn reload(&self) -> Result<(), ConfigError> {
        if let Some(new) = acceptor(&self.files)? {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        Ok(())
    }

    /// Agrees on keys with a client.
    ///
    /// # Errors
    /// The client speaks something else, refuses the certificate, or takes too long.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let current = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        timeout(HANDSHAKE_TIMEOUT, current.accept(stream)).await?
    }
}

fn acceptor(files: &config::Tls) -> Result<Option<TlsAcceptor>, ConfigError> {
    let (certificate, key) = match (&files.certificate_file, &files.key_file) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => return Err(missing(KEY)),
        (None, Some(_)) => return Err(missing(CERTIFICATE)),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| ConfigError::file(CERTIFICATE, certificate, error))?
        .with_no_client_auth()
        .with_single_cert(read_chain(certificate)?, read_key(key)?)
        .map_err(|error| ConfigError::file(KEY, key, error))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn missing(key: &str) -> ConfigError {
    ConfigError(format!(
        "{key} is not given: TLS takes both {CERTIFICATE} and {KEY}"
    ))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let text = ConfigError::read(CERTIFICATE, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(ConfigError::file(
            CERTIFICATE,
            path,
            "there is no certificate in PEM",
        )),
        Ok(chain) => Ok(chain),
        Err(_) => Err(ConfigError::file(CERTIFICATE, path, "this is not PEM")),
    }
}

/// What is wrong with the file is not quoted: it holds a secret.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    let text = zeroize::Zeroizing::new(ConfigError::read(KEY, path)?);
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| ConfigError::file(KEY, path, "there is no private key in PEM"))
}
