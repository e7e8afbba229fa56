//! Rounds of kill -9 at random moments under load, after each of which the whole history is checked: what `lab durability` runs.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use fastrand::Rng;
use tokio::{sync::mpsc::unbounded_channel, time::sleep};

use crate::{
    Setup, Stack, TopologyName,
    chaos::machine::Machine,
    history::{History, Recorder, Summary},
    members::{ETCD, Fault, MEMBERS, Members},
    network::Network,
    topology::ScryptCost,
};

/// Acknowledged calls before a kill, and again before the round ends, at most.
const CALLS: std::ops::Range<usize> = 10..100;
/// How long the killed parts stay away, at most.
const AWAY: Duration = Duration::from_millis(200);
/// A stack whose parts are all ready answers so many calls within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which stack.
    pub topology: TopologyName,
    /// How many rounds.
    pub rounds: usize,
    /// From which all that is random follows.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Rounds.
    pub rounds: usize,
    /// Parts that were killed, or primaries that were broken.
    pub kills: usize,
    /// Of all histories together.
    pub summary: Summary,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rounds,
            kills,
            summary,
            took,
        } = self;
        let took = took.as_secs_f64();
        write!(
            f,
            "{rounds} rounds, {kills} parts broken, {summary}; no promise was broken; {took:.0} s"
        )
    }
}

/// Runs the rounds on a stack of its own in `directory`, which ends with them; `say` gets a line for each.
///
/// # Errors
/// The stack does not start, or a promise was broken: [`crate::history::Violation`].
pub async fn run(plan: Plan, directory: &Path, say: impl Fn(String)) -> Result<Outcome> {
    let begin = Instant::now();
    // Of others any part is killed; the primary is broken in each way in turn. A look also brings up a network of our own.
    let faults = match plan.topology {
        TopologyName::Ha => Fault::possible(&Machine::look()),
        TopologyName::Single | TopologyName::Cluster => Vec::new(),
    };
    let (tell, _events) = unbounded_channel();
    let setup = Setup {
        topology: plan.topology,
        directory: directory.to_owned(),
        network: Network::for_test()?,
        tls_profile: None,
        internal_tls: false,
        gateway: None,
        // The load is there to write, not to hash.
        scrypt: Some(ScryptCost::CHEAP),
        parts: Some(parts(plan.topology).map(str::to_owned).collect()),
    };
    let stack = Stack::prepare(setup, tell).await?;
    let done = async {
        stack.start().await?;
        rounds(plan, &stack, &faults, say).await
    };
    let done = done.await;
    stack.stop().await;
    Ok(Outcome {
        took: begin.elapsed(),
        ..done?
    })
}

/// Who answers users. Each needs at most those before it to become ready.
fn parts(topology: TopologyName) -> impl Iterator<Item = &'static str> {
    let database: &[_] = match topology {
        TopologyName::Single => &[],
        TopologyName::Cluster => &["postgres"],
        TopologyName::Ha => &[ETCD.as_slice(), &MEMBERS, &["database"]].concat(),
    };
    let nodes: &[_] = match topology {
        TopologyName::Single => &["auth1", "auth2"],
        TopologyName::Cluster | TopologyName::Ha => &["auth1", "auth2", "auth3"],
    };
    [database, nodes, &["gateway"]].concat().into_iter()
}

async fn rounds(
    plan: Plan,
    stack: &Stack,
    faults: &[Fault],
    say: impl Fn(String),
) -> Result<Outcome> {
    let mut random = Rng::with_seed(plan.seed);
    let recorder = Recorder::new(stack, random.u64(..))?;
    let mut turn = faults.iter().cycle();
    let mut histories = Vec::new();
    let mut outcome = Outcome::default();
    for round in 1..=plan.rounds {
        let begin = Instant::now();
        let (mut what, mut broken) = (String::new(), 1);
        let breaking = async {
            if let Some(fault) = turn.next() {
                what = replace_primary(stack, &recorder, *fault, &mut random).await?;
            } else {
                let victims = victims(plan.topology, &mut random);
                break_and_mend(stack, &recorder, &victims, &mut random).await?;
                broken = victims.len();
                what = format!("killed {}", victims.join(", "));
            }
            Ok(())
        };
        let history = recorder.run(breaking).await?;
        let history = recorder.read(history).await?;
        let round_has = history.check()?;
        histories.push(history);
        outcome.rounds = round;
        outcome.kills += broken;
        say(format!(
            "round {round:>3}: {round_has}; {what}; {:.1} s",
            begin.elapsed().as_secs_f64()
        ));
    }
    say("reading every account once more …".to_owned());
    for history in histories {
        let read: History = recorder.read(history).await?;
        outcome.summary += read.check()?;
    }
    Ok(outcome)
}

/// Some parts, one at least.
fn victims(topology: TopologyName, random: &mut Rng) -> Vec<&'static str> {
    let all: Vec<_> = parts(topology).collect();
    loop {
        let some: Vec<_> = all.iter().copied().filter(|_| random.bool()).collect();
        if !some.is_empty() {
            return some;
        }
    }
}

async fn break_and_mend(
    stack: &Stack,
    recorder: &Recorder,
    victims: &[&str],
    random: &mut Rng,
) -> Result<()> {
    work(recorder, random).await?;
    let mut dying = victims.to_vec();
    random.shuffle(&mut dying);
    for victim in dying {
        stack.kill_part(victim).await?;
    }
    sleep(AWAY.mul_f64(random.f64())).await;
    for victim in victims {
        stack.start_part(victim).await?;
    }
    work(recorder, random).await
}

/// What was done, in words. There is work before it, on the successor, and with all members again.
async fn replace_primary(
    stack: &Stack,
    recorder: &Recorder,
    fault: Fault,
    random: &mut Rng,
) -> Result<String> {
    let members = Members::of(stack)?;
    members.until_whole().await?;
    work(recorder, random).await?;
    let mut broken = members.break_primary(fault).await?;
    let took = members.until_replaced(&mut broken).await?;
    work(recorder, random).await?;
    let mut what = format!(
        "{fault} the primary, replaced after {:.1} s",
        took.as_secs_f64()
    );
    if let Some(until) = broken.primary_until() {
        what += &format!(", was one for {:.1} s", until.as_secs_f64());
    }
    members.mend(broken).await?;
    work(recorder, random).await?;
    Ok(what)
}

/// Waits for a random number of calls: the moment after that is as random as they are.
async fn work(recorder: &Recorder, random: &mut Rng) -> Result<()> {
    let begin = Instant::now();
    let enough = recorder.acknowledged() + random.usize(CALLS);
    while recorder.acknowledged() < enough {
        ensure!(
            begin.elapsed() < PATIENCE,
            "the stack does not answer any more"
        );
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
