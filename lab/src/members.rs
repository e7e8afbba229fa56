//! The members of the database of the topology "ha": who is the primary, how it is broken, and who follows it.

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{process::Command, time::sleep};

use crate::{
    Stack,
    chaos::{inject::network::Cut, machine::Machine},
    programs, ready,
};

/// All of them.
pub const MEMBERS: [&str; 3] = ["postgres1", "postgres2", "postgres3"];
/// Those of etcd.
pub const ETCD: [&str; 3] = ["etcd1", "etcd2", "etcd3"];
/// How long a successor, or a member that comes back, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a member may take for an answer, and PostgreSQL for a row that it has been told to keep: without a second member it waits.
const ANSWER: Duration = Duration::from_secs(1);
const WRITE: Duration = Duration::from_millis(300);

/// What happens to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its PostgreSQL is killed.
    Killed,
    /// Its machine is lost: Patroni and PostgreSQL are killed, and started again in the end.
    Lost,
    /// Its machine is cut off from all others.
    CutOff,
}

impl Fault {
    /// Those that this machine can do.
    pub fn possible(machine: &Machine) -> Vec<Self> {
        let cut_off = machine.nft.is_ok().then_some(Self::CutOff);
        [Self::Killed, Self::Lost]
            .into_iter()
            .chain(cut_off)
            .collect()
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Lost => "lost",
            Self::CutOff => "cut off",
        })
    }
}

/// A member that was the primary, and is broken.
#[derive(Debug)]
pub struct Broken {
    /// Which.
    pub member: &'static str,
    fault: Fault,
    since: Instant,
    cut: Option<Cut>,
    /// Until when it took writes, as far as that was seen.
    primary_until: Option<Duration>,
    /// Rows that were written to it since, of which it said that they are safe.
    acknowledged: Vec<u64>,
}

impl Broken {
    /// Until when after the fault it was seen to take writes, where somebody looked.
    pub fn primary_until(&self) -> Option<Duration> {
        self.primary_until
    }
}

/// The members of a stack.
#[derive(Debug)]
pub struct Members<'a> {
    stack: &'a Stack,
    client: Client,
}

impl<'a> Members<'a> {
    /// Those of this stack.
    ///
    /// # Errors
    /// When the stack's CA cannot be read.
    pub fn of(stack: &'a Stack) -> Result<Self> {
        let client = ready::client(stack.ca())?;
        Ok(Self { stack, client })
    }

    /// Whose Patroni says that it is the primary; none while nobody's does.
    pub async fn primary(&self) -> Option<&'static str> {
        let [one, two, three] = MEMBERS;
        // At once: who is cut off lets one wait.
        let (is_one, is_two, is_three) = tokio::join!(
            self.get(one, "primary"),
            self.get(two, "primary"),
            self.get(three, "primary")
        );
        let all = [(one, is_one), (two, is_two), (three, is_three)];
        all.into_iter()
            .find_map(|(member, is_primary)| is_primary.map(|_| member))
    }

    /// Whether there is a primary, a synchronous standby, and a third one, and all are as far as the primary.
    pub async fn are_whole(&self) -> bool {
        let Some(primary) = self.primary().await else {
            return false;
        };
        let Some(cluster) = self.get(primary, "cluster").await else {
            return false;
        };
        let members = cluster["members"].as_array().cloned().unwrap_or_default();
        let timeline = |member: &Value| member["timeline"].as_u64();
        let leader = members.iter().find(|member| member["role"] == "leader");
        let follows = |member: &&Value| {
            member["lag"].is_u64() && timeline(member) == leader.and_then(timeline)
        };
        let synchronous = |member: &&Value| member["role"] == "sync_standby";
        members.iter().filter(follows).count() == MEMBERS.len() - 1
            && members.iter().filter(synchronous).count() == 1
    }

    /// Waits until they are.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn until_whole(&self) -> Result<()> {
        let begin = Instant::now();
        while !self.are_whole().await {
            ensure!(
                begin.elapsed() < PATIENCE,
                "not within {} s: a primary and two that follow it",
                PATIENCE.as_secs()
            );
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Breaks the primary.
    ///
    /// # Errors
    /// When there is none, or it cannot be broken.
    pub async fn break_primary(&self, fault: Fault) -> Result<Broken> {
        let member = self.primary().await.context("there is no primary")?;
        if fault == Fault::CutOff {
            self.ask(member, "CREATE TABLE IF NOT EXISTS written (row bigint)")
                .await?;
        }
        let mut broken = Broken {
            member,
            fault,
            since: Instant::now(),
            cut: None,
            primary_until: None,
            acknowledged: Vec::new(),
        };
        match fault {
            Fault::Killed => kill_process(self.postgresql(member)?, Signal::KILL)?,
            Fault::Lost => self.stack.kill_part(member).await?,
            Fault::CutOff => broken.cut = Some(Cut::off(self.stack.part(member)?)?),
        }
        Ok(broken)
    }

    /// Waits until another one is the primary, and how long that was from the fault. Of two, only one may take writes.
    ///
    /// # Errors
    /// When there is none in time, or there are two.
    pub async fn until_replaced(&self, broken: &mut Broken) -> Result<Duration> {
        loop {
            let successor = self.primary().await.filter(|one| *one != broken.member);
            let took = broken.since.elapsed();
            if broken.fault == Fault::CutOff {
                self.look_behind_the_cut(broken, successor).await?;
            }
            if successor.is_some() {
                return Ok(took);
            }
            ensure!(
                took < PATIENCE,
                "nobody has followed {} after {} s",
                broken.member,
                PATIENCE.as_secs()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// As somebody on the machine that is cut off would.
    async fn look_behind_the_cut(
        &self,
        broken: &mut Broken,
        successor: Option<&str>,
    ) -> Result<()> {
        let asked = broken.since.elapsed();
        let in_recovery = self.ask(broken.member, "SELECT pg_is_in_recovery()").await;
        if in_recovery.is_ok_and(|answer| answer == "f") {
            broken.primary_until = Some(asked);
            // The successor was asked before, so at this moment there are both.
            if let Some(successor) = successor {
                bail!("{successor} takes writes, and {} still does", broken.member);
            }
            let row = asked.as_millis() as u64;
            let write = format!("INSERT INTO written VALUES ({row})");
            let written = tokio::time::timeout(WRITE, self.ask(broken.member, &write)).await;
            if let Ok(Ok(_)) = written {
                broken.acknowledged.push(row);
            }
        }
        ensure!(
            broken.primary_until.is_some(),
            "{} was none from the beginning: this shows nothing",
            broken.member
        );
        Ok(())
    }

    /// Brings it back, and waits until all are whole.
    ///
    /// # Errors
    /// When they are not in time, or what it acknowledged meanwhile is lost.
    pub async fn mend(&self, broken: Broken) -> Result<()> {
        match broken.fault {
            // Patroni has started it already, or is about to.
            Fault::Killed => {}
            Fault::Lost => drop(self.stack.start_part(broken.member).await?),
            Fault::CutOff => broken.cut.context("it is cut off")?.end()?,
        }
        self.until_whole().await?;
        for row in broken.acknowledged {
            let primary = self.primary().await.context("there is no primary")?;
            let count = format!("SELECT count(*) FROM written WHERE row = {row}");
            ensure!(
                self.ask(primary, &count).await? == "1",
                "{} acknowledged a write while it was cut off, and that is lost",
                broken.member
            );
        }
        Ok(())
    }

    /// Asks a member's PostgreSQL, by a way that is not the network.
    async fn ask(&self, member: &str, statement: &str) -> Result<String> {
        let password = fs::read_to_string(self.stack.directory().join("keys/members-password"))?;
        let psql = programs::of_machine("psql").context("there is no psql")?;
        let asking = Command::new(psql)
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .arg("--host")
            .arg(self.folder(member))
            .args(["--username=postgres", "--dbname=authcore", "--command"])
            .arg(statement)
            .env("PGPASSWORD", password)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(ANSWER, asking).await??;
        ensure!(
            output.status.success(),
            "{member}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The process of a member's PostgreSQL.
    fn postgresql(&self, member: &str) -> Result<Pid> {
        let file = self.folder(member).join("data/postmaster.pid");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let pid = text.lines().next().and_then(|line| line.parse().ok());
        pid.and_then(Pid::from_raw)
            .with_context(|| format!("{} has no process id", file.display()))
    }

    fn folder(&self, member: &str) -> PathBuf {
        self.stack.scratch().join(member)
    }

    async fn get(&self, member: &str, path: &str) -> Option<Value> {
        let url = format!("{}/{path}", self.stack.part(member).ok()?.url);
        let answer = self.client.get(url).timeout(ANSWER).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }
}
