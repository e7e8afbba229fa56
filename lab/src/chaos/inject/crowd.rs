//! Faults that are too many people.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::json;

use crate::chaos::{load, stage::Stage};

/// So few, that each soon has guessed too often.
const GUESSERS: u32 = 4;
/// How long an overload lasts, in seconds.
const OVERLOAD: u32 = 8;

/// From a range of its own: whoever has another address is not counted with them.
pub(super) async fn brute_force(stage: &Stage) -> Result<()> {
    let mut reports = Vec::new();
    // Who has to wait for a node that hangs guesses little meanwhile, and more after that.
    for _ in 0..3 {
        let report = load::beside(stage, "brute-force", GUESSERS, 40, 5).await?;
        ensure!(report.failed == 0, "who guessed got in: {report:?}");
        let told_to_wait = (report.operations.iter()).any(|one| one.statuses.contains_key(&429));
        if told_to_wait {
            return Ok(());
        }
        reports.push(report);
    }
    bail!("nobody who guessed was told to wait: {reports:?}")
}

/// Ten times what the machine can hash. Whoever is refused must be told so.
pub(super) async fn overload(stage: &Stage) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity = cores as f64 / one_hash(stage).await?.as_secs_f64();
    let rate = (capacity * 10.0).ceil() as u32;
    // As many as wait for the longest that the core lets them, and more.
    let report = load::beside(stage, "sign-up", rate * 6, rate, OVERLOAD).await?;
    ensure!(
        report.failed > 0,
        "{rate} sign-ups a second overload nobody: {report:?}"
    );
    for failure in &report.failures {
        let reason = failure.reason.to_string();
        let clear = [
            "GraphQL OVERLOADED",
            "GraphQL RATE_LIMITED",
            "GraphQL UNAVAILABLE",
            "HTTP 429",
            "HTTP 503",
        ];
        ensure!(
            clear.contains(&reason.as_str()),
            "{} who signed up got no clear refusal: {reason}",
            failure.count
        );
    }
    Ok(())
}

/// How long a sign-up takes, which is a hash and little else.
async fn one_hash(stage: &Stage) -> Result<Duration> {
    let client = crate::ready::client(stage.stack.ca())?;
    let url = format!("{}/graphql", stage.stack.part("gateway")?.url);
    let query = "mutation { signUp(email: \"capacity@example.com\", password: \"seven quiet otters paint\") { message } }";
    let begin = Instant::now();
    let answer = client
        .post(url)
        .json(&json!({ "query": query }))
        .send()
        .await?;
    ensure!(
        answer.status().is_success(),
        "a sign-up is answered {}",
        answer.status()
    );
    Ok(begin.elapsed())
}
