//! A node whose clock is not the others'.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::{Stack, chaos::stage::Stage};

/// How far it jumps, in seconds: less than the core's leeway for clocks that differ, which is 30.
const JUMP: i32 = 20;
/// How long it stays there.
const LASTS: Duration = Duration::from_secs(4);

/// Lets a node that does not run yet tell the time by the file that is returned.
///
/// # Errors
/// When the file cannot be written.
pub fn prepare(stack: &mut Stack, node: &str, library: &Path) -> Result<PathBuf> {
    let file = stack.directory().join("clock");
    set(&file, 0)?;
    let text = |path: &Path| path.display().to_string();
    stack.run_by(
        node,
        &[
            "env".to_owned(),
            format!("LD_PRELOAD={}", text(library)),
            format!("FAKETIME_TIMESTAMP_FILE={}", text(&file)),
            // So often it looks again.
            "FAKETIME_CACHE_DURATION=1".to_owned(),
            // Only what a wrong date changes: time goes on as it does.
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ],
    )?;
    Ok(file)
}

pub(super) async fn jump(stage: &Stage, node: &str) -> Result<()> {
    let file = stage
        .clock
        .as_ref()
        .context("no node has a clock of its own")?;
    let client = crate::ready::client(stage.stack.ca())?;
    let url = format!("{}/healthz", stage.stack.part(node)?.url);
    // Back first: an answer's `Date` stays as it is until the clock has come past it, and after a jump from ahead that takes twice as long.
    for seconds in [-JUMP, JUMP] {
        set(file, seconds)?;
        stage
            .until("the node tells another time", async || {
                let answer = client.get(&url).send().await.ok()?;
                let told = answer.headers().get("date")?.to_str().ok()?;
                (ahead(told)? == i64::from(seconds.signum())).then_some(())
            })
            .await?;
        sleep(LASTS).await;
    }
    set(file, 0)?;
    sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// Whether a `Date` is ahead of our clock (1), behind it (-1), or neither: within half of what it jumps.
fn ahead(date: &str) -> Option<i64> {
    const DAY: i64 = 24 * 60 * 60;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as i64;
    difference(date, now % DAY).map(|seconds| match seconds {
        seconds if seconds > i64::from(JUMP / 2) => 1,
        seconds if seconds < -i64::from(JUMP / 2) => -1,
        _ => 0,
    })
}

/// How many seconds the time of day of a `Date`, such as `Mon, 30 Nov 2026 00:00:05 GMT`, is after another: the shorter way around.
fn difference(date: &str, second_of_day: i64) -> Option<i64> {
    const DAY: i64 = 24 * 60 * 60;
    let time = date.split(' ').nth(4)?;
    let told = time.split(':').try_fold(0, |sum, number| {
        Some(sum * 60 + number.parse::<i64>().ok()?)
    })?;
    Some((told - second_of_day + DAY + DAY / 2) % DAY - DAY / 2)
}

/// Written whole or not at all.
fn set(file: &Path, seconds: i32) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n"))?;
    Ok(fs::rename(new, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_or_behind_across_midnight_too() {
        let told = |time| format!("Mon, 30 Nov 2026 {time} GMT");
        assert_eq!(difference(&told("01:00:20"), 3600), Some(20));
        assert_eq!(difference(&told("00:00:05"), 24 * 3600 - 15), Some(20));
        assert_eq!(difference(&told("23:59:50"), 10), Some(-20));
        assert_eq!(difference("soon", 10), None);
    }
}
