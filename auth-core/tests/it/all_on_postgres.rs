//! Every test runs on a real PostgreSQL, too. By its name it is the first to start: it takes longest by far.

use std::process::Command;

use crate::database;
use crate::postgres::Postgres;

/// The tests that run on SQLite alone, and why. All others run on PostgreSQL, too.
const ON_SQLITE_ALONE: [(&str, &str); 7] = [
    (
        "backup::a_backup_made_while_people_sign_up_has_every_account_that_was_acknowledged_before_it",
        "pg_dump makes backups of PostgreSQL",
    ),
    (
        "backup::no_session_and_no_reset_token_comes_back_to_life",
        "pg_dump makes backups of PostgreSQL",
    ),
    (
        "backup::nothing_is_overwritten",
        "pg_dump makes backups of PostgreSQL",
    ),
    (
        "backup::what_is_no_whole_backup_of_this_version_is_refused_and_nothing_is_left",
        "pg_dump makes backups of PostgreSQL",
    ),
    (
        "full_disk::what_is_acknowledged_while_the_disk_is_full_and_later_is_there",
        "it is the core's own files that cannot grow",
    ),
    (
        "systemd::a_database_that_stays_away_does_not_keep_the_unit_from_starting",
        "a folder is where the file should be",
    ),
    (
        "transport::without_a_database_the_node_is_up_and_not_ready_until_it_comes",
        "a folder is where the file should be; below a server goes away and comes back",
    ),
];

/// These start servers of their own: those of postgres.rs, and this one.
const OWN_SERVERS: &str = "postgres::";

/// Runs this program once more, with the tests unchanged, snapshots and all. Answers whether all went well, and what was said.
fn tests(postgres: &Postgres, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(database::SERVER, &postgres.url)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}

#[test]
fn every_test_passes_but_for_those_that_cannot() {
    let postgres = Postgres::start();
    let mut skipped = vec!["--skip", OWN_SERVERS];
    for (test, why) in ON_SQLITE_ALONE {
        let (well, said) = tests(&postgres, &["--exact", test]);
        let failed = said.contains("this test does not run on PostgreSQL");
        assert!(!well && failed, "{test} is no exception ({why}): {said}");
        skipped.extend(["--skip", test]);
    }
    let (well, said) = tests(&postgres, &skipped);
    assert!(well, "{said}");
}
