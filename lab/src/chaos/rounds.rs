//! What can be asked for: each fault of the catalogue, and rounds that are more than one fault, or less than the whole stack.

use std::time::Duration;

use anyhow::Result;

use super::{
    catalogue::CATALOGUE,
    fault::{Fault, StackKind},
    load::Load,
    plan::Group,
};

/// Arrivals per second, unless a round says otherwise.
const RATE: u32 = 40;

/// How long users wait for an answer, in seconds: as most clients do, and one is held up for less by one node.
const PATIENCE: u32 = 10;
/// The same where two faults are done at once: who waits for 2 s in vain for a connection to one node may be given to another that
/// hangs, before the gateway knows of either, and that takes 8 s.
const PATIENCE_WITH_TWO: u32 = 15;

/// Faults, one group after the other, under one load.
#[derive(Clone, Debug)]
pub struct Round {
    /// How it is called.
    pub name: String,
    /// What is done.
    pub groups: Vec<Group>,
    /// Under which load.
    pub load: Load,
    /// How long the load lasts at least.
    pub at_least: Duration,
    /// What is switched off, and a complaint that there must be then.
    pub without: Option<(Protection, &'static str)>,
}

/// What keeps users from noticing a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The gateway tries another node.
    Retries,
    /// The gateway asks nodes whether they are ready.
    HealthChecks,
}

/// A round with a name.
#[derive(Debug)]
pub struct Named {
    /// How it is asked for.
    pub name: &'static str,
    /// What it shows, in a line.
    pub summary: &'static str,
    /// What a user may see.
    pub seen: &'static str,
    /// Whether it is among those that are run unless told otherwise.
    pub quick: bool,
    plan: &'static str,
    rate: u32,
    seconds: u64,
    without: Option<(Protection, &'static str)>,
}

/// All of them.
pub const NAMED: &[Named] = &[
    Named {
        name: "two-at-once",
        summary: "of three nodes one hangs, and another one is killed meanwhile",
        seen: "no failed request; who was given to the node that hangs waits up to 9 s",
        quick: false,
        plan: "hang+crash@1",
        rate: RATE,
        seconds: 0,
        without: None,
    },
    Named {
        name: "failover",
        summary: "a crash, a hang and a rolling restart within a minute of 200 arrivals a second",
        seen: "no failed request; who was given to the node that hangs waits up to 9 s",
        quick: false,
        plan: "crash/hang/rolling-restart",
        rate: 200,
        seconds: 60,
        without: None,
    },
    Named {
        name: "crash-without-retries",
        summary: "a node is killed, and the gateway tries no other",
        seen: "errors: must fail",
        quick: true,
        plan: "crash",
        rate: RATE,
        seconds: 0,
        without: Some((Protection::Retries, "requests failed")),
    },
    Named {
        name: "hang-without-checks",
        summary: "a node hangs, and the gateway does not ask whether it is ready",
        seen: "waits for as long as it lasts: must fail",
        quick: false,
        plan: "hang",
        rate: RATE,
        seconds: 0,
        without: Some((Protection::HealthChecks, "during: p75<1s: it was")),
    },
];

impl Round {
    /// One group, alone.
    pub fn of(group: Group) -> Self {
        let faults: Vec<_> = group.faults().collect();
        // What shows whether those who have a token notice an overload: more would be part of it.
        let overloaded = faults
            .iter()
            .any(|fault| fault.stack == StackKind::RealCost);
        Self {
            name: group.to_string(),
            load: Load {
                rate: if overloaded { RATE / 4 } else { RATE },
                mixed: !overloaded,
                patience: if faults.len() > 1 {
                    PATIENCE_WITH_TWO
                } else {
                    PATIENCE
                },
            },
            groups: vec![group],
            at_least: Duration::ZERO,
            without: None,
        }
    }

    /// By its name, or by a plan such as `crash+key-rotation`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(text: &str) -> Result<Self> {
        let Some(named) = NAMED.iter().find(|named| named.name == text) else {
            return Ok(Self::of(text.parse()?));
        };
        Ok(Self {
            name: named.name.to_owned(),
            groups: named
                .plan
                .split('/')
                .map(str::parse)
                .collect::<Result<_>>()?,
            load: Load {
                rate: named.rate,
                mixed: true,
                patience: PATIENCE,
            },
            at_least: Duration::from_secs(named.seconds),
            without: named.without,
        })
    }

    /// The quick half, or everything.
    pub fn all(quick: bool) -> Vec<Self> {
        let faults = CATALOGUE.iter().map(|fault| (fault.name, fault.quick));
        let named = NAMED.iter().map(|named| (named.name, named.quick));
        faults
            .chain(named)
            .filter(|(_, is_quick)| *is_quick || !quick)
            .map(|(name, _)| Self::find(name).expect("its plan can be read"))
            .collect()
    }

    /// Its faults.
    pub fn faults(&self) -> Vec<&'static Fault> {
        self.groups.iter().flat_map(Group::faults).collect()
    }

    /// The stack that it is done to.
    pub fn stack(&self) -> StackKind {
        (self.faults().first()).map_or(StackKind::Cluster, |fault| fault.stack)
    }
}

impl Protection {
    /// A gateway's configuration without it.
    pub fn off(self, config: &str) -> String {
        let lines = config.lines().map(|line| {
            let words = line.trim_start();
            match self {
                Self::Retries if words.starts_with("retry-on ") => String::new(),
                Self::Retries if words.starts_with("option redispatch") => String::new(),
                Self::Retries if words.starts_with("retries ") => "  retries 0".to_owned(),
                Self::HealthChecks if words.starts_with("default-server check ") => {
                    match words.split_once(" maxconn ") {
                        Some((_, rest)) => format!("  default-server maxconn {rest}"),
                        None => String::new(),
                    }
                }
                _ => line.to_owned(),
            }
        });
        lines.map(|line| line + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_a_name_of_its_own_and_a_plan_that_can_be_read() {
        let all = Round::all(false);
        let mut names: Vec<_> = all.iter().map(|round| round.name.clone()).collect();
        assert_eq!(names.len(), CATALOGUE.len() + NAMED.len());
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
        let quick = Round::all(true);
        assert!(!quick.is_empty() && quick.len() < all.len());
    }

    #[test]
    fn what_is_switched_off_is_gone_and_all_else_stays() {
        let config = "global\n  retries 3\n  retry-on conn-failure\n  option redispatch 1\n  \
                      default-server check inter 500ms rise 2 maxconn 250 x 1\n  http-request return status 429 x\n";
        for (protection, expected) in [
            (
                Protection::Retries,
                "global\n  retries 0\n\n\n  default-server check inter 500ms rise 2 maxconn 250 x 1\n  http-request return status 429 x\n",
            ),
            (
                Protection::HealthChecks,
                "global\n  retries 3\n  retry-on conn-failure\n  option redispatch 1\n  default-server maxconn 250 x 1\n  \
                 http-request return status 429 x\n",
            ),
        ] {
            assert_eq!(protection.off(config), expected, "{protection:?}");
        }
    }
}
