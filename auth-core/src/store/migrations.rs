//! The tables, in the steps in which they came to be: the files in `migrations/`.
//!
//! Nodes of two versions are on one database while a fleet is upgraded, and when an upgrade is taken back. So a step only adds
//! (expand and contract): the node of before goes on beside it. What nobody uses any more is removed by a later version.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The name of a file, `NUMBER_DESCRIPTION`, and its text.
type Step = (&'static str, &'static str);

macro_rules! steps {
    ($database:literal: $($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../migrations/", $database, "/", $name, ".sql")))),*]
    };
}

const SQLITE: &[Step] = steps!("sqlite": "0001_tables");

const POSTGRES: &[Step] = steps!("postgres": "0001_tables");

/// For an SQLite file.
pub(super) fn sqlite() -> Migrator {
    migrator(SQLITE)
}

/// For PostgreSQL.
pub(super) fn postgres() -> Migrator {
    migrator(POSTGRES)
}

fn migrator(steps: &[Step]) -> Migrator {
    let mut migrator = Migrator::with_migrations(steps.iter().map(migration).collect());
    // Of a newer version, which has been here before.
    migrator.set_ignore_missing(true);
    // Who runs it has a transaction that keeps others out.
    migrator.set_locking(false);
    migrator
}

fn migration((name, sql): &Step) -> Migration {
    let (number, description) = name.split_once('_').unwrap_or((name, ""));
    Migration::new(
        number.parse().unwrap_or_default(),
        Cow::Owned(description.replace('_', " ")),
        MigrationType::Simple,
        sql.into_sql_str(),
        false,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether nodes that do not know of it go on: nothing is taken away, and no row that they write is refused.
    fn only_adds(statement: &str) -> bool {
        let words: Vec<_> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["CREATE", "TABLE" | "INDEX", ..] => true,
            ["ALTER", "TABLE", _, "ADD", "COLUMN", column @ ..] => {
                let has = |some: &[&str]| column.windows(some.len()).any(|words| words == some);
                (!has(&["NOT", "NULL"]) || has(&["DEFAULT"])) && !has(&["UNIQUE"])
            }
            _ => false,
        }
    }

    #[test]
    fn steps_after_the_first_only_add() {
        for (_, sql) in SQLITE[1..].iter().chain(&POSTGRES[1..]) {
            let lines = sql.lines().filter(|line| !line.starts_with("--"));
            let sql = lines.collect::<Vec<_>>().join("\n");
            for statement in sql.split(';').map(str::trim).filter(|one| !one.is_empty()) {
                assert!(only_adds(statement), "{statement}");
            }
        }
        let added = [
            "CREATE TABLE devices (id TEXT)",
            "CREATE INDEX devices_id ON devices (id)",
            "ALTER TABLE accounts ADD COLUMN nickname TEXT",
            "ALTER TABLE accounts ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
        ];
        assert!(added.into_iter().all(only_adds));
        let other = [
            "CREATE UNIQUE INDEX devices_id ON devices (id)",
            "ALTER TABLE accounts ADD COLUMN nickname TEXT NOT NULL",
            "ALTER TABLE accounts ADD COLUMN nickname TEXT UNIQUE",
            "ALTER TABLE accounts DROP COLUMN role",
            "ALTER TABLE accounts RENAME COLUMN role TO roles",
            "DROP TABLE audit",
            "UPDATE accounts SET role = 'user'",
        ];
        assert!(!other.into_iter().any(only_adds));
    }

    #[test]
    fn every_file_is_a_step_and_each_step_has_a_number_of_its_own() {
        for (database, steps) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let mut files: Vec<_> = std::fs::read_dir(format!("migrations/{database}"))
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            let names: Vec<_> = steps
                .iter()
                .map(|(name, _)| format!("{name}.sql"))
                .collect();
            assert_eq!(files, names);
            let numbers: Vec<_> = migrator(steps).iter().map(|step| step.version).collect();
            assert_eq!(numbers, (1..=steps.len() as i64).collect::<Vec<_>>());
        }
    }
}
