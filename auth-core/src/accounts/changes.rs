//! What an account's owner changes, with the password in hand: another password, or no account at all.

use std::sync::Arc;

use super::{Accounts, Session};
use crate::audit::{Entry, Event};
use crate::caller::Caller;
use crate::email::Email;
use crate::error::AuthError;
use crate::passwords::Password;
use crate::telemetry::metrics::TokenRefusal;

impl Accounts {
    /// Replaces the password, ends all sessions of the account and begins a new one for the caller.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `INVALID_CREDENTIALS`, `RATE_LIMITED`, `WEAK_PASSWORD`, `BAD_REQUEST`, `OVERLOADED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn change_password(
        &self,
        caller: &Caller,
        current: Password,
        new: Password,
    ) -> Result<Session, AuthError> {
        let key = caller.idempotency_key.as_ref();
        let changing = async {
            let account = self.account_of(caller).await?;
            self.password_policy.check(&new, &account.email)?;
            if current.is_impossible() {
                return Err(AuthError::InvalidCredentials);
            }
            let email = Email::of_account(&account.email);
            let permit = self
                .check_password(caller, &email, Some(&account), &Arc::new(current))
                .await?;
            let hash = permit.hash(&Arc::new(new)).await?;
            let session = self.new_session(&account, key)?;
            let entry = Entry::by_caller(Event::PasswordChanged, Some(&account.id), caller);
            let asking = &self.claims(caller)?.sid;
            let changed =
                self.store
                    .change_password(&account, asking, &hash, &session.stored, key, &entry);
            if changed.await? {
                self.begun(account, &session)
            } else {
                // It was ended meanwhile: by a log-out, or with all others, as they are when the password changes.
                Err(self.refused(TokenRefusal::SessionEnded))
            }
        };
        self.once(key, None, changing).await
    }

    /// Removes the account and all that belongs to it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn delete_account(
        &self,
        caller: &Caller,
        password: Password,
    ) -> Result<(), AuthError> {
        let key = caller.idempotency_key.as_ref();
        let deleting = async {
            let account = self.account_of(caller).await?;
            if password.is_impossible() {
                return Err(AuthError::InvalidCredentials);
            }
            let email = Email::of_account(&account.email);
            self.check_password(caller, &email, Some(&account), &Arc::new(password))
                .await?;
            let entry = Entry::by_caller(Event::AccountDeleted, Some(&account.id), caller);
            let asking = &self.claims(caller)?.sid;
            let deleted = self.store.delete_account(&account, asking, key, &entry);
            if deleted.await? {
                Ok(())
            } else {
                Err(self.refused(TokenRefusal::SessionEnded))
            }
        };
        self.once(key, None, deleting).await
    }
}
