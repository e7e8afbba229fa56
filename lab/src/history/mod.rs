//! Whether a stack kept its word: every call of some clients, as an interval of time, held against a [`model`] of an account.
//!
//! A [`Recorder`] puts clients on a stack while others break it, and writes down what they ask and what they are told:
//! [`History`]. [`History::check`] then looks for an order of the calls in which the model gives every answer that was given
//! ([`search`](self)), which is linearizability (Herlihy and Wing, 1990). A call whose connection broke may have been carried
//! out, at whatever time since, or not at all.

mod client;
mod log;
mod model;
mod recorder;
mod search;
#[cfg(test)]
mod tests;
mod text;
mod user;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::AddAssign,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

pub use model::Refusal;
pub use recorder::Recorder;
pub use text::Violation;

/// A call by its place in the history. It also names what the call made: a password, a session, a refresh token.
pub type Id = usize;

/// What is asked of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the account, with a new password.
    SignUp,
    /// Begin a session.
    LogIn {
        /// The call that made the password.
        password: Id,
    },
    /// Replace the password by a new one.
    ChangePassword {
        /// The call that began the session.
        session: Id,
        /// The call that made the password which is given as the current one.
        current: Id,
    },
    /// Trade a refresh token for a new one.
    Refresh {
        /// The call that began the session.
        session: Id,
        /// The call that answered with the token.
        token: Id,
    },
    /// End the session.
    LogOut {
        /// The call that began it.
        session: Id,
    },
    /// Ask whose session it is.
    Me {
        /// The call that began it.
        session: Id,
    },
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was acknowledged. With the end of the refresh token, if there was one, by which it is told from others.
    Done(Option<String>),
    /// It was refused for a reason that says something about the account.
    Refused(Refusal),
    /// It was certainly not carried out: the code, or why it was not sent.
    NotCarriedOut(String),
    /// It may have been carried out, may still be, or not: how its answer was lost.
    Unknown(String),
}

/// A moment of a history: its number in the order of all moments, and the time since the history began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub usize, pub Duration);

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Of which account, by its number.
    pub account: usize,
    /// By which client.
    pub client: usize,
    /// What was asked.
    pub action: Action,
    /// The first call with the same `Idempotency-Key`, which may be this one; none without a key.
    pub key: Option<Id>,
    /// When it was sent.
    pub invoked: Moment,
    /// When it was answered, and what.
    pub completed: Option<(Moment, Answer)>,
}

/// All that clients asked, and what they were told.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The e-mail address of each account.
    pub emails: Vec<String>,
    /// In the order in which they were sent.
    pub calls: Vec<Call>,
    last: Moment,
    /// How old what is told of a session may be: for as long it may seem to last.
    stale: Duration,
    /// In e-mail addresses, passwords and keys, so that they are no other history's.
    secret: u64,
}

/// What a history has, when nothing is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Accounts.
    pub accounts: usize,
    /// Calls.
    pub calls: usize,
    /// Those that were acknowledged.
    pub acknowledged: usize,
    /// Those of which nobody knows whether they were carried out.
    pub unknown: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accounts,
            calls,
            acknowledged,
            unknown,
        } = self;
        write!(
            f,
            "{accounts} accounts, {calls} calls: {acknowledged} acknowledged, {unknown} of unknown outcome"
        )
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.accounts += other.accounts;
        self.calls += other.calls;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
    }
}

impl History {
    /// Looks for an order of each account's calls that explains all answers.
    ///
    /// # Errors
    /// The first account for which there is none, with its history.
    pub fn check(&self) -> Result<Summary, Violation> {
        for account in 0..self.emails.len() {
            self.possible(account)?;
        }
        let count = |wanted: fn(&Answer) -> bool| {
            let answers = self.calls.iter().filter_map(|call| call.completed.as_ref());
            answers.filter(|(_, answer)| wanted(answer)).count()
        };
        Ok(Summary {
            accounts: self.emails.len(),
            calls: self.calls.len(),
            acknowledged: count(|answer| matches!(answer, Answer::Done(_))),
            unknown: count(|answer| matches!(answer, Answer::Unknown(_))),
        })
    }

    /// The passwords that the account may have by now, none where there may be no account.
    fn possible(&self, account: usize) -> Result<BTreeSet<Option<Id>>, Violation> {
        let possible = search::explain(&self.of(account), self.stale);
        possible.map_err(|reason| self.violation(account, reason))
    }

    fn violation(&self, account: usize, reason: search::Reason) -> Violation {
        Violation::new(&self.emails[account], &self.of(account), reason)
    }

    fn of(&self, account: usize) -> BTreeMap<Id, &Call> {
        let calls = self.calls.iter().enumerate();
        calls.filter(|(_, call)| call.account == account).collect()
    }
}

impl Call {
    /// What names that which the call makes: its key's first call, as a repeat makes nothing of its own.
    pub(crate) fn name(&self, id: Id) -> Id {
        self.key.unwrap_or(id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of the lock panics")
}
