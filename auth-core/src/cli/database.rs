//! The database, for a command of the operator's.

use crate::config::Config;
use crate::error::Cause;
use crate::store::{Source, Store, StoreError};

/// Does something with the database, and closes it.
///
/// # Errors
/// The database cannot be used, or what `work` says.
pub async fn with<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Store) -> Result<T, Cause>,
) -> Result<T, Cause> {
    let store = Store::new(Source::new(&config.database)?, 1);
    store
        .reach()
        .await
        .map_err(|error| format!("the database cannot be used: {error}"))?;
    let done = work(&store).await;
    store.close().await;
    done
}

/// What an operator is told of a query that failed.
pub fn cause(error: StoreError) -> Cause {
    match error {
        StoreError::Conflict => "unexpected conflict".into(),
        StoreError::Unavailable(cause) | StoreError::Internal(cause) => cause,
    }
}
