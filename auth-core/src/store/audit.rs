//! The audit stream, as it is stored.

use super::{Store, StoreError};
use crate::audit::Entry;

/// What writes an entry.
pub(super) const RECORD: &str = "INSERT INTO audit (at, event, account_id, client, operator, trace_id, detail) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

// In the transaction of what the entry tells of. A macro for the reason of `begin_session!`.
macro_rules! record {
    ($transaction:expr, $entry:expr) => {{
        let entry: &$crate::audit::Entry = $entry;
        sqlx::query($crate::store::audit::RECORD)
            .bind($crate::store::stored_seconds(entry.at))
            .bind(entry.event.name())
            .bind(&entry.account_id)
            .bind(entry.client.map(|client| client.to_string()))
            .bind(&entry.operator)
            .bind(&entry.trace_id)
            .bind(&entry.detail)
            .execute(&mut *$transaction)
            .await?
    }};
}
pub(super) use record;

/// An entry that was read.
#[derive(Debug)]
pub struct Recorded {
    /// Grows with each entry.
    pub id: i64,
    /// In seconds since 1970.
    pub at: i64,
    /// See [`crate::audit::Event::name`].
    pub event: String,
    /// See [`Entry::account_id`].
    pub account_id: Option<String>,
    /// The account's e-mail today, while there is the account.
    pub email: Option<String>,
    /// See [`Entry::client`].
    pub client: Option<String>,
    /// See [`Entry::operator`].
    pub operator: Option<String>,
    /// See [`Entry::trace_id`].
    pub trace_id: Option<String>,
    /// See [`Entry::detail`].
    pub detail: Option<String>,
}

from_row!(Recorded {
    id: i64,
    at: i64,
    event: String,
    account_id: Option<String>,
    email: Option<String>,
    client: Option<String>,
    operator: Option<String>,
    trace_id: Option<String>,
    detail: Option<String>
});

impl Store {
    /// Writes an entry alone, where what it tells of is in no database.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn record(&self, entry: &Entry) -> Result<(), StoreError> {
        on!(self, pool => {
            let mut connection = pool.acquire().await?;
            record!(connection, entry);
            Ok(())
        })
    }

    /// Up to `most` entries whose id comes after `after`, oldest first; all, or those of one account by its id.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn audit(
        &self,
        account_id: Option<&str>,
        after: i64,
        most: u16,
    ) -> Result<Vec<Recorded>, StoreError> {
        const ALL: &str = "SELECT e.id, e.at, e.event, e.account_id, a.email, e.client, e.operator, e.trace_id, e.detail \
             FROM audit e LEFT JOIN accounts a ON a.id = e.account_id WHERE e.id > $1 ORDER BY e.id LIMIT $2";
        const OF_ACCOUNT: &str = "SELECT e.id, e.at, e.event, e.account_id, a.email, e.client, e.operator, e.trace_id, e.detail \
             FROM audit e LEFT JOIN accounts a ON a.id = e.account_id WHERE e.id > $1 AND e.account_id = $3 ORDER BY e.id LIMIT $2";
        on!(self, pool => match account_id {
            None => sqlx::query_as(ALL).bind(after).bind(i64::from(most)).fetch_all(pool).await,
            Some(id) => sqlx::query_as(OF_ACCOUNT)
                .bind(after)
                .bind(i64::from(most))
                .bind(id)
                .fetch_all(pool)
                .await,
        })
    }

    /// The id after which the newest `count` entries begin, all or of one account; 0 if there are no more than that.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn audit_before_last(
        &self,
        account_id: Option<&str>,
        count: u32,
    ) -> Result<i64, StoreError> {
        const ALL: &str = "SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET $1";
        const OF_ACCOUNT: &str =
            "SELECT id FROM audit WHERE account_id = $2 ORDER BY id DESC LIMIT 1 OFFSET $1";
        let count = i64::from(count);
        let before: Option<i64> = on!(self, pool => match account_id {
            None => sqlx::query_scalar(ALL).bind(count).fetch_optional(pool).await,
            Some(id) => sqlx::query_scalar(OF_ACCOUNT).bind(count).bind(id).fetch_optional(pool).await,
        })?;
        Ok(before.unwrap_or_default())
    }
}
