//! How each fault is done and undone.

pub mod clock;
mod crowd;
pub mod gateway;
pub mod network;
mod primary;
mod processes;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use self::network::Rule;
use super::{machine::Machine, stage::Stage};
use crate::members;

/// What a fault does.
#[derive(Debug)]
pub enum Action {
    /// Nothing, for a while.
    Nothing,
    /// Kills a node.
    Crash(&'static str),
    /// Stops a node's process in its tracks.
    Hang(&'static str),
    /// Stops and starts nodes, one after the other.
    RollingRestart(&'static [&'static str]),
    /// Loses or delays packets of a part.
    Network(Rule, &'static str),
    /// Kills the database.
    DatabaseDown,
    /// Lets the database work now and then.
    DatabaseSlow,
    /// Kills a member of etcd.
    EtcdMember,
    /// Breaks the database's primary.
    Primary(members::Fault),
    /// Takes the room that is left on the database's disk.
    DiskFull,
    /// Lets a node's clock jump.
    ClockJump(&'static str),
    /// Takes a part away that users do not need.
    Away(&'static str),
    /// Gives the gateways a new certificate.
    CertificateSwap,
    /// Lets the nodes sign with a new key.
    KeyRotation,
    /// Reloads the gateway again and again.
    ReloadStorm,
    /// Lets strangers guess passwords.
    BruteForce,
    /// Lets ten times as many sign up as can be served.
    Overload,
}

impl Action {
    /// Why it cannot be done here; `None` when it can.
    pub fn lacks(&self, machine: &Machine) -> Option<String> {
        match self {
            Self::Network(rule, _) => rule.lacks(machine),
            Self::EtcdMember => machine.members.clone().err(),
            Self::Primary(members::Fault::CutOff) => {
                (machine.members.clone().and(machine.nft.clone())).err()
            }
            Self::Primary(_) => machine.members.clone().err(),
            Self::DiskFull => machine.mounts.clone().err(),
            Self::ClockJump(_) => machine.faketime.clone().err(),
            Self::Away("zipkin") => machine.zipkin.clone().err(),
            Self::Away(_) => machine.prometheus.clone().err(),
            _ => None,
        }
    }

    /// Whose clock must be ours.
    pub fn clock(&self) -> Option<&'static str> {
        match self {
            Self::ClockJump(node) => Some(node),
            _ => None,
        }
    }

    /// Does it, lets it last, and undoes it.
    ///
    /// # Errors
    /// When it cannot be done or undone, or does not do what it is meant to.
    pub async fn strike(&self, stage: &Stage) -> Result<()> {
        match self {
            Self::Nothing => {
                sleep(Duration::from_secs(4)).await;
                Ok(())
            }
            Self::Crash(node) => processes::crash(stage, node).await,
            Self::Hang(node) => processes::hang(stage, node).await,
            Self::RollingRestart(nodes) => processes::rolling_restart(stage, nodes).await,
            Self::Network(rule, part) => rule.strike(stage, part).await,
            Self::DatabaseDown => processes::database_down(stage).await,
            Self::DatabaseSlow => processes::database_slow(stage).await,
            Self::EtcdMember => primary::etcd_member(stage).await,
            Self::Primary(fault) => primary::break_it(stage, *fault).await,
            Self::DiskFull => disk_full(stage).await,
            Self::ClockJump(node) => clock::jump(stage, node).await,
            Self::Away(part) => processes::away(stage, part).await,
            Self::CertificateSwap => gateway::certificate_swap(stage).await,
            Self::KeyRotation => gateway::key_rotation(stage).await,
            Self::ReloadStorm => gateway::reload_storm(stage).await,
            Self::BruteForce => crowd::brute_force(stage).await,
            Self::Overload => crowd::overload(stage).await,
        }
    }
}

/// SQLite writes for a while where it wrote before, so it takes some time until one is told.
async fn disk_full(stage: &Stage) -> Result<()> {
    let disk = stage.disk.as_ref().context("the stack has no small disk")?;
    let before = stage.without_database();
    disk.fill()?;
    let noticed = stage.until("a node cannot write", async || {
        (stage.without_database() > before).then_some(())
    });
    let noticed = noticed.await;
    sleep(Duration::from_secs(3)).await;
    disk.free()?;
    // PostgreSQL ends where its log of changes has no room.
    processes::bring_back(stage, "postgres").await?;
    noticed
}
