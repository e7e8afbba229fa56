//! Passwords that are to be replaced by who was given a token for it.

use super::audit::{RECORD, record};
use super::sessions::{END_ALL, StoredSession, begin_session, begin_sql};
use super::{Account, Store, StoreError, stored_seconds};
use crate::audit::Entry;
use crate::idempotency::IdempotencyKey;

const FORGET: &str = "DELETE FROM password_resets WHERE account_id = $1";

impl Store {
    /// Takes an account's password and sessions away, and stores the hash of the one token by which it gets another password
    /// until `expires` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn begin_reset(
        &self,
        account_id: &str,
        unmatchable: &str,
        token_hash: &[u8],
        expires: u64,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        const LOSE: &str = "UPDATE accounts SET password_hash = $1 WHERE id = $2";
        const ADD: &str =
            "INSERT INTO password_resets (token_hash, account_id, expires_at) VALUES ($1, $2, $3)";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(LOSE).bind(unmatchable).bind(account_id).execute(&mut *transaction).await?;
            sqlx::query(END_ALL).bind(account_id).execute(&mut *transaction).await?;
            sqlx::query(FORGET).bind(account_id).execute(&mut *transaction).await?;
            sqlx::query(ADD)
                .bind(token_hash)
                .bind(account_id)
                .bind(stored_seconds(expires))
                .execute(&mut *transaction)
                .await?;
            record!(transaction, entry);
            transaction.commit().await
        })
    }

    /// The account that a reset token is for, if the token is still good at `now` (seconds since 1970) and the account is not
    /// disabled.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db account by reset", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn account_by_reset(
        &self,
        token_hash: &[u8],
        now: u64,
    ) -> Result<Option<Account>, StoreError> {
        const SQL: &str = "SELECT a.id, a.email, a.password_hash, a.role, a.disabled \
             FROM password_resets r JOIN accounts a ON a.id = r.account_id \
             WHERE r.token_hash = $1 AND r.expires_at > $2 AND a.disabled = 0";
        let now = stored_seconds(now);
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query_as(SQL).bind(token_hash).bind(now).fetch_optional(pool).await)
    }

    /// Uses a reset token up: stores the password, ends all sessions of the account and begins a new one, and remembers the key.
    /// Answers whether the token was still good, and the account is not disabled; if not, nothing is changed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db reset password", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn reset_password(
        &self,
        token_hash: &[u8],
        password_hash: &str,
        session: &StoredSession,
        key: Option<&IdempotencyKey>,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        const CHANGE: &str = "UPDATE accounts SET password_hash = $1 WHERE id = $2 AND disabled = 0 \
             AND id IN (SELECT account_id FROM password_resets WHERE token_hash = $3 AND expires_at > $4)";
        on!(self, pool => {
            Self::trace(&[CHANGE, FORGET, END_ALL, begin_sql(pool), RECORD]);
            let mut transaction = pool.begin().await?;
            let changed = sqlx::query(CHANGE)
                .bind(password_hash)
                .bind(&session.account_id)
                .bind(token_hash)
                .bind(stored_seconds(entry.at))
                .execute(&mut *transaction)
                .await?;
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            // Of two with the same token the second waited for the account, and finds that it has changed nothing here.
            let used = sqlx::query(FORGET)
                .bind(&session.account_id)
                .execute(&mut *transaction)
                .await?;
            if used.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(END_ALL).bind(&session.account_id).execute(&mut *transaction).await?;
            let begun =
                begin_session!(pool, transaction, session, proven_by: password_hash, key, entry.at);
            record!(transaction, entry);
            transaction.commit().await.map(|()| begun)
        })
    }
}
