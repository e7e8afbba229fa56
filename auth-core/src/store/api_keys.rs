//! Keys of machines.

use super::audit::record;
use super::{Store, StoreError, stored_seconds};
use crate::api_keys::{ApiKey, MOST};
use crate::audit::Entry;

/// A key with the time at which it was added, in seconds since 1970.
pub type Added = (ApiKey, i64);

impl Store {
    /// Adds a key. Answers whether there is place for one more; if not, nothing is changed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken, and see [`Store::account_by_email`].
    pub async fn add_api_key(&self, key: &ApiKey, entry: &Entry) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO api_keys (name, digest, scopes, created_at) \
             SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM api_keys) < $5";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let added = sqlx::query(SQL)
                .bind(&key.name)
                .bind(&key.digest)
                .bind(key.scopes.join(" "))
                .bind(stored_seconds(entry.at))
                .bind(i64::from(MOST))
                .execute(&mut *transaction)
                .await?
                .rows_affected()
                == 1;
            if added {
                record!(transaction, entry);
            }
            transaction.commit().await.map(|()| added)
        })
    }

    /// All keys, by name.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    #[tracing::instrument(name = "db api keys", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn api_keys(&self) -> Result<Vec<Added>, StoreError> {
        const SQL: &str = "SELECT name, digest, scopes, created_at FROM api_keys ORDER BY name";
        Self::trace(&[SQL]);
        let rows: Vec<(String, String, String, i64)> =
            on!(self, pool => sqlx::query_as(SQL).fetch_all(pool).await)?;
        Ok(rows
            .into_iter()
            .map(|(name, digest, scopes, created_at)| {
                let scopes = scopes.split(' ').map(str::to_owned).collect();
                let key = ApiKey {
                    name,
                    digest,
                    scopes,
                };
                (key, created_at)
            })
            .collect())
    }

    /// Removes a key. Answers whether there was one of this name.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn revoke_api_key(&self, name: &str, entry: &Entry) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM api_keys WHERE name = $1";
        on!(self, pool => {
            let mut transaction = pool.begin().await?;
            let revoked =
                sqlx::query(SQL).bind(name).execute(&mut *transaction).await?.rows_affected() == 1;
            if revoked {
                record!(transaction, entry);
            }
            transaction.commit().await.map(|()| revoked)
        })
    }
}
