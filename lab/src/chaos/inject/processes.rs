//! Faults of processes: killed, stopped in their tracks, restarted.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use crate::chaos::stage::Stage;

/// How long something stays away that nobody's health check looks at.
pub(super) const AWAY: Duration = Duration::from_secs(3);

pub(super) async fn crash(stage: &Stage, node: &str) -> Result<()> {
    stage.stack.kill_part(node).await?;
    stage.until_seen(node, false).await?;
    stage.stack.start_part(node).await?;
    stage.until_seen(node, true).await
}

/// Until the gateways do without it and others have taken over what it was given: coming back must not be what saves that.
pub(super) async fn hang(stage: &Stage, node: &str) -> Result<()> {
    stage.stack.pause_part(node)?;
    let over = async {
        stage.until_seen(node, false).await?;
        stage.until_idle(node).await
    };
    let over = over.await;
    stage.stack.start_part(node).await?;
    over?;
    stage.until_seen(node, true).await
}

pub(super) async fn rolling_restart(stage: &Stage, nodes: &[&str]) -> Result<()> {
    for node in nodes {
        stage.stack.stop_part(node).await?;
        stage.stack.start_part(node).await?;
        // As an upgrade should: the next one only when this one is used again.
        stage.until_seen(node, true).await?;
    }
    Ok(())
}

pub(super) async fn database_down(stage: &Stage) -> Result<()> {
    stage.stack.kill_part("postgres").await?;
    sleep(AWAY).await;
    bring_back(stage, "postgres").await
}

/// Runs for 100 ms, stands for 400 ms.
pub(super) async fn database_slow(stage: &Stage) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < AWAY * 2 {
        stage.stack.pause_part("postgres")?;
        sleep(Duration::from_millis(400)).await;
        stage.stack.resume_part("postgres")?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Hangs, which keeps whoever sends it something waiting, then is gone, which refuses them.
pub(super) async fn away(stage: &Stage, part: &str) -> Result<()> {
    stage.stack.pause_part(part)?;
    sleep(AWAY).await;
    stage.stack.kill_part(part).await?;
    sleep(AWAY).await;
    bring_back(stage, part).await
}

/// Starts a part that may run, where the stack has it.
pub(super) async fn bring_back(stage: &Stage, part: &str) -> Result<()> {
    if stage.stack.part(part).is_ok() {
        stage.stack.start_part(part).await?;
    }
    Ok(())
}
