//! One round: load, faults, and what users saw.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use super::{
    inject::gateway::reload,
    judge::{Verdict, judge, rules},
    load::Running,
    plan::{Group, Strike},
    rounds::{Protection, Round},
    stage::Stage,
};

/// Load before the first fault, after the last, and between two.
const MARGIN: Duration = Duration::from_secs(1);

/// Performs a round; authload's reports go to `folder`.
///
/// # Errors
/// When the load cannot begin, or leaves no report. That a fault cannot be undone is a complaint of the verdict.
pub async fn perform(stage: &Stage, round: &Round, folder: &Path) -> Result<Verdict> {
    let Some((protection, expected)) = round.without else {
        return under_load(stage, round, folder).await;
    };
    let configs = switch_off(stage, protection).await?;
    let verdict = under_load(stage, round, folder).await;
    for (gateway, config) in configs {
        fs::write(config_of(stage, &gateway), config)?;
        reload(stage, &gateway).await?;
    }
    stage.until_healthy().await?;
    // It must have failed, and not by something else.
    let mut verdict = verdict?;
    let (right, wrong): (Vec<_>, Vec<_>) = std::mem::take(&mut verdict.complaints)
        .into_iter()
        .partition(|complaint| complaint.contains(expected));
    if right.is_empty() {
        verdict.complaints = wrong;
        verdict.complaints.push(format!(
            "without {protection:?} it must fail by {expected:?}, and does not: this shows nothing of what they are good for"
        ));
    } else {
        verdict.seen = format!("fails, as it must: {}", right.join("; "));
    }
    Ok(verdict)
}

async fn switch_off(stage: &Stage, protection: Protection) -> Result<Vec<(String, String)>> {
    let mut configs = Vec::new();
    for gateway in stage.gateways() {
        let file = config_of(stage, gateway);
        let config = fs::read_to_string(&file)?;
        fs::write(file, protection.off(&config))?;
        configs.push((gateway.to_owned(), config));
        reload(stage, gateway).await?;
    }
    Ok(configs)
}

fn config_of(stage: &Stage, gateway: &str) -> std::path::PathBuf {
    stage
        .stack
        .directory()
        .join("parts")
        .join(gateway)
        .join("haproxy.cfg")
}

async fn under_load(stage: &Stage, round: &Round, folder: &Path) -> Result<Verdict> {
    let faults = round.faults();
    let running = round
        .load
        .begin(stage, &rules(&faults), folder, &round.name)
        .await?;
    let begin = Instant::now();
    sleep(MARGIN).await;
    // What is left of the time that the load is to last, shared among the pauses.
    let pause = MARGIN.max(round.at_least / (round.groups.len() as u32 * 3));
    let mut complaints = Vec::new();
    for (number, group) in round.groups.iter().enumerate() {
        if number > 0 {
            sleep(pause).await;
        }
        complaints.extend(at_once(stage, group, &running).await);
    }
    sleep(MARGIN.max(round.at_least.saturating_sub(begin.elapsed()))).await;
    let report = running.end().await?;
    let mut verdict = judge(&faults, &report);
    verdict.complaints.extend(complaints);
    Ok(verdict)
}

/// Does all faults of a group, one or two. What could not be done or undone.
async fn at_once(stage: &Stage, group: &Group, running: &Running) -> Vec<String> {
    let mut strikes = group.0.iter();
    let (first, second) = (strikes.next(), strikes.next());
    let (first, second) = tokio::join!(done(stage, first, running), done(stage, second, running));
    [first, second]
        .into_iter()
        .filter_map(|done| done.err().map(|error| format!("{error:#}")))
        .collect()
}

async fn done(stage: &Stage, strike: Option<&Strike>, running: &Running) -> Result<()> {
    let Some(strike) = strike else { return Ok(()) };
    sleep(strike.delay()).await;
    running.mark(strike.fault.name, "begin")?;
    let struck = strike.fault.action.strike(stage).await;
    let healed = stage.until_healthy().await;
    running.mark(strike.fault.name, "end")?;
    struck.and(healed)
}
