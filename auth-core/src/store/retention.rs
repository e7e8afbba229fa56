//! What is not needed any more is removed: by a task of its own and in small batches, so that no request pays for what
//! others left behind, and none waits long for a lock.
//!
//! Nobody depends on it: whoever reads one of these rows looks at its time as well.

use std::time::Duration;

use sqlx::{Database, Pool, Postgres, Sqlite};
use tokio::time::{Instant, sleep};

use super::{Store, StoreError, failed_log_ins, idempotency, stored_seconds};
use crate::clock::now;

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_secs(60);

/// Rows of a batch.
const BATCH: u16 = 1000;

/// Most wrong passwords that the audit stream keeps: the one kind of entry that strangers can make without an account.
/// They push out each other, and nothing else.
const MOST_WRONG_PASSWORDS: i64 = 1_000_000;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// What removes a batch of a table's rows, up to a time or an id.
trait Remove {
    const SESSIONS: &'static str;
    const FAILED_LOG_INS: &'static str;
    const IDEMPOTENCY_KEYS: &'static str;
    const PASSWORD_RESETS: &'static str;
    const AUDIT: &'static str;
    const WRONG_PASSWORDS: &'static str;
}

macro_rules! remove {
    ($database:ty, $lock:literal) => {
        impl Remove for $database {
            const SESSIONS: &'static str = remove!("sessions", "id", "expires_at <= $1", $lock);
            const FAILED_LOG_INS: &'static str =
                remove!("failed_log_ins", "email_normal", "last_at <= $1", $lock);
            const IDEMPOTENCY_KEYS: &'static str =
                remove!("idempotency_keys", "key_hash", "created_at <= $1", $lock);
            const PASSWORD_RESETS: &'static str =
                remove!("password_resets", "token_hash", "expires_at <= $1", $lock);
            const AUDIT: &'static str = remove!("audit", "id", "at <= $1", $lock);
            const WRONG_PASSWORDS: &'static str = remove!(
                "audit",
                "id",
                "event = 'wrong_password' AND id <= $1",
                $lock
            );
        }
    };
    ($table:literal, $key:literal, $condition:literal, $lock:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $key,
            " IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $condition,
            " LIMIT $2",
            $lock,
            ")"
        )
    };
}

// One writes at a time.
remove!(Sqlite, "");
// Waits for nobody, so it is part of no deadlock: what another holds is for the next time.
remove!(Postgres, " FOR UPDATE SKIP LOCKED");

fn statements<D: Database + Remove>(_: &Pool<D>) -> [&'static str; 6] {
    [
        D::SESSIONS,
        D::FAILED_LOG_INS,
        D::IDEMPOTENCY_KEYS,
        D::PASSWORD_RESETS,
        D::AUDIT,
        D::WRONG_PASSWORDS,
    ]
}

impl Store {
    /// Removes what has expired, for as long as the node lives. Entries of the audit stream are kept for `audit_days`.
    pub async fn remove_expired_for_ever(&self, audit_days: u32) {
        loop {
            match self.remove_expired(now(), audit_days).await {
                Ok(0) => {}
                Ok(rows) => tracing::debug!(rows, "removed what has expired"),
                Err(StoreError::Unavailable(error) | StoreError::Internal(error)) => {
                    tracing::warn!(%error, "what has expired could not be removed, trying again in {INTERVAL:?}");
                }
                Err(StoreError::Conflict) => {}
            }
            sleep(INTERVAL).await;
        }
    }

    async fn remove_expired(&self, now: u64, audit_days: u32) -> Result<u64, StoreError> {
        let age = u64::from(audit_days) * SECONDS_PER_DAY;
        let limits = [
            stored_seconds(now),
            failed_log_ins::oldest(now),
            idempotency::oldest(now),
            stored_seconds(now),
            stored_seconds(now.saturating_sub(age)),
            self.newest_wrong_password_to_remove().await?,
        ];
        let mut removed = 0;
        for (table, limit) in limits.into_iter().enumerate() {
            loop {
                let begun = Instant::now();
                let rows = on!(self, pool => {
                    let removing = sqlx::query(statements(pool)[table]).bind(limit).bind(i64::from(BATCH));
                    removing.execute(pool).await.map(|done| done.rows_affected())
                })?;
                removed += rows;
                if rows < u64::from(BATCH) {
                    break;
                }
                // Half of the time belongs to the others who write.
                sleep(begun.elapsed()).await;
            }
        }
        Ok(removed)
    }

    async fn newest_wrong_password_to_remove(&self) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT id FROM audit WHERE event = 'wrong_password' ORDER BY id DESC LIMIT 1 OFFSET $1";
        let id: Option<i64> = on!(self, pool => sqlx::query_scalar(SQL)
            .bind(MOST_WRONG_PASSWORDS)
            .fetch_optional(pool)
            .await)?;
        Ok(id.unwrap_or_default())
    }
}
