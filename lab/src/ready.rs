//! Tells when a part can be used.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use reqwest::{Certificate, Client};

use crate::{process::detached_command, topology::Ready};

/// An answer that takes longer than this is a no.
const PATIENCE: Duration = Duration::from_secs(1);

/// An HTTP client that trusts the stack's own CA and nobody else.
///
/// # Errors
/// When the CA's certificate can't be read.
pub fn client(ca: &Path) -> Result<Client> {
    let pem = fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    Ok(Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(&pem)?])
        .build()?)
}

/// Asks once.
pub async fn is_ready(client: &Client, ready: &Ready) -> bool {
    match ready {
        Ready::Http { url } => client
            .get(url)
            .timeout(PATIENCE)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success()),
        Ready::Command { command } => {
            let run = detached_command(command, false).kill_on_drop(true).status();
            matches!(tokio::time::timeout(PATIENCE, run).await, Ok(Ok(status)) if status.success())
        }
    }
}
