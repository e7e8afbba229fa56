//! HAProxy's admin socket (its Management Guide, 9.3): what changes a gateway that runs, without a reload.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// The largest weight that HAProxy knows.
pub const LARGEST_WEIGHT: u16 = 256;

/// What the socket answers to a command.
///
/// # Errors
/// When nobody listens there, or breaks off.
pub async fn admin(socket: &Path, command: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("no gateway listens at {}", socket.display()))?;
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Gives all servers of a gateway that lead to `part` this weight: their share of the requests, in proportion to the others'.
/// Answers how many there are.
///
/// # Errors
/// When the gateway does not answer, or refuses.
pub async fn set_weight(socket: &Path, part: &str, weight: u16) -> Result<usize> {
    ensure!(
        weight <= LARGEST_WEIGHT,
        "a weight is from 0 (no new requests) to {LARGEST_WEIGHT}"
    );
    let servers = admin(socket, "show servers conn").await?;
    let mut count = 0;
    for server in servers.lines().filter_map(|line| line.split(' ').next()) {
        let Some((_, name)) = server.split_once('/') else {
            continue;
        };
        // A route names its servers with their ports.
        if name.split(':').next() != Some(part) {
            continue;
        }
        let refused = admin(socket, &format!("set server {server} weight {weight}")).await?;
        if !refused.trim().is_empty() {
            bail!("{server}: {}", refused.trim());
        }
        count += 1;
    }
    Ok(count)
}
