//! Sessions: what a log-in begins, `refresh` carries on and `logOut` ends.

use std::sync::Arc;

use uuid::Uuid;

use super::{Accounts, Session};
use crate::audit::{Entry, Event};
use crate::caller::Caller;
use crate::clock::now;
use crate::error::AuthError;
use crate::idempotency::IdempotencyKey;
use crate::identity::Identity;
use crate::store::{Account, StoredSession};
use crate::telemetry::metrics::TokenRefusal;
use crate::telemetry::request_trace::trace_id;
use crate::tokens::refresh::RefreshToken;
use crate::tokens::{Claims, TokenError};

/// A session that is not stored yet.
pub(super) struct NewSession {
    pub(super) stored: StoredSession,
    token: RefreshToken,
}

impl Accounts {
    /// Trades a refresh token for a new one and a new access token.
    ///
    /// A token is good once. If it comes again, one of the two who have it has stolen it, and as nobody can tell which,
    /// the session ends for both (RFC 9700, 4.14.2). There is no grace period: clients must not refresh twice at once.
    /// A repeat with the same `Idempotency-Key` is told apart, until the next refresh: see [`Accounts::once`].
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn refresh(
        &self,
        caller: &Caller,
        token: Option<&RefreshToken>,
    ) -> Result<Session, AuthError> {
        let key = caller.idempotency_key.as_ref();
        self.once(key, token, self.use_up(caller, token)).await
    }

    async fn use_up(
        &self,
        caller: &Caller,
        token: Option<&RefreshToken>,
    ) -> Result<Session, AuthError> {
        let key = caller.idempotency_key.as_ref();
        let token = token.ok_or_else(|| self.refused(TokenRefusal::UnknownRefreshToken))?;
        let stored = self.store.session(&token.family_hash(), now()).await?;
        let stored = stored.ok_or_else(|| self.refused(TokenRefusal::UnknownRefreshToken))?;
        if stored.token_hash == token.hash() {
            let next = match key {
                Some(key) => RefreshToken::made_for(key, &stored.id, Some(token)),
                None => token.next().map_err(no_randomness)?,
            };
            let next_hash = next.hash();
            if self.store.rotate(&stored, &next_hash, key, now()).await? {
                return self.carry_on(&stored, next).await;
            }
        }
        // Somebody has used it: the same caller with the same request at the same time, or another one.
        if let Some(first) = self.first_answer(key, Some(token)).await? {
            return Ok(first);
        }
        tracing::warn!(
            trace_id = %trace_id(),
            account = stored.account_id,
            "an old refresh token was used: its session is ended"
        );
        let entry = Entry::by_caller(Event::RefreshTokenReused, Some(&stored.account_id), caller);
        self.store.end_session(&stored.id, None, &entry).await?;
        Err(self.refused(TokenRefusal::ReusedRefreshToken))
    }

    async fn carry_on(
        &self,
        session: &StoredSession,
        token: RefreshToken,
    ) -> Result<Session, AuthError> {
        let account = self.store.account_by_session(&session.id, now()).await?;
        let account = account.ok_or(AuthError::Unauthenticated)?;
        self.tokens_for(account, &session.id, &token)
    }

    /// Ends the session of an access token. That token still verifies until it expires, but `me` refuses it.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn log_out(&self, caller: &Caller) -> Result<(), AuthError> {
        let key = caller.idempotency_key.as_ref();
        let ending = async {
            let claims = self.claims(caller)?;
            let entry = Entry::by_caller(Event::LogOut, Some(&claims.sub), caller);
            Ok(self.store.end_session(&claims.sid, key, &entry).await?)
        };
        self.once(key, None, ending).await
    }

    /// The account of an access token whose session has not ended.
    pub(super) async fn account_of(&self, caller: &Caller) -> Result<Account, AuthError> {
        let claims = self.claims(caller)?;
        let account = self.store.account_by_session(&claims.sid, now()).await?;
        self.owner(&claims, account)
    }

    /// The same for who does nothing upon it: it may come from a replica.
    pub(super) async fn account_to_show(&self, caller: &Caller) -> Result<Account, AuthError> {
        let claims = self.claims(caller)?;
        let account = self.store.account_by_session_to_show(&claims.sid, now());
        self.owner(&claims, account.await?)
    }

    fn owner(&self, claims: &Claims, account: Option<Account>) -> Result<Account, AuthError> {
        account
            .filter(|account| account.id == claims.sub)
            .ok_or_else(|| self.refused(TokenRefusal::SessionEnded))
    }

    /// Counts a token that cannot be used, which the caller learns without the reason.
    pub(super) fn refused(&self, reason: TokenRefusal) -> AuthError {
        self.keys.refused(reason);
        AuthError::Unauthenticated
    }

    pub(super) fn claims(&self, caller: &Caller) -> Result<Arc<Claims>, AuthError> {
        let token = caller.bearer.as_deref().ok_or(AuthError::Unauthenticated)?;
        self.keys.verify(token).map_err(|error| match error {
            TokenError::Expired => AuthError::TokenExpired,
            TokenError::Invalid => AuthError::Unauthenticated,
        })
    }

    pub(super) fn new_session(
        &self,
        account: &Account,
        key: Option<&IdempotencyKey>,
    ) -> Result<NewSession, AuthError> {
        let id = Uuid::now_v7().to_string();
        let token = match key {
            Some(key) => RefreshToken::made_for(key, &id, None),
            None => RefreshToken::new().map_err(no_randomness)?,
        };
        let expires = now().saturating_add(self.session_seconds);
        Ok(NewSession {
            stored: StoredSession {
                id,
                account_id: account.id.clone(),
                family_hash: token.family_hash(),
                token_hash: token.hash(),
                expires_at: i64::try_from(expires).unwrap_or(i64::MAX),
            },
            token,
        })
    }

    /// Begins a session for an account that has proved who it is; none if it has another password by now, or is disabled.
    pub(super) async fn begin(
        &self,
        account: &Account,
        caller: &Caller,
    ) -> Result<Option<Session>, AuthError> {
        let key = caller.idempotency_key.as_ref();
        let session = self.new_session(account, key)?;
        let hash = &account.password_hash;
        let entry = Entry::by_caller(Event::LogIn, Some(&account.id), caller);
        let begun = self.store.begin_session(&session.stored, hash, key, &entry);
        if begun.await? {
            self.begun(account.clone(), &session).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The tokens of a session that is stored.
    pub(super) fn begun(
        &self,
        account: Account,
        session: &NewSession,
    ) -> Result<Session, AuthError> {
        self.tokens_for(account, &session.stored.id, &session.token)
    }

    pub(super) fn tokens_for(
        &self,
        account: Account,
        session: &str,
        refresh_token: &RefreshToken,
    ) -> Result<Session, AuthError> {
        let identity = Identity::from(account);
        let access_token = self
            .keys
            .issue(&identity, session, now())
            .map_err(|error| AuthError::Internal(error.into()))?;
        Ok(Session::New {
            access_token,
            refresh_token: refresh_token.text(),
            identity,
        })
    }
}

fn no_randomness(_: aws_lc_rs::error::Unspecified) -> AuthError {
    AuthError::Internal("the system has no randomness".into())
}
