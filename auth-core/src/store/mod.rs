//! Accounts in SQLite or PostgreSQL: the few queries there are, the same for both.

// Both backends take the same SQL (SQLite knows `$1` too), but their pools are different types.
macro_rules! on {
    ($store:expr, $pool:ident => $query:expr) => {
        $store
            .in_time(async {
                match &$store.pools {
                    $crate::store::Pools::Sqlite($pool) => $query,
                    $crate::store::Pools::Postgres($pool) => $query,
                }
            })
            .await
    };
}

// What sqlx's derive would write: its crate of macros would have sqlx, TLS and tokio compiled once more, for the compiler.
macro_rules! from_row {
    ($row:ident { $($column:ident: $type:ty),* }) => {
        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $row
        where
            for<'name> &'name str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($column: row.try_get(stringify!($column))?),* })
            }
        }
    };
}

mod api_keys;
mod audit;
pub mod backup;
mod changes;
mod connect;
pub mod copy;
mod failed_log_ins;
mod idempotency;
mod migrations;
mod outage;
mod replica;
mod resets;
mod retention;
mod session_accounts;
mod session_query;
mod sessions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::sqlite::SqliteError;
use sqlx::{PgPool, SqlitePool};
use tracing::Span;

pub use audit::Recorded;
use audit::{RECORD, record};
pub use connect::Source;
pub use failed_log_ins::FailedLogIns;
pub use outage::BRIEF_OUTAGE;
use outage::Outage;
pub use replica::Replica;
pub use sessions::StoredSession;
use sessions::{begin_session, begin_sql};

use crate::audit::Entry;
use crate::email::Email;
use crate::error::{AuthError, Cause};
use crate::idempotency::IdempotencyKey;

/// A query that takes longer than this is given up: the caller gets `UNAVAILABLE`.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// An account as it is stored.
#[derive(Debug, Clone)]
pub struct Account {
    /// UUID version 7.
    pub id: String,
    /// As the user typed it.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// What the account may do.
    pub role: String,
    /// Not 0: disabled by the operator.
    pub disabled: i64,
}

from_row!(Account {
    id: String,
    email: String,
    password_hash: String,
    role: String,
    disabled: i64
});

/// What went wrong with a query.
#[derive(Debug)]
pub enum StoreError {
    /// A row with this key is there already.
    Conflict,
    /// The database does not answer.
    Unavailable(Cause),
    /// A fault of our own.
    Internal(Cause),
}

impl StoreError {
    /// The same for another caller who waited for the same query.
    fn for_another(&self) -> Self {
        match self {
            Self::Conflict => Self::Conflict,
            Self::Unavailable(cause) => Self::Unavailable(cause.to_string().into()),
            Self::Internal(cause) => Self::Internal(cause.to_string().into()),
        }
    }
}

impl From<StoreError> for AuthError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Internal("unexpected conflict".into()),
            StoreError::Unavailable(cause) => Self::Unavailable(cause),
            StoreError::Internal(cause) => Self::Internal(cause),
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    migrated: Arc<AtomicBool>,
    asked: Arc<session_accounts::Asked>,
    outage: Arc<Outage>,
    replica: Option<Arc<Replica>>,
}

#[derive(Clone)]
enum Pools {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Store {
    /// The account of an e-mail address.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Internal`], as for all queries here
    #[tracing::instrument(name = "db account by email", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, StoreError> {
        const SQL: &str =
            "SELECT id, email, password_hash, role, disabled FROM accounts WHERE email_normal = $1";
        Self::trace(&[SQL]);
        on!(self, pool => sqlx::query_as(SQL).bind(email.normal()).fetch_optional(pool).await)
    }

    /// Adds an account and, in the same transaction, its first session and, with a key, the memory of the sign-up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the e-mail address or the key is taken; then nothing is changed.
    #[tracing::instrument(name = "db add account", skip_all, fields(otel.kind = "client", db.query.text))]
    pub async fn add_account(
        &self,
        account: &Account,
        email: &Email,
        key: Option<&IdempotencyKey>,
        session: Option<&StoredSession>,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        const ACCOUNT: &str = "INSERT INTO accounts (id, email, email_normal, password_hash, role, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        on!(self, pool => {
            Self::trace(&[ACCOUNT, begin_sql(pool), RECORD]);
            // The first statement writes, so SQLite takes its write lock at once and cannot fail on a stale snapshot.
            let mut transaction = pool.begin().await?;
            sqlx::query(ACCOUNT)
                .bind(&account.id)
                .bind(&account.email)
                .bind(email.normal())
                .bind(&account.password_hash)
                .bind(&account.role)
                .bind(stored_seconds(entry.at))
                .execute(&mut *transaction)
                .await?;
            if let Some(session) = session {
                let hash = &account.password_hash;
                begin_session!(pool, transaction, session, proven_by: hash, key, entry.at);
            }
            record!(transaction, entry);
            transaction.commit().await
        })
    }

    /// Whether the database answers and has our tables.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        const SQL: &str = "SELECT id, email, password_hash, role, disabled FROM accounts LIMIT 1";
        on!(self, pool => sqlx::query_as::<_, Account>(SQL).fetch_optional(pool).await.map(|_| ()))
    }

    /// Puts the text of statements, without their values, into the span of what they are for (OpenTelemetry's name for it).
    fn trace(statements: &[&str]) {
        let span = Span::current();
        if !span.is_disabled() {
            span.record("db.query.text", statements.join("; "));
        }
    }

    async fn in_time<T>(
        &self,
        query: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        if !self.migrated.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable(
                "the database has not been reached yet".into(),
            ));
        }
        let result = match tokio::time::timeout(QUERY_TIMEOUT, query).await {
            Ok(result) => result.map_err(classify),
            Err(elapsed) => Err(StoreError::Unavailable(elapsed.into())),
        };
        self.outage.note(&result);
        result
    }
}

fn stored_seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Tells a database that is away from a query that is wrong.
fn classify(error: sqlx::Error) -> StoreError {
    use sqlx::Error as E;
    match &error {
        E::Database(database) if database.is_unique_violation() => StoreError::Conflict,
        E::Database(database) => {
            let code = database.code().unwrap_or_default();
            let away = if database.try_downcast_ref::<SqliteError>().is_some() {
                // BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN: the low byte of the extended code.
                matches!(
                    code.parse::<u32>().unwrap_or(0) & 0xff,
                    5 | 6 | 8 | 10 | 13 | 14
                )
            } else {
                let severity = database.try_downcast_ref::<PgDatabaseError>();
                let severity = severity.map(PgDatabaseError::severity);
                // Whatever the reason, it has let nobody in, or ended the connection: for a query that is wrong it does neither.
                matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
                    // Connection exception, insufficient resources, operator intervention, system error, read-only transaction, deadlock.
                    || ["08", "53", "57", "58", "25006", "40"]
                        .iter()
                        .any(|class| code.starts_with(class))
            };
            if away {
                StoreError::Unavailable(error.into())
            } else {
                StoreError::Internal(error.into())
            }
        }
        E::Io(_)
        | E::Tls(_)
        | E::Protocol(_)
        | E::PoolTimedOut
        | E::PoolClosed
        | E::WorkerCrashed => StoreError::Unavailable(error.into()),
        _ => StoreError::Internal(error.into()),
    }
}
