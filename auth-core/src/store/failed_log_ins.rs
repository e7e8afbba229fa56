//! Wrong passwords in a row, for each e-mail.

use super::audit::{RECORD, record};
use super::{Store, StoreError, stored_seconds};
use crate::audit::Entry;
use crate::email::Email;

/// How long wrong passwords are remembered after the last of them, in seconds.
pub const REMEMBERED_SECONDS: u64 = 24 * 60 * 60;

/// Those that are still remembered at `now` are younger than this.
pub(super) fn oldest(now: u64) -> i64 {
    stored_seconds(now.saturating_sub(REMEMBERED_SECONDS))
}

/// The wrong passwords that were given for an e-mail.
#[derive(Debug, Clone, Copy)]
pub struct FailedLogIns {
    /// How many in a row.
    pub failures: i64,
    /// When the last was, in seconds since 1970.
    pub last_at: i64,
}

from_row!(FailedLogIns {
    failures: i64,
    last_at: i64
});

impl Store {
    /// The wrong passwords for an e-mail that are still remembered at `now` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db failed log-ins", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn failed_log_ins(
        &self,
        email: &Email,
        now: u64,
    ) -> Result<Option<FailedLogIns>, StoreError> {
        const SQL: &str =
            "SELECT failures, last_at FROM failed_log_ins WHERE email_normal = $1 AND last_at > $2";
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query_as(SQL).bind(email.normal()).bind(oldest(now)).fetch_optional(pool).await)
    }

    /// Counts an attempt before it is made, if the count is still what `seen` says. Answers whether it was.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db count attempt", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn count_attempt(
        &self,
        email: &Email,
        seen: FailedLogIns,
        now: u64,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE failed_log_ins SET failures = failures + 1, last_at = $1 \
             WHERE email_normal = $2 AND failures = $3 AND last_at = $4";
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query(SQL)
            .bind(stored_seconds(now))
            .bind(email.normal())
            .bind(seen.failures)
            .bind(seen.last_at)
            .execute(pool)
            .await
            .map(|counted| counted.rows_affected() == 1))
    }

    /// Writes down a wrong password, and counts it, unless that was done before it was checked.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db wrong password", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn wrong_password(
        &self,
        email: &Email,
        counted: bool,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        const COUNT: &str = "INSERT INTO failed_log_ins (email_normal, failures, last_at) VALUES ($1, 1, $2) \
             ON CONFLICT (email_normal) DO UPDATE SET last_at = excluded.last_at, \
             failures = CASE WHEN failed_log_ins.last_at > $3 THEN failed_log_ins.failures + 1 ELSE 1 END";
        Self::trace(if counted { &[RECORD] } else { &[COUNT, RECORD] });
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            if !counted {
                sqlx::query(COUNT)
                    .bind(email.normal())
                    .bind(stored_seconds(entry.at))
                    .bind(oldest(entry.at))
                    .execute(&mut *transaction)
                    .await?;
            }
            record!(transaction, entry);
            transaction.commit().await
        })
    }

    /// Ends the count of an e-mail.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db forget failed log-ins", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn forget_failed_log_ins(&self, email: &Email) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM failed_log_ins WHERE email_normal = $1";
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query(SQL).bind(email.normal()).execute(pool).await.map(|_| ()))
    }
}
