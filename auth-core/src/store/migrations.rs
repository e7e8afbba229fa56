//! The tables, in the steps in which they came to be: the files in `migrations/`.

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
    Migrator::with_migrations(steps.iter().map(migration).collect())
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
