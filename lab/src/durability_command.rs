//! `durability`: shows how the rounds go, and what came of them.

use anyhow::{Context, Result, bail};
use lab::{
    TopologyName,
    chaos::machine,
    durability::{self, Plan},
};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the rounds on one stack, or on each.
///
/// # Errors
/// A promise was broken.
pub async fn run(rounds: usize, seed: Option<u64>, topology: Option<TopologyName>) -> Result<()> {
    if topology == Some(TopologyName::Ha) {
        // Where the primary can be cut off.
        machine::enter();
    }
    let seed = seed.unwrap_or_else(|| fastrand::u32(..).into());
    let topologies = topology.map_or(
        vec![TopologyName::Single, TopologyName::Cluster],
        |topology| vec![topology],
    );
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    for topology in topologies {
        let name = topology.summary();
        println!("{name}, seed {seed}");
        let directory = TempDir::with_prefix("authstack-durability-")?;
        let plan = Plan {
            topology,
            rounds,
            seed,
        };
        tokio::select! {
            done = durability::run(plan, directory.path(), |line| println!("{line}")) => {
                let outcome = done.with_context(|| format!("seed {seed}, {name}"))?;
                println!("{outcome}");
            }
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    }
    Ok(())
}
