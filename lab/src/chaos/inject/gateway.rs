//! What changes a gateway that runs: certificates, keys, reloads.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tokio::{process::Command, time::sleep};

use crate::{chaos::stage::Stage, haproxy, programs, setup::certificates};

/// How often the storm reloads.
const RELOADS: usize = 10;

/// A signal that has not made a new process by then was lost.
const LOST: Duration = Duration::from_millis(1500);

/// Reloads a gateway, and waits until the new process serves.
///
/// # Errors
/// When it does not run, or no new process serves in time.
pub async fn reload(stage: &Stage, gateway: &str) -> Result<()> {
    let socket = stage.stack.admin_socket(gateway);
    let serving = async || {
        let info = haproxy::admin(&socket, "show info").await.ok()?;
        let pid = info.lines().find_map(|line| line.strip_prefix("Pid: "))?;
        Some(pid.to_owned())
    };
    let before = stage.until("the gateway serves", serving).await?;
    let asked = Cell::new(None::<Instant>);
    stage
        .until("a reloaded gateway serves", async || {
            // HAProxy 2.6 loses a signal that comes while its master starts.
            if asked.get().is_none_or(|asked| asked.elapsed() > LOST) {
                // As `systemctl reload` does on NixOS.
                stage.stack.signal_part(gateway, Signal::USR2).ok()?;
                asked.set(Some(Instant::now()));
            }
            (serving().await? != before).then_some(())
        })
        .await
}

pub(super) async fn reload_storm(stage: &Stage) -> Result<()> {
    for _ in 0..RELOADS {
        reload(stage, "gateway").await?;
    }
    Ok(())
}

pub(super) async fn certificate_swap(stage: &Stage) -> Result<()> {
    let before = served(stage).await?;
    certificates(stage.stack.directory(), &stage.stack.network_prefix())?;
    for gateway in stage.gateways() {
        reload(stage, gateway).await?;
    }
    let after = served(stage).await?;
    ensure!(
        before != after,
        "the gateway still shows the old certificate"
    );
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// The certificate that the gateway shows to who connects.
async fn served(stage: &Stage) -> Result<Vec<u8>> {
    let pem = std::fs::read(stage.stack.ca())?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_info(true)
        .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
        .build()?;
    let answer = client.get(&stage.stack.part("gateway")?.url).send().await?;
    let shown = answer.extensions().get::<reqwest::tls::TlsInfo>();
    let shown = shown.and_then(|shown| shown.peer_certificate());
    Ok(shown
        .context("the gateway shows no certificate")?
        .to_owned())
}

/// In a hurry: tokens of the new key come before the gateways know it.
pub(super) async fn key_rotation(stage: &Stage) -> Result<()> {
    // Those that no token of now is signed with; a gateway knows four.
    let _ = keys(stage, &["retire"]).await;
    let made = keys(stage, &["generate"]).await?;
    let kid = made.split_whitespace().nth(1).context("a kid")?.to_owned();
    keys(stage, &["rotate", &kid, "--now"]).await?;
    for node in stage.nodes() {
        stage.stack.signal_part(node, Signal::HUP)?;
    }
    for gateway in stage.gateways() {
        let map = stage
            .stack
            .directory()
            .join("parts")
            .join(gateway)
            .join("keys/kids.map");
        stage
            .until("the gateways learn of the key", async || {
                std::fs::read_to_string(&map)
                    .ok()?
                    .contains(&kid)
                    .then_some(())
            })
            .await?;
    }
    sleep(Duration::from_secs(2)).await;
    Ok(())
}

async fn keys(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let ring = stage.stack.directory().join("keys/ring");
    let program = programs::built("auth-core").context("auth-core is not built")?;
    let output = Command::new(program)
        .arg("keys")
        .args(arguments)
        .arg("--set")
        .arg(format!("tokens.key_directory={}", ring.display()))
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "auth-core keys {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
