//! The catalogue of faults: each is done to the running stack under load, and users may see of it what it says and no more.
//!
//! In order: [`catalogue`] has the [`fault`]s and [`rounds`] what else can be asked for; [`machine`] finds out which of them this
//! machine can do; [`stage`] starts a stack for them; [`perform`] puts [`load`] on it, lets [`inject`] do them, and [`judge`]
//! compares. [`random`] draws lists of them ([`plan`]), and [`shrink`](mod@shrink)s what fails.

pub mod catalogue;
pub mod disk;
pub mod fault;
pub mod inject;
pub mod judge;
pub mod load;
pub mod machine;
pub mod perform;
pub mod plan;
pub mod random;
pub mod rounds;
pub mod shrink;
pub mod stage;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    fault::{Fault, StackKind},
    judge::Verdict,
    machine::Machine,
    plan::Group,
    rounds::{NAMED, Round},
    stage::Stage,
};

/// What is asked for.
#[derive(Args, Debug)]
pub struct Options {
    /// Which faults; the quick half of them by default, NAME+NAME for two at once.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Show all, with what a user may see and what this machine cannot do.
    #[arg(long, conflicts_with_all = ["names", "all", "random", "replay"])]
    list: bool,
    /// Draw faults by chance, and shrink the list that fails.
    #[arg(long, conflicts_with_all = ["names", "all"])]
    random: bool,
    /// What chance follows from; another one each time by default.
    #[arg(long, value_name = "N", requires = "random")]
    seed: Option<u64>,
    /// For how long faults are drawn.
    #[arg(long, value_name = "M", default_value_t = 10, requires = "random")]
    minutes: u64,
    /// Do these, in this order: NAME,NAME+NAME@SECONDS,…
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["names", "all", "random"])]
    replay: Option<String>,
    /// Keep the report of each load there, and the logs of what failed.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Does what is asked for; whether nothing failed.
///
/// # Errors
/// When a stack or a load cannot be started, or there is no such fault.
pub async fn run(options: Options) -> Result<bool> {
    // Names that do not exist are told at once.
    let rounds = rounds(&options)?;
    machine::enter();
    let machine = Machine::look();
    if options.list {
        list(&machine);
        return Ok(true);
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut chaos = Chaos {
        machine,
        report: options.report.map(std::path::absolute).transpose()?,
        stage: None,
    };
    let going = async {
        if options.random {
            let seed = options.seed.unwrap_or_else(some_seed);
            random::run(&mut chaos, seed, options.minutes).await
        } else {
            chaos.all(rounds).await
        }
    };
    let done = tokio::select! {
        done = going => done,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("ended by a signal")),
    };
    chaos.clear().await;
    done
}

fn rounds(options: &Options) -> Result<Vec<Round>> {
    if let Some(plan) = &options.replay {
        return plan.split(',').map(Round::find).collect();
    }
    if options.names.is_empty() {
        return Ok(Round::all(!options.all));
    }
    options.names.iter().map(|name| Round::find(name)).collect()
}

fn some_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs() % 1_000_000)
}

fn list(machine: &Machine) {
    let half = |quick| if quick { "quick" } else { "" };
    println!("{:<27} {:<6} what is done", "", "");
    for fault in catalogue::CATALOGUE {
        println!(
            "{:<27} {:<6} {}",
            fault.name,
            half(fault.quick),
            fault.summary
        );
        println!("{:35}users: {}", "", fault.seen.words);
        if let Some(reason) = fault.left_out(machine) {
            println!("{:35}LEFT OUT on this machine: {reason}", "");
        }
    }
    for named in NAMED {
        println!(
            "{:<27} {:<6} {}",
            named.name,
            half(named.quick),
            named.summary
        );
        println!("{:35}users: {}", "", named.seen);
    }
}

/// A run: the stack that is up, and where reports go.
pub(crate) struct Chaos {
    pub(crate) machine: Machine,
    report: Option<PathBuf>,
    stage: Option<Stage>,
}

impl Chaos {
    /// Performs rounds, those of one stack after the other; whether all passed.
    async fn all(&mut self, mut rounds: Vec<Round>) -> Result<bool> {
        // Stable: within a stack in the order that was asked for.
        rounds.sort_by_key(Round::stack);
        let faults: Vec<_> = rounds.iter().flat_map(Round::faults).collect();
        let (mut passed, mut failed, mut left_out) = (0, Vec::new(), 0);
        for round in &rounds {
            if let Some(reason) = self.left_out(round) {
                println!("{:<27} left out: {reason}", round.name);
                left_out += 1;
                continue;
            }
            let complaints = self.shown(round, &faults).await?.complaints;
            if complaints.is_empty() {
                passed += 1;
            } else {
                failed.push(format!("{}: {}", round.name, complaints.join("; ")));
            }
        }
        println!(
            "\n{passed} passed, {} failed, {left_out} left out",
            failed.len()
        );
        // Once more, as what is long may be cut by whoever keeps it, and its end is not.
        for failed in &failed {
            println!("Failed: {failed}");
        }
        Ok(failed.is_empty())
    }

    fn left_out(&self, round: &Round) -> Option<String> {
        (round.faults().iter()).find_map(|fault| fault.left_out(&self.machine))
    }

    /// Performs a round, and prints what came of it. `faults` are all that its stack is to be ready for.
    pub(crate) async fn shown(
        &mut self,
        round: &Round,
        faults: &[&'static Fault],
    ) -> Result<Verdict> {
        self.ready(round.stack(), faults).await?;
        print!("{:<27} ", round.name);
        io::stdout().flush()?;
        let begin = Instant::now();
        let stage = self.stage.as_ref().context("the stack is up")?;
        let folder = self
            .report
            .clone()
            .unwrap_or_else(|| stage.directory().to_owned());
        let verdict = perform::perform(stage, round, &folder)
            .await
            .inspect_err(|_| println!())?;
        let word = if verdict.complaints.is_empty() {
            "ok"
        } else {
            "FAILED"
        };
        println!(
            "{word:<7} {:>3} s  {}",
            begin.elapsed().as_secs(),
            verdict.seen
        );
        for complaint in &verdict.complaints {
            println!("{:35}{complaint}", "");
        }
        if !verdict.complaints.is_empty() {
            for fault in round.faults() {
                println!(
                    "{:35}{}: users may see {}",
                    "", fault.name, fault.seen.words
                );
            }
            self.keep_logs(&round.name)?;
            // What did not heal must not be seen as another fault's doing.
            self.clear().await;
        }
        Ok(verdict)
    }

    /// Makes sure that the right stack is up.
    async fn ready(&mut self, kind: StackKind, faults: &[&'static Fault]) -> Result<()> {
        if self.stage.as_ref().is_some_and(|stage| stage.kind == kind) {
            return Ok(());
        }
        self.clear().await;
        let faults: Vec<_> = (faults.iter().copied())
            .filter(|fault| fault.stack == kind && fault.left_out(&self.machine).is_none())
            .collect();
        let begin = Instant::now();
        // Kept before it is started, so that what runs is stopped whatever happens meanwhile.
        let stage = self
            .stage
            .insert(Stage::prepare(kind, &faults, &self.machine).await?);
        let parts = stage.stack.parts().len();
        let what = match kind {
            StackKind::Cluster => "three nodes on PostgreSQL",
            StackKind::Sqlite => "two nodes on one SQLite file",
            StackKind::RealCost => "three nodes on PostgreSQL, with hashes at their real cost",
            StackKind::Ha => "three nodes on a PostgreSQL of three members",
        };
        stage.start().await?;
        println!(
            "--- {what}: {parts} parts, ready after {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn keep_logs(&self, name: &str) -> Result<()> {
        let (Some(folder), Some(stage)) = (&self.report, &self.stage) else {
            println!("{:35}--report DIR keeps the reports and the logs", "");
            return Ok(());
        };
        let to = folder.join(format!("{name}-logs"));
        fs::create_dir_all(&to)?;
        copy_files(&stage.stack.directory().join("logs"), &to)?;
        copy_files(stage.directory(), &to)
    }

    /// Stops the stack that is up, if one is.
    pub(crate) async fn clear(&mut self) {
        if let Some(stage) = self.stage.take() {
            stage.stop().await;
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in fs::read_dir(from)?.flatten().map(|entry| entry.path()) {
        if let Some(name) = file.file_name()
            && file.extension().is_some_and(|extension| extension == "log")
        {
            fs::copy(&file, to.join(name))?;
        }
    }
    Ok(())
}

/// The groups of a list of faults, each with the number of its group.
fn groups(strikes: &[(usize, plan::Strike)]) -> Vec<Group> {
    let groups = strikes.chunk_by(|one, other| one.0 == other.0);
    groups
        .map(|group| Group(group.iter().map(|(_, strike)| *strike).collect()))
        .collect()
}
