//! Faults of the database that has three members.

use anyhow::Result;
use tokio::time::sleep;

use super::processes::AWAY;
use crate::{
    chaos::stage::Stage,
    members::{ETCD, Fault, Members},
};

pub(super) async fn break_it(stage: &Stage, fault: Fault) -> Result<()> {
    let members = Members::of(&stage.stack)?;
    let mut broken = members.break_primary(fault).await?;
    // Mended whatever came of it.
    let replaced = members.until_replaced(&mut broken).await;
    members.mend(broken).await?;
    replaced.map(drop)
}

pub(super) async fn etcd_member(stage: &Stage) -> Result<()> {
    stage.stack.kill_part(ETCD[1]).await?;
    sleep(AWAY).await;
    stage.stack.start_part(ETCD[1]).await?;
    Members::of(&stage.stack)?.until_whole().await
}
