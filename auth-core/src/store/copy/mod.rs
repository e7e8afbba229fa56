//! Copies all tables of an SQLite file into PostgreSQL, by PostgreSQL's own COPY, and compares them row by row.
//!
//! A row is the line that COPY reads and writes ([`line`]). Both sides make the same one of the same row, so the sum of their
//! hashes ([`Sum`]) says whether two tables are the same. What is there already has to be the first rows of the source, in the
//! order of the key: then the copy goes on after them.

mod line;
mod sum;

use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};

use super::{Source, Store, migrations};
use crate::error::Cause;
use sum::Sum;

/// Bytes of a batch, which is one transaction: what an interruption costs.
const BATCH: usize = 4 << 20;

/// Of PostgreSQL's advisory locks, that of a copy: "copy" in ASCII.
const LOCK: i64 = 0x636f_7079;

/// How long another copy is waited for, and how long between two looks.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// How far the copy of a table is.
pub struct Progress<'a> {
    /// The table.
    pub table: &'a str,
    /// Rows that are in both databases.
    pub copied: u64,
    /// Rows of the source.
    pub rows: u64,
    /// Whether both sides were compared, and are the same.
    pub verified: bool,
}

/// A table of the source. Its names are our own, from the migrations.
struct Table {
    name: String,
    /// The primary key.
    key: String,
    /// All columns, with commas between them.
    columns: String,
    rows: u64,
}

/// Copies all that there is in the file `from`, and answers how many rows that are. `tell` hears how it goes.
///
/// # Errors
/// What cannot be done and why. The source is never changed.
pub async fn copy(
    from: &Path,
    to: PgConnectOptions,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<u64, Cause> {
    let mut source = open(from).await?;
    let changes_before = changes(&mut source).await?;
    // One snapshot for all that is read.
    sqlx::query("BEGIN").execute(&mut source).await?;
    let tables = tables(&mut source).await?;

    let mut target = PgConnection::connect_with(&to)
        .await
        .map_err(|error| format!("--to: the database cannot be used: {error}"))?;
    lock(&mut target).await?;
    let store = Store::new(Source::Postgres(Box::new(to)), 1);
    store.reach().await?;
    store.close().await;
    let mut sums = Vec::new();
    // All of them before the first is written to.
    for table in &tables {
        sums.push(there_already(&mut source, &mut target, table).await?);
    }
    let mut rows = 0;
    for (table, mut sum) in tables.iter().zip(sums) {
        let mut progress = |copied, verified| {
            tell(Progress {
                table: &table.name,
                copied,
                rows: table.rows,
                verified,
            });
        };
        copy_table(&mut source, &mut target, table, &mut sum, &mut |copied| {
            progress(copied, false)
        })
        .await?;
        if of_target(&mut target, table).await? != sum {
            let name = &table.name;
            let text = format!(
                "{name} is not the same on both sides: somebody else has written to the target. \
                 Make that database anew, and copy again"
            );
            return Err(text.into());
        }
        progress(sum.rows, true);
        rows += sum.rows;
    }
    go_on_counting(&mut source, &mut target, &tables).await?;
    sqlx::query("ANALYZE").execute(&mut target).await?;
    target.close().await?;

    sqlx::query("COMMIT").execute(&mut source).await?;
    if changes(&mut source).await? != changes_before {
        let text = "all was copied as it was at the beginning, but the source was written to meanwhile, and that is not in the \
                    copy. For all of it stop the nodes, make the target anew, and copy again";
        return Err(text.into());
    }
    source.close().await?;
    Ok(rows)
}

/// Opens the source, which must have the tables that the target gets.
async fn open(from: &Path) -> Result<SqliteConnection, Cause> {
    let wrong = |error: sqlx::Error| format!("--from: the database cannot be used: {error}");
    // Not as a node opens it: a backup need not be in WAL mode, and is not to be changed.
    let options = SqliteConnectOptions::new().filename(from).read_only(true);
    let mut source = SqliteConnection::connect_with(&options)
        .await
        .map_err(wrong)?;
    let sql = "SELECT max(version) FROM _sqlx_migrations";
    let has: Option<i64> = sqlx::query_scalar(sql)
        .fetch_one(&mut source)
        .await
        .map_err(wrong)?;
    let known = migrations::sqlite().iter().map(|step| step.version).max();
    if has != known {
        let text = "--from: its tables are not those of this version of auth-core: start a node of this version on it once, and stop it";
        return Err(text.into());
    }
    Ok(source)
}

/// Keeps other copies from the target. One that was killed may still be writing its last batch, so it is waited for.
async fn lock(target: &mut PgConnection) -> Result<(), Cause> {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK);
        if locked.fetch_one(&mut *target).await? {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("--to: another copy into this database is under way".into())
}

/// Changes with each transaction by which others change the file.
async fn changes(source: &mut SqliteConnection) -> sqlx::Result<i64> {
    let version = sqlx::query_scalar("PRAGMA data_version");
    version.fetch_one(source).await
}

/// In the order in which they were made, so that none refers to a later one.
async fn tables(source: &mut SqliteConnection) -> sqlx::Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations' ORDER BY rowid",
    )
    .fetch_all(&mut *source)
    .await?;
    let mut tables = Vec::new();
    for name in names {
        let key = "SELECT name FROM pragma_table_info($1) WHERE pk = 1";
        let key = sqlx::query_scalar(key).bind(&name);
        let key = key.fetch_one(&mut *source).await?;
        let columns = "SELECT group_concat(name, ', ' ORDER BY cid) FROM pragma_table_info($1)";
        let columns = sqlx::query_scalar(columns).bind(&name);
        let columns = columns.fetch_one(&mut *source).await?;
        let rows = AssertSqlSafe(format!("SELECT count(*) FROM {name}"));
        let rows: i64 = sqlx::query_scalar(rows).fetch_one(&mut *source).await?;
        tables.push(Table {
            name,
            key,
            columns,
            rows: rows.unsigned_abs(),
        });
    }
    Ok(tables)
}

/// What the target has of a table, if that is what the source begins with.
async fn there_already(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &Table,
) -> Result<Sum, Cause> {
    let there = of_target(target, table).await?;
    let mut first = Sum::default();
    if there.rows > 0 {
        read(source, table, 0, there.rows, async |line| {
            first.add(&line);
            Ok(())
        })
        .await?;
    }
    if there == first {
        return Ok(there);
    }
    let text = format!(
        "--to: {} there has rows that are not of this source, or not any more. Copy into an empty database; nothing was written to this one",
        table.name
    );
    Err(text.into())
}

/// Copies the rows that come after those of `sum`, and adds them to it.
async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &Table,
    sum: &mut Sum,
    tell: &mut impl FnMut(u64),
) -> Result<(), Cause> {
    let mut batch = Vec::with_capacity(BATCH);
    let copied = sum.rows;
    read(source, table, copied, u64::MAX >> 1, async |line| {
        sum.add(&line);
        batch.extend_from_slice(&line);
        if batch.len() >= BATCH {
            write(target, table, &mut batch).await?;
            tell(sum.rows);
        }
        Ok(())
    })
    .await?;
    write(target, table, &mut batch).await
}

/// Gives each row of the source to `take`, as a line, in the order of the key.
async fn read(
    source: &mut SqliteConnection,
    table: &Table,
    after: u64,
    most: u64,
    mut take: impl AsyncFnMut(Vec<u8>) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let Table {
        name, key, columns, ..
    } = table;
    let sql = format!("SELECT {columns} FROM {name} ORDER BY {key} LIMIT {most} OFFSET {after}");
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(source);
    while let Some(row) = rows.try_next().await? {
        take(line::of(&row)?).await?;
    }
    Ok(())
}

async fn write(target: &mut PgConnection, table: &Table, batch: &mut Vec<u8>) -> Result<(), Cause> {
    let Table { name, columns, .. } = table;
    let sql = format!("COPY {name} ({columns}) FROM STDIN");
    let mut copy = target.copy_in_raw(&sql).await?;
    copy.send(batch.as_slice()).await?;
    copy.finish().await?;
    batch.clear();
    Ok(())
}

/// Of all rows that the target has.
async fn of_target(target: &mut PgConnection, table: &Table) -> Result<Sum, Cause> {
    let Table { name, columns, .. } = table;
    let sql = format!("COPY {name} ({columns}) TO STDOUT");
    let mut parts = target.copy_out_raw(&sql).await?;
    let mut sum = Sum::default();
    // A part is a line: PostgreSQL's protocol allows others, and its server sends no others.
    while let Some(line) = parts.try_next().await? {
        sum.add(&line);
    }
    Ok(sum)
}

/// Ids that PostgreSQL gives from now on come after all that SQLite gave, those of rows that are gone, too.
async fn go_on_counting(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    tables: &[Table],
) -> sqlx::Result<()> {
    for Table { name, key, .. } in tables {
        let last = "SELECT seq FROM sqlite_sequence WHERE name = $1";
        let last: Option<i64> = sqlx::query_scalar(last)
            .bind(name)
            .fetch_optional(&mut *source)
            .await?;
        if let Some(last) = last.filter(|last| *last > 0) {
            sqlx::query("SELECT setval(pg_get_serial_sequence($1, $2), $3)")
                .bind(name)
                .bind(key)
                .bind(last)
                .execute(&mut *target)
                .await?;
        }
    }
    Ok(())
}
