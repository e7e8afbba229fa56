//! What an `Idempotency-Key` does: a mutation is carried out once, and its repeats get the first answer.
//!
//! What is remembered is written in the transaction of the change. A mutation that failed has changed nothing: its repeat is
//! checked again.
//!
//! A repeat carries on the session of the first answer, with the same refresh token. When that session has ended, its
//! memory has ended with it, and the repeat is a request like any other: no repeat gives access that was taken away.

use super::{Accounts, Session};
use crate::clock::now;
use crate::error::AuthError;
use crate::idempotency::IdempotencyKey;
use crate::tokens::refresh::RefreshToken;

/// What a mutation answers.
pub trait Answer: Sized {
    /// The answer to a repeat, given the session that is carried on, if there is one.
    fn again(session: Option<Session>) -> Option<Self>;
}

impl Answer for Session {
    fn again(session: Option<Session>) -> Option<Self> {
        session
    }
}

impl Answer for () {
    fn again(_: Option<Session>) -> Option<Self> {
        Some(())
    }
}

impl Accounts {
    /// Carries out a mutation, unless it is the repeat of one. `used` is the refresh token that it uses up, if it does.
    ///
    /// # Errors
    /// `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`, and those of the mutation
    pub(super) async fn once<T: Answer>(
        &self,
        key: Option<&IdempotencyKey>,
        used: Option<&RefreshToken>,
        mutation: impl Future<Output = Result<T, AuthError>>,
    ) -> Result<T, AuthError> {
        if let Some(first) = self.first_answer(key, used).await? {
            return Ok(first);
        }
        match mutation.await {
            Ok(answer) => Ok(answer),
            // Of repeats at the same time one is carried out, and the others fail on what it has changed.
            Err(error) => self.first_answer(key, used).await?.ok_or(error),
        }
    }

    /// The answer to a repeat; none if it is not one.
    pub(super) async fn first_answer<T: Answer>(
        &self,
        key: Option<&IdempotencyKey>,
        used: Option<&RefreshToken>,
    ) -> Result<Option<T>, AuthError> {
        let Some(key) = key else { return Ok(None) };
        let Some(first) = self.store.remembered(key, now()).await? else {
            return Ok(None);
        };
        if first.request_tag != key.request_tag {
            return Err(AuthError::IdempotencyKeyReused);
        }
        let Some(id) = first.session_id else {
            return Ok(T::again(None));
        };
        let account = self.store.account_by_session(&id, now()).await?;
        let session = account
            .map(|account| self.tokens_for(account, &id, &RefreshToken::made_for(key, &id, used)));
        Ok(T::again(session.transpose()?))
    }
}
