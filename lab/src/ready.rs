//! Readiness probes: whether a part can be used.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use reqwest::{Certificate, Client};

use crate::{process::detached_command, topology::ReadinessProbe};

/// A probe that takes longer than this has failed.
const TIMEOUT: Duration = Duration::from_secs(1);

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

/// Probes once.
pub async fn is_ready(client: &Client, probe: &ReadinessProbe) -> bool {
    match probe {
        ReadinessProbe::Http { url } => client
            .get(url)
            .timeout(TIMEOUT)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success()),
        ReadinessProbe::Command { command } => {
            let run = detached_command(command, false).kill_on_drop(true).status();
            matches!(tokio::time::timeout(TIMEOUT, run).await, Ok(Ok(status)) if status.success())
        }
    }
}
