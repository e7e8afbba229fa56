//! Sessions: begun, carried on, ended.

use super::{Account, Store, StoreError, stored_seconds};

/// A session as it is stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StoredSession {
    /// UUID version 7; the `sid` of its access tokens.
    pub id: String,
    /// Whose it is.
    pub account_id: String,
    /// SHA-256 of what its refresh tokens share.
    pub family_hash: Vec<u8>,
    /// SHA-256 of the refresh token that is good.
    pub token_hash: Vec<u8>,
    /// What that token was made with, if it came from a request with an idempotency key.
    pub nonce: Option<Vec<u8>>,
    /// In seconds since 1970.
    pub expires_at: i64,
}

/// What forgets the sessions that have expired.
pub(super) const FORGET: &str = "DELETE FROM sessions WHERE expires_at <= $1";

/// What begins a session.
pub(super) const BEGIN: &str = "INSERT INTO sessions (id, account_id, family_hash, token_hash, nonce, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";

// A macro, because the transactions of the two databases are different types.
macro_rules! begin_session {
    ($transaction:expr, $session:expr, $now:expr) => {{
        let session = $session;
        sqlx::query($crate::store::sessions::FORGET)
            .bind($now)
            .execute(&mut *$transaction)
            .await?;
        sqlx::query($crate::store::sessions::BEGIN)
            .bind(&session.id)
            .bind(&session.account_id)
            .bind(&session.family_hash)
            .bind(&session.token_hash)
            .bind(&session.nonce)
            .bind(session.expires_at)
            .execute(&mut *$transaction)
            .await
    }};
}
pub(super) use begin_session;

impl Store {
    /// Begins a session. Forgets those that have expired at `now` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db begin session", skip_all, fields(otel.kind = "client"))]
    pub async fn begin_session(&self, session: &StoredSession, now: u64) -> Result<(), StoreError> {
        let now = stored_seconds(now);
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            begin_session!(transaction, session, now)?;
            transaction.commit().await
        })
    }

    /// The session whose refresh tokens share this part, if it has not expired at `now` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db session", skip_all, fields(otel.kind = "client"))]
    pub async fn session(
        &self,
        family_hash: &[u8],
        now: u64,
    ) -> Result<Option<StoredSession>, StoreError> {
        const SQL: &str = "SELECT id, account_id, family_hash, token_hash, nonce, expires_at FROM sessions \
             WHERE family_hash = $1 AND expires_at > $2";
        let now = stored_seconds(now);
        on!(self, pool => sqlx::query_as(SQL).bind(family_hash).bind(now).fetch_optional(pool).await)
    }

    /// Replaces a session's refresh token, and answers whether the old one was still the good one.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db rotate", skip_all, fields(otel.kind = "client"))]
    pub async fn rotate(
        &self,
        session: &StoredSession,
        token_hash: &[u8],
        nonce: Option<&[u8]>,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE sessions SET token_hash = $1, nonce = $2 WHERE id = $3 AND token_hash = $4";
        on!(self, pool => sqlx::query(SQL)
            .bind(token_hash)
            .bind(nonce)
            .bind(&session.id)
            .bind(&session.token_hash)
            .execute(pool)
            .await
            .map(|done| done.rows_affected() == 1))
    }

    /// Ends a session, if it is there.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db end session", skip_all, fields(otel.kind = "client"))]
    pub async fn end_session(&self, id: &str) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM sessions WHERE id = $1";
        on!(self, pool => sqlx::query(SQL).bind(id).execute(pool).await.map(|_| ()))
    }

    /// The account of a session that has not ended at `now` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db account by session", skip_all, fields(otel.kind = "client"))]
    pub async fn account_by_session(
        &self,
        id: &str,
        now: u64,
    ) -> Result<Option<Account>, StoreError> {
        const SQL: &str = "SELECT a.id, a.email, a.password_hash, a.role, a.disabled \
             FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id = $1 AND s.expires_at > $2";
        let now = stored_seconds(now);
        on!(self, pool => sqlx::query_as(SQL).bind(id).bind(now).fetch_optional(pool).await)
    }
}
