//! Every check of a password goes through here, so that guessing becomes slow (docs/explanation/login-throttling.md).
//!
//! Wrong passwords are counted for each e-mail, whether it has an account or not: nobody learns from a delay which ones have.

use std::sync::Arc;

use tracing::Instrument;

use super::Accounts;
use crate::audit::{Entry, Event};
use crate::caller::Caller;
use crate::clock::now;
use crate::email::Email;
use crate::error::AuthError;
use crate::operation::Operation;
use crate::passwords::Password;
use crate::passwords::hash_pool::HashPermit;
use crate::store::{Account, FailedLogIns};

/// Wrong passwords that cost no delay: people mistype.
const FREE_FAILURES: u32 = 5;

/// The longest delay, in seconds.
const LONGEST_DELAY: u64 = 15 * 60;

/// How long after the last of `failures` wrong passwords in a row no other one is checked, in seconds: none at first,
/// then 1 s, and twice as long each time, up to 15 minutes.
pub fn delay_after(failures: u64) -> u64 {
    let doublings = failures.checked_sub(u64::from(FREE_FAILURES) + 1);
    doublings.map_or(0, |doublings| {
        // 2^10 s is beyond the longest already.
        (1 << doublings.min(10)).min(LONGEST_DELAY)
    })
}

impl FailedLogIns {
    /// How many seconds are left of the delay.
    fn delay_left(self, now: u64) -> u64 {
        let delay = delay_after(u64::try_from(self.failures).unwrap_or(0));
        let end = u64::try_from(self.last_at)
            .unwrap_or(0)
            .saturating_add(delay);
        // A clock that was set back makes nobody wait longer.
        end.saturating_sub(now).min(delay)
    }
}

impl Accounts {
    /// Checks a password and counts how it went. For a disabled account it is as if there were none.
    ///
    /// Answers the right to hash, for more that may be to do for the one who has proved who they are.
    ///
    /// # Errors
    /// `RATE_LIMITED`, `INVALID_CREDENTIALS`, `OVERLOADED`, `UNAVAILABLE`, `INTERNAL`
    pub(super) async fn check_password(
        &self,
        caller: &Caller,
        email: &Email,
        account: Option<&Account>,
        password: &Arc<Password>,
    ) -> Result<HashPermit, AuthError> {
        self.delay_is_over(email).await?;
        let permit = self.hashes.permit(caller).await?;
        // Again, for many can be in the queue before the first of them is counted.
        let counted = self.count_attempt(email).await?;
        let stored = account
            .filter(|account| account.disabled == 0)
            .map(|account| account.password_hash.clone());
        // Written here, for what runs on its own belongs to no request.
        let id = account.map(|account| account.id.as_str());
        let operation = caller.executed.operation().unwrap_or(Operation::Other);
        let entry = Entry::by_caller(Event::WrongPassword, id, caller).with(operation.name());
        let (store, email, password) = (self.store.clone(), email.clone(), Arc::clone(password));
        let checking = async move {
            let right = permit.verify(&password, stored).await?;
            if !right {
                store.wrong_password(&email, counted, &entry).await?;
            } else if counted {
                store.forget_failed_log_ins(&email).await?;
            }
            // The permit is given up after the count: who is next in the queue sees it.
            Ok(right.then_some(permit))
        };
        // On its own, so that who goes away before the answer is counted all the same.
        let checked = tokio::spawn(checking.in_current_span()).await;
        checked
            .unwrap_or_else(|error| Err(AuthError::Internal(error.into())))?
            .ok_or(AuthError::InvalidCredentials)
    }

    /// Answers the wrong passwords of late, if there were any.
    async fn delay_is_over(&self, email: &Email) -> Result<Option<FailedLogIns>, AuthError> {
        let now = now();
        let failed = self.store.failed_log_ins(email, now).await?;
        match failed.map_or(0, |failed| failed.delay_left(now)) {
            0 => Ok(failed),
            retry_after_seconds => Err(AuthError::RateLimited {
                retry_after_seconds,
            }),
        }
    }

    /// Counts an attempt before it is made if there were wrong passwords of late, so that of a crowd each comes after the
    /// delay of the one before. Without any, many of one account may log in at once. Answers whether it was counted.
    async fn count_attempt(&self, email: &Email) -> Result<bool, AuthError> {
        while let Some(seen) = self.delay_is_over(email).await? {
            if self.store.count_attempt(email, seen, now()).await? {
                return Ok(true);
            }
            // Somebody else was counted in between, which ends in a delay before long.
        }
        Ok(false)
    }
}
