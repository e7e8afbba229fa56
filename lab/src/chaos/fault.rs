//! What a fault is: what is done, what a user may see of it, and what it needs.

use super::{inject::Action, machine::Machine};

/// One fault of the catalogue.
#[derive(Debug)]
pub struct Fault {
    /// How it is asked for.
    pub name: &'static str,
    /// What is done, in a line.
    pub summary: &'static str,
    /// What a user may see.
    pub seen: Seen,
    /// The stack that it is done to.
    pub stack: StackKind,
    /// Whether it is among those that are run unless told otherwise: short, and cheap.
    pub quick: bool,
    /// What it breaks: two faults that break the same are not done at once.
    pub breaks: &'static [Broken],
    /// How it is done and undone.
    pub action: Action,
}

/// What a user may see of a fault. Before it and after it, no request fails.
#[derive(Debug)]
pub struct Seen {
    /// In words.
    pub words: &'static str,
    /// Further rules, in authload's terms.
    pub rules: &'static [&'static str],
    /// The errors that requests may get while it lasts. At least one must be seen, or somebody must have waited: a fault that does
    /// nothing shows nothing. None: no request fails.
    pub errors: &'static [&'static str],
}

/// Which stack a fault is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StackKind {
    /// Two gateways, three nodes on PostgreSQL, with cheap hashes, so that load is many requests.
    Cluster,
    /// Two nodes on one SQLite file, with cheap hashes.
    Sqlite,
    /// The cluster, with hashes at their real cost.
    RealCost,
    /// The cluster, on a database of three members.
    Ha,
}

/// What a fault takes from the stack for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The node `auth1`, and so on.
    Auth1,
    /// The node `auth2`.
    Auth2,
    /// The node `auth3`.
    Auth3,
    /// The database, or the way to it.
    Database,
    /// The gateway's process.
    Gateway,
    /// Nothing that users need.
    Beside,
    /// Everything: it goes with no other.
    All,
}

impl Fault {
    /// Why it cannot be done on this machine; `None` when it can.
    pub fn left_out(&self, machine: &Machine) -> Option<String> {
        self.action.lacks(machine)
    }

    /// Whether there is a promise for both at once: no request fails by either, and a node is left.
    pub fn goes_with(&self, other: &Self) -> bool {
        let strict = |fault: &Self| fault.seen.errors.is_empty() && !fault.breaks.is_empty();
        let all = |fault: &Self| fault.breaks.contains(&Broken::All);
        self.name != other.name
            && self.stack == other.stack
            && strict(self)
            && strict(other)
            && !all(self)
            && !all(other)
            && (self.breaks.iter()).all(|one| *one == Broken::Beside || !other.breaks.contains(one))
    }
}
