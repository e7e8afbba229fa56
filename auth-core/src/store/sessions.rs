//! Sessions: begun, carried on, ended.

use super::idempotency::{FORGET_REFRESH, remember};
use super::{Store, StoreError, stored_seconds};
use crate::idempotency::IdempotencyKey;

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
    /// In seconds since 1970.
    pub expires_at: i64,
}

/// What forgets the sessions that have expired.
pub(super) const FORGET: &str = "DELETE FROM sessions WHERE expires_at <= $1";

/// What begins a session.
pub(super) const BEGIN: &str = "INSERT INTO sessions (id, account_id, family_hash, token_hash, expires_at) \
     VALUES ($1, $2, $3, $4, $5)";

// A macro, because the transactions of the two databases are different types.
macro_rules! begin_session {
    ($transaction:expr, $session:expr, $key:expr, $now:expr) => {{
        let session = $session;
        sqlx::query($crate::store::sessions::FORGET)
            .bind($crate::store::stored_seconds($now))
            .execute(&mut *$transaction)
            .await?;
        sqlx::query($crate::store::sessions::BEGIN)
            .bind(&session.id)
            .bind(&session.account_id)
            .bind(&session.family_hash)
            .bind(&session.token_hash)
            .bind(session.expires_at)
            .execute(&mut *$transaction)
            .await?;
        $crate::store::idempotency::remember!(
            $transaction,
            $key,
            Some(&session.id),
            by_refresh: false,
            $now
        );
    }};
}
pub(super) use begin_session;

impl Store {
    /// Begins a session, and remembers the key. Forgets those that have expired at `now` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db begin session", skip_all, fields(otel.kind = "client"))]
    pub async fn begin_session(
        &self,
        session: &StoredSession,
        key: Option<&IdempotencyKey>,
        now: u64,
    ) -> Result<(), StoreError> {
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            begin_session!(transaction, session, key, now);
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
        const SQL: &str = "SELECT id, account_id, family_hash, token_hash, expires_at FROM sessions \
             WHERE family_hash = $1 AND expires_at > $2";
        let now = stored_seconds(now);
        on!(self, pool => sqlx::query_as(SQL).bind(family_hash).bind(now).fetch_optional(pool).await)
    }

    /// Replaces a session's refresh token, and remembers the key. Answers whether the old one was still the good one; if
    /// not, nothing is changed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db rotate", skip_all, fields(otel.kind = "client"))]
    pub async fn rotate(
        &self,
        session: &StoredSession,
        token_hash: &[u8],
        key: Option<&IdempotencyKey>,
        now: u64,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE sessions SET token_hash = $1 WHERE id = $2 AND token_hash = $3";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let rotated = sqlx::query(SQL)
                .bind(token_hash)
                .bind(&session.id)
                .bind(&session.token_hash)
                .execute(&mut *transaction)
                .await?;
            if rotated.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(FORGET_REFRESH).bind(&session.id).execute(&mut *transaction).await?;
            remember!(transaction, key, Some(&session.id), by_refresh: true, now);
            transaction.commit().await.map(|()| true)
        })
    }

    /// Ends a session, if it is there, and then remembers the key.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db end session", skip_all, fields(otel.kind = "client"))]
    pub async fn end_session(
        &self,
        id: &str,
        key: Option<&IdempotencyKey>,
        now: u64,
    ) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM sessions WHERE id = $1";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let ended = sqlx::query(SQL).bind(id).execute(&mut *transaction).await?;
            if ended.rows_affected() == 1 {
                remember!(transaction, key, None, by_refresh: false, now);
            }
            transaction.commit().await
        })
    }
}
