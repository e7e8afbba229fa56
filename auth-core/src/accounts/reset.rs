//! A new password for somebody who has lost theirs, and got a token from an operator.

use std::sync::Arc;

use super::{Accounts, Session};
use crate::audit::{Entry, Event};
use crate::caller::Caller;
use crate::clock::now;
use crate::error::AuthError;
use crate::operation::Operation;
use crate::passwords::Password;
use crate::tokens::reset::ResetToken;

impl Accounts {
    /// Uses a reset token up: replaces the password of its account, ends all sessions and begins a new one.
    ///
    /// # Errors
    /// `INVALID_RESET_TOKEN`, `WEAK_PASSWORD`, `BAD_REQUEST`, `OVERLOADED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn reset_password(
        &self,
        caller: &Caller,
        token: Option<&ResetToken>,
        new: Password,
    ) -> Result<Session, AuthError> {
        let key = caller.idempotency_key.as_ref();
        let resetting = async {
            let token = token.ok_or(AuthError::InvalidResetToken)?.hash();
            let account = self.store.account_by_reset(&token, now()).await?;
            let account = account.ok_or(AuthError::InvalidResetToken)?;
            self.password_policy.check(&new, &account.email)?;
            let permit = self.hashes.permit(caller).await?;
            let hash = permit.hash(&Arc::new(new)).await?;
            drop(permit);
            let session = self.new_session(&account, key)?;
            let entry = Entry::by_caller(Event::PasswordChanged, Some(&account.id), caller)
                .with(Operation::ResetPassword.name());
            let changed = self
                .store
                .reset_password(&token, &hash, &session.stored, key, &entry);
            if changed.await? {
                self.begun(account, &session)
            } else {
                // Somebody else was faster.
                Err(AuthError::InvalidResetToken)
            }
        };
        self.once(key, None, resetting).await
    }
}
