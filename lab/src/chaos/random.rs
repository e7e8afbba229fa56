//! Faults drawn by chance, until something fails; then the shortest list that still does.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Chaos, groups,
    plan::{Group, Strike, draw, drawn_from, text},
    rounds::Round,
    shrink::shrink,
};

/// Draws for so many minutes; whether nothing failed.
///
/// # Errors
/// When a stack or a load cannot be started.
pub(crate) async fn run(chaos: &mut Chaos, seed: u64, minutes: u64) -> Result<bool> {
    println!(
        "Seed {seed}: `./dev chaos --random --seed {seed} --minutes {minutes}` draws the same again."
    );
    let faults = drawn_from(&chaos.machine);
    let mut random = fastrand::Rng::with_seed(seed);
    let time = Duration::from_secs(minutes * 60);
    let begin = Instant::now();
    let mut done: Vec<Group> = Vec::new();
    while begin.elapsed() < time {
        let group = draw(&mut random, &faults);
        done.push(group.clone());
        let verdict = chaos.shown(&Round::of(group), &faults).await?;
        if !verdict.complaints.is_empty() {
            report(chaos, &done, time).await?;
            return Ok(false);
        }
    }
    println!("\n{} rounds, and nothing failed.", done.len());
    Ok(true)
}

/// Looks for the shortest list that fails, for as long as was drawn at most.
async fn report(chaos: &mut Chaos, done: &[Group], time: Duration) -> Result<()> {
    println!(
        "\nLooking for the shortest list that fails, for {} min at most:",
        time.as_secs() / 60
    );
    let strikes: Vec<(usize, Strike)> = (done.iter().enumerate())
        .flat_map(|(number, group)| group.0.iter().map(move |strike| (number, *strike)))
        .collect();
    let faults = drawn_from(&chaos.machine);
    let mut broken = None;
    let found = shrink(&strikes, Instant::now() + time, async |strikes| {
        // Each from a stack that nothing was done to.
        chaos.clear().await;
        let mut rounds: Vec<_> = groups(strikes).into_iter().map(Round::of).collect();
        println!(
            "\n  with {}:",
            if rounds.is_empty() {
                "no fault".into()
            } else {
                text(&groups(strikes))
            }
        );
        if rounds.is_empty() {
            rounds.extend(Round::find("calm"));
        }
        for round in &rounds {
            match chaos.shown(round, &faults).await {
                Ok(verdict) if verdict.complaints.is_empty() => {}
                Ok(_) => return true,
                Err(error) => {
                    broken = Some(error);
                    return false;
                }
            }
        }
        false
    })
    .await;
    if let Some(error) = broken {
        return Err(error);
    }
    match found.as_deref().map(groups) {
        None => println!(
            "\nIt did not fail again, so it is a matter of chance. All that was done: `./dev chaos --replay '{}'`",
            text(done)
        ),
        Some(groups) if groups.is_empty() => {
            println!("\nIt fails without any fault: `./dev chaos --replay calm`");
        }
        Some(groups) => println!(
            "\nThe shortest that fails ({} of {} rounds): `./dev chaos --replay '{}'`",
            groups.len(),
            done.len(),
            text(&groups)
        ),
    }
    Ok(())
}
