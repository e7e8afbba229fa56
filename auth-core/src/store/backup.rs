//! Copies of an SQLite database: one is made while nodes run, and a node can take one up.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::audit::record;
use super::migrations;
use crate::audit::Entry;
use crate::error::Cause;

/// What a copy has.
#[derive(Debug)]
pub struct Contents {
    /// How many accounts.
    pub accounts: i64,
    /// How many API keys.
    pub api_keys: i64,
    /// When the newest entry was written into its audit stream, in seconds since 1970; 0 for none.
    pub newest_entry: i64,
}

/// Copies the database as it is at one moment into `copy`, an empty file, and looks whether that is whole. Nodes go on meanwhile.
///
/// The entry is in the copy, too: a copy says when it was made.
///
/// # Errors
/// There is no database of ours, it cannot be read or written, or the copy is damaged.
pub async fn copy(
    database: &SqliteConnectOptions,
    copy: &str,
    entry: &Entry,
) -> Result<Contents, Cause> {
    let options = database.clone().create_if_missing(false);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    check_version(&mut connection).await?;
    let mut transaction = connection.begin().await?;
    record!(transaction, entry);
    transaction.commit().await?;
    // It takes an empty file, which has the permissions that it was made with.
    sqlx::query("VACUUM INTO $1")
        .bind(copy)
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    check(copy).await
}

/// Makes a copy ready for a node: its tables are brought up to date, and what must not come back to life is removed. These are all
/// sessions and reset tokens, for nobody knows which of them ended after the copy was made. Answers what the copy has, and how many
/// sessions there were.
///
/// # Errors
/// It is no whole database of ours, or one of a newer version.
pub async fn revive(copy: &str, entry: Entry) -> Result<(Contents, u64), Cause> {
    let contents = check(copy).await?;
    let options = SqliteConnectOptions::new()
        .filename(copy)
        .foreign_keys(true)
        // All of it is in one file in the end.
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await?;
    migrations::sqlite()
        .run_direct(None, &mut connection, false)
        .await?;
    let mut transaction = connection.begin().await?;
    let ended = sqlx::query("DELETE FROM sessions")
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    sqlx::query("DELETE FROM password_resets")
        .execute(&mut *transaction)
        .await?;
    record!(transaction, &entry.with(format!("{ended} sessions ended")));
    transaction.commit().await?;
    connection.close().await?;
    Ok((contents, ended))
}

/// Whether a file is a whole database of ours, and what it has. Nothing is written.
async fn check(file: &str) -> Result<Contents, Cause> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .immutable(true)
        .disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut connection)
        .await?;
    if found != "ok" {
        return Err(format!("it is damaged: {found}").into());
    }
    check_version(&mut connection).await?;
    let accounts = sqlx::query_scalar("SELECT count(*) FROM accounts")
        .fetch_one(&mut connection)
        .await?;
    let api_keys = sqlx::query_scalar("SELECT count(*) FROM api_keys")
        .fetch_one(&mut connection)
        .await?;
    let newest_entry = sqlx::query_scalar("SELECT coalesce(max(at), 0) FROM audit")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(Contents {
        accounts,
        api_keys,
        newest_entry,
    })
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), Cause> {
    let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
        .map_err(|error| format!("it is no database of auth-core: {error}"))?;
    let ours = migrations::sqlite().iter().map(|step| step.version).max();
    if version > ours {
        let [version, ours] = [version, ours].map(Option::unwrap_or_default);
        return Err(format!(
            "it is of a newer auth-core: its tables have version {version}, and this one knows {ours}. Use that auth-core, or a newer one"
        )
        .into());
    }
    Ok(())
}
