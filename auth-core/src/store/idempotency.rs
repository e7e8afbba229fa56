//! What is remembered of requests with an `Idempotency-Key`.

use super::{Store, StoreError, stored_seconds};
use crate::idempotency::{IdempotencyKey, REMEMBERED_SECONDS};

/// A mutation that was carried out.
pub struct Remembered {
    /// See [`IdempotencyKey::request_tag`].
    pub request_tag: Vec<u8>,
    /// The session that it began or carried on, if it did.
    pub session_id: Option<String>,
}

from_row!(Remembered {
    request_tag: Vec<u8>,
    session_id: Option<String>
});

/// What forgets a key that is too old, so that it can come again.
pub(super) const FORGET: &str =
    "DELETE FROM idempotency_keys WHERE key_hash = $1 AND created_at <= $2";

/// What remembers a key.
pub(super) const REMEMBER: &str = "INSERT INTO idempotency_keys (key_hash, request_tag, session_id, by_refresh, created_at) \
     VALUES ($1, $2, $3, $4, $5)";

/// What forgets the last refresh of a session: the next one shows that its answer was received.
pub(super) const FORGET_REFRESH: &str =
    "DELETE FROM idempotency_keys WHERE session_id = $1 AND by_refresh = 1";

/// The oldest keys that are still remembered at `now` are younger than this.
pub(super) fn oldest(now: u64) -> i64 {
    stored_seconds(now.saturating_sub(REMEMBERED_SECONDS))
}

// In the transaction of the change, so that either both are there or none. A macro for the reason of `begin_session!`.
macro_rules! remember {
    ($transaction:expr, $key:expr, $session_id:expr, by_refresh: $by_refresh:literal, $now:expr) => {
        if let Some(key) = $key {
            let session_id: Option<&str> = $session_id;
            sqlx::query($crate::store::idempotency::FORGET)
                .bind(&key.key_hash)
                .bind($crate::store::idempotency::oldest($now))
                .execute(&mut *$transaction)
                .await?;
            sqlx::query($crate::store::idempotency::REMEMBER)
                .bind(&key.key_hash)
                .bind(&key.request_tag)
                .bind(session_id)
                .bind(i64::from($by_refresh))
                .bind($crate::store::stored_seconds($now))
                .execute(&mut *$transaction)
                .await?;
        }
    };
}
pub(super) use remember;

impl Store {
    /// The mutation that came with this key, if it is still remembered at `now` (seconds since 1970).
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db remembered", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn remembered(
        &self,
        key: &IdempotencyKey,
        now: u64,
    ) -> Result<Option<Remembered>, StoreError> {
        const SQL: &str = "SELECT request_tag, session_id FROM idempotency_keys WHERE key_hash = $1 AND created_at > $2";
        let oldest = oldest(now);
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query_as(SQL).bind(&key.key_hash).bind(oldest).fetch_optional(pool).await)
    }
}
