//! Shows on standard error that a run is alive: one line rewritten each second on a terminal, else a line each 5 s.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::session::Run;

/// Shows how far a run of `seconds` is, until aborted.
pub(crate) async fn show(run: Arc<Run>, seconds: u64) {
    let terminal = stderr().is_terminal();
    let every = if terminal { 1 } else { 5 };
    let mut ticks = interval(Duration::from_secs(every));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    let mut before = 0;
    loop {
        ticks.tick().await;
        let (requests, failed) = run.recorder.progress();
        let rate = (requests - before) / every;
        before = requests;
        let elapsed = run.recorder.start.elapsed().as_secs();
        let line = line(elapsed, seconds, requests, rate, failed);
        if terminal {
            eprint!("\r\x1b[2K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

/// Removes the progress line from a terminal.
pub(crate) fn clear() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

fn line(elapsed: u64, seconds: u64, requests: u64, rate: u64, failed: u64) -> String {
    let time = if elapsed > seconds || goose::is_killswitch_triggered() {
        "waiting for the last answers".into()
    } else {
        format!("{elapsed}/{seconds} s")
    };
    format!("{time}, {requests} requests, {rate}/s, {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_well() {
        assert_eq!(
            line(5, 30, 210, 42, 1),
            "5/30 s, 210 requests, 42/s, 1 failed"
        );
        assert_eq!(
            line(31, 30, 210, 0, 1),
            "waiting for the last answers, 210 requests, 0/s, 1 failed"
        );
    }
}
