//! What an account's owner changes, with the password in hand: another password, or no account at all.

use std::sync::Arc;

use super::{Accounts, Session, now};
use crate::email::Email;
use crate::error::AuthError;
use crate::idempotency::IdempotencyKey;
use crate::password::Password;

impl Accounts {
    /// Replaces the password, ends all sessions of the account and begins a new one for the caller.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `INVALID_CREDENTIALS`, `RATE_LIMITED`, `WEAK_PASSWORD`, `BAD_REQUEST`, `OVERLOADED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn change_password(
        &self,
        bearer: Option<&str>,
        current: Password,
        new: Password,
        key: Option<&IdempotencyKey>,
    ) -> Result<Session, AuthError> {
        let account = self.caller(bearer).await?;
        self.password_policy.check(&new, &account.email)?;
        if current.is_impossible() {
            return Err(AuthError::InvalidCredentials);
        }
        let email = Email::of_account(&account.email);
        let permit = self
            .check_password(&email, Some(&account), &Arc::new(current))
            .await?;
        let hash = permit.hash(&Arc::new(new)).await?;
        let session = self.new_session(&account, key)?;
        if self
            .store
            .change_password(&account, &hash, &session.stored, key, now())
            .await?
        {
            self.begun(account, &session)
        } else {
            // Somebody else was faster, so what was given is not the current password any more.
            Err(AuthError::InvalidCredentials)
        }
    }

    /// Removes the account and all that belongs to it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn delete_account(
        &self,
        bearer: Option<&str>,
        password: Password,
        key: Option<&IdempotencyKey>,
    ) -> Result<(), AuthError> {
        let account = self.caller(bearer).await?;
        if password.is_impossible() {
            return Err(AuthError::InvalidCredentials);
        }
        let email = Email::of_account(&account.email);
        self.check_password(&email, Some(&account), &Arc::new(password))
            .await?;
        Ok(self.store.delete_account(&account.id, key, now()).await?)
    }
}
