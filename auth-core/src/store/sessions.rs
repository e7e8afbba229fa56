//! Sessions: begun, carried on, ended.

use sqlx::{Database, Pool, Postgres, Sqlite};

use super::audit::{RECORD, record};
use super::idempotency::{FORGET_REFRESH, remember};
use super::{Store, StoreError, stored_seconds};
use crate::audit::Entry;
use crate::idempotency::IdempotencyKey;

/// A session as it is stored.
#[derive(Debug, Clone)]
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

from_row!(StoredSession {
    id: String,
    account_id: String,
    family_hash: Vec<u8>,
    token_hash: Vec<u8>,
    expires_at: i64
});

/// What ends all sessions of an account.
pub(super) const END_ALL: &str = "DELETE FROM sessions WHERE account_id = $1";

/// What begins a session of an account that has proved who it is: only if the password hash that was checked is still the
/// account's, and the account is not disabled. Between the check and this lies the wait for a hash.
pub(super) trait BeginSession {
    /// The statement.
    const SQL: &'static str;
}

macro_rules! begin_sql {
    ($lock:literal) => {
        concat!(
            "INSERT INTO sessions (id, account_id, family_hash, token_hash, expires_at) SELECT $1, id, $3, $4, $5 \
             FROM accounts WHERE id = $2 AND password_hash = $6 AND disabled = 0",
            $lock
        )
    };
}

impl BeginSession for Sqlite {
    // One writes at a time.
    const SQL: &'static str = begin_sql!("");
}

impl BeginSession for Postgres {
    // Waits for whoever changes the account, and makes them wait, so that they see this session and can end it.
    const SQL: &'static str = begin_sql!(" FOR SHARE");
}

pub(super) fn begin_sql<D: Database + BeginSession>(_: &Pool<D>) -> &'static str {
    D::SQL
}

// Answers whether the session was begun. Locks the account first and sessions then, as all transactions do. A macro,
// because the transactions of the two databases are different types.
macro_rules! begin_session {
    ($pool:expr, $transaction:expr, $session:expr, proven_by: $password_hash:expr, $key:expr, $now:expr) => {{
        let session = $session;
        let begun = sqlx::query($crate::store::sessions::begin_sql($pool))
            .bind(&session.id)
            .bind(&session.account_id)
            .bind(&session.family_hash)
            .bind(&session.token_hash)
            .bind(session.expires_at)
            .bind($password_hash)
            .execute(&mut *$transaction)
            .await?
            .rows_affected()
            == 1;
        if begun {
            $crate::store::idempotency::remember!(
                $transaction,
                $key,
                Some(&session.id),
                by_refresh: false,
                $now
            );
        }
        begun
    }};
}
pub(super) use begin_session;

impl Store {
    /// Begins a session, and remembers the key. Answers whether `password_hash`, which was checked, is still the account's
    /// and the account is not disabled; if not, nothing is changed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db begin session", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn begin_session(
        &self,
        session: &StoredSession,
        password_hash: &str,
        key: Option<&IdempotencyKey>,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        on!(self, pool => {
            Self::trace(&[begin_sql(pool), RECORD]);
            let mut transaction = pool.begin().await?;
            let begun =
                begin_session!(pool, transaction, session, proven_by: password_hash, key, entry.at);
            if begun {
                record!(transaction, entry);
            }
            transaction.commit().await.map(|()| begun)
        })
    }

    /// The session whose refresh tokens share this part, if it has not expired at `now` (seconds since 1970) and its account
    /// is not disabled.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db session", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn session(
        &self,
        family_hash: &[u8],
        now: u64,
    ) -> Result<Option<StoredSession>, StoreError> {
        const SQL: &str = "SELECT s.id, s.account_id, s.family_hash, s.token_hash, s.expires_at \
             FROM sessions s JOIN accounts a ON a.id = s.account_id \
             WHERE s.family_hash = $1 AND s.expires_at > $2 AND a.disabled = 0";
        let now = stored_seconds(now);
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query_as(SQL).bind(family_hash).bind(now).fetch_optional(pool).await)
    }

    /// Replaces a session's refresh token, and remembers the key. Answers whether the old one was still the good one, and the
    /// account is not disabled; if not, nothing is changed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db rotate", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn rotate(
        &self,
        session: &StoredSession,
        token_hash: &[u8],
        key: Option<&IdempotencyKey>,
        now: u64,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE sessions SET token_hash = $1 WHERE id = $2 AND token_hash = $3 \
             AND EXISTS (SELECT 1 FROM accounts WHERE id = account_id AND disabled = 0)";
        Self::trace(&[SQL, FORGET_REFRESH]);
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

    /// All sessions of an account, oldest first; those too that have expired and are about to be removed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn sessions(&self, account_id: &str) -> Result<Vec<StoredSession>, StoreError> {
        const SQL: &str = "SELECT id, account_id, family_hash, token_hash, expires_at FROM sessions WHERE account_id = $1 ORDER BY id";
        on!(self, pool => sqlx::query_as(SQL).bind(account_id).fetch_all(pool).await)
    }

    /// Ends all sessions of an account, or one, and answers how many there were.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn end_sessions(
        &self,
        account_id: &str,
        id: Option<&str>,
        entry: &Entry,
    ) -> Result<u64, StoreError> {
        const ONE: &str = "DELETE FROM sessions WHERE account_id = $1 AND id = $2";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let ended = match id {
                None => sqlx::query(END_ALL).bind(account_id).execute(&mut *transaction).await?,
                Some(id) => {
                    sqlx::query(ONE).bind(account_id).bind(id).execute(&mut *transaction).await?
                }
            };
            if ended.rows_affected() > 0 {
                record!(transaction, entry);
            }
            transaction.commit().await.map(|()| ended.rows_affected())
        })
    }

    /// Ends a session, if it is there, and then remembers the key.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db end session", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn end_session(
        &self,
        id: &str,
        key: Option<&IdempotencyKey>,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM sessions WHERE id = $1";
        Self::trace(&[SQL, RECORD]);
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let ended = sqlx::query(SQL).bind(id).execute(&mut *transaction).await?;
            if ended.rows_affected() == 1 {
                remember!(transaction, key, None, by_refresh: false, entry.at);
                record!(transaction, entry);
            }
            transaction.commit().await
        })
    }
}
