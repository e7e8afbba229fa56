//! What an account promises, as if one call came after another: the specification that a history is held against.
//!
//! All that is made is named by the call that made it, so no password, session or token ever comes twice, and the memory that
//! the core keeps of an `Idempotency-Key` is part of the state already: a sign-up or a change is remembered as long as its
//! session lives, a refresh as long as its token is the session's newest.

use std::collections::BTreeMap;

use super::{Action, Id};

/// Why a call is refused, where that says something about the account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// `EMAIL_TAKEN`
    EmailTaken,
    /// `INVALID_CREDENTIALS`
    InvalidCredentials,
    /// `UNAUTHENTICATED`
    Unauthenticated,
    /// A code that no call of ours may get.
    Unexpected(String),
}

/// An account, or the place where there is none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// None before the sign-up.
    pub password: Option<Id>,
    /// The newest refresh token of each session.
    pub sessions: BTreeMap<Id, Id>,
}

impl Account {
    /// Carries out a call. `name` is what it makes.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn carry_out(&mut self, action: Action, name: Id) -> Result<(), Refusal> {
        let live = |account: &Self, session| account.sessions.contains_key(&session);
        match action {
            // The repeat of one that is remembered.
            Action::SignUp | Action::ChangePassword { .. } if live(self, name) => Ok(()),
            Action::SignUp if self.password.is_some() => Err(Refusal::EmailTaken),
            Action::SignUp => {
                self.begin_with(name);
                Ok(())
            }
            Action::LogIn { password } if self.password == Some(password) => {
                self.sessions.insert(name, name);
                Ok(())
            }
            Action::LogIn { .. } => Err(Refusal::InvalidCredentials),
            Action::ChangePassword { session, .. } if !live(self, session) => {
                Err(Refusal::Unauthenticated)
            }
            Action::ChangePassword { current, .. } if self.password == Some(current) => {
                self.begin_with(name);
                Ok(())
            }
            Action::ChangePassword { .. } => Err(Refusal::InvalidCredentials),
            Action::Refresh { session, token } => match self.sessions.get(&session) {
                Some(newest) if *newest == name => Ok(()),
                Some(newest) if *newest == token => {
                    self.sessions.insert(session, name);
                    Ok(())
                }
                // An old token: somebody has stolen it, so the session ends.
                Some(_) => {
                    self.sessions.remove(&session);
                    Err(Refusal::Unauthenticated)
                }
                None => Err(Refusal::Unauthenticated),
            },
            Action::LogOut { session } => {
                self.sessions.remove(&session);
                Ok(())
            }
            Action::Me { session } if live(self, session) => Ok(()),
            Action::Me { .. } => Err(Refusal::Unauthenticated),
        }
    }

    /// Gives it a password and a session, and no other.
    fn begin_with(&mut self, name: Id) {
        self.password = Some(name);
        self.sessions = BTreeMap::from([(name, name)]);
    }
}
