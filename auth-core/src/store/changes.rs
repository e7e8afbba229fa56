//! Changes to an account that is there.

use super::audit::{RECORD, record};
use super::idempotency::remember;
use super::sessions::{END_ALL, StoredSession, begin_session, begin_sql};
use super::{Account, Store, StoreError};
use crate::audit::Entry;
use crate::idempotency::IdempotencyKey;

impl Store {
    /// Replaces a password, ends all sessions of the account and begins a new one, and remembers the key. Answers whether the
    /// old password hash, which was checked, is still the account's, the account is not disabled, and the session that asks for it
    /// (`asking`) has not been ended; if not, nothing is changed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db change password", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn change_password(
        &self,
        account: &Account,
        asking: &str,
        password_hash: &str,
        session: &StoredSession,
        key: Option<&IdempotencyKey>,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE accounts SET password_hash = $1 WHERE id = $2 AND password_hash = $3 AND disabled = 0 \
             AND EXISTS (SELECT 1 FROM sessions WHERE id = $4 AND account_id = $2)";
        on!(self, pool => {
            Self::trace(&[SQL, END_ALL, begin_sql(pool), RECORD]);
            let mut transaction = pool.begin().await?;
            let changed = sqlx::query(SQL)
                .bind(password_hash)
                .bind(&account.id)
                .bind(&account.password_hash)
                .bind(asking)
                .execute(&mut *transaction)
                .await?;
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            sqlx::query(END_ALL).bind(&account.id).execute(&mut *transaction).await?;
            let begun =
                begin_session!(pool, transaction, session, proven_by: password_hash, key, entry.at);
            record!(transaction, entry);
            transaction.commit().await.map(|()| begun)
        })
    }

    /// Replaces the hash of a password that stays the same, if it is still there.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db replace hash", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn replace_hash(&self, account: &Account, hash: &str) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE accounts SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query(SQL)
            .bind(hash)
            .bind(&account.id)
            .bind(&account.password_hash)
            .execute(pool)
            .await
            .map(|_| ()))
    }

    /// Removes an account with all that belongs to it, and remembers the key. Answers whether the password hash, which was
    /// checked, is still the account's, the account is not disabled, and the session that asks for it (`asking`) has not been ended;
    /// if not, nothing is changed.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db delete account", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn delete_account(
        &self,
        account: &Account,
        asking: &str,
        key: Option<&IdempotencyKey>,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM accounts WHERE id = $1 AND password_hash = $2 AND disabled = 0 \
             AND EXISTS (SELECT 1 FROM sessions WHERE id = $3 AND account_id = $1)";
        Self::trace(&[SQL, RECORD]);
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let deleted = sqlx::query(SQL)
                .bind(&account.id)
                .bind(&account.password_hash)
                .bind(asking)
                .execute(&mut *transaction)
                .await?
                .rows_affected()
                == 1;
            if deleted {
                remember!(transaction, key, None, by_refresh: false, entry.at);
                record!(transaction, entry);
            }
            transaction.commit().await.map(|()| deleted)
        })
    }

    /// Removes an account with all that belongs to it but its entries in the audit stream, whatever its password.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn remove_account(&self, id: &str, entry: &Entry) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM accounts WHERE id = $1";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(SQL).bind(id).execute(&mut *transaction).await?;
            record!(transaction, entry);
            transaction.commit().await
        })
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn set_role(&self, id: &str, role: &str, entry: &Entry) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE accounts SET role = $1 WHERE id = $2";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(SQL).bind(role).bind(id).execute(&mut *transaction).await?;
            record!(transaction, entry);
            transaction.commit().await
        })
    }

    /// Locks an account out, which ends its sessions, or lets it in again.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn set_disabled(
        &self,
        id: &str,
        disabled: bool,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE accounts SET disabled = $1 WHERE id = $2";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            sqlx::query(SQL).bind(i64::from(disabled)).bind(id).execute(&mut *transaction).await?;
            if disabled {
                sqlx::query(END_ALL).bind(id).execute(&mut *transaction).await?;
            }
            record!(transaction, entry);
            transaction.commit().await
        })
    }

    /// Up to `most` accounts whose id comes after `after`, oldest first.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn accounts(&self, after: &str, most: u16) -> Result<Vec<Account>, StoreError> {
        const SQL: &str = "SELECT id, email, password_hash, role, disabled FROM accounts WHERE id > $1 ORDER BY id LIMIT $2";
        on!(self, pool => sqlx::query_as(SQL).bind(after).bind(i64::from(most)).fetch_all(pool).await)
    }
}
