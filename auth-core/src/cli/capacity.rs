//! `auth-core capacity`: what a number of log-ins per second takes, from what a hash costs on this machine.
//!
//! A log-in is a password hash and little else, so hashes decide how many cores and how much memory there must be. What a log-in writes
//! decides where one database ends. `docs/explanation/scale.md` has the table and where the figures come from.

use std::fmt::Write;
use std::time::{Duration, Instant};

use clap::Args;

use crate::config::{Config, Scrypt};
use crate::passwords::{Hasher, Password};

/// The share of the time that a core hashes. With more, the queue for a hash grows long at the first gust of log-ins.
const UTILISATION: f64 = 0.7;
/// What a node needs besides hashes: `docs/explanation/performance.md`.
const NODE_MIB: f64 = 32.0;
/// What a log-in leaves in the database, with the entries of the indexes: its session, and its entry in the audit stream.
/// Measured with PostgreSQL, which takes more than SQLite.
const SESSION_BYTES: f64 = 400.0;
const AUDIT_BYTES: f64 = 280.0;
/// Rows that a log-in inserts: session and audit entry. The retention task removes as many in the end.
const ROWS: f64 = 2.0;
/// An estimate: more transactions per second than one SQLite file takes, which syncs each to the disk before the next.
const SQLITE_ENDS: f64 = 200.0;
/// An estimate, too: more than one PostgreSQL primary takes with some comfort, for transactions of two rows with a sync shared by many.
const POSTGRES_ENDS: f64 = 10_000.0;
const SECONDS_OF_DAY: f64 = 86_400.0;
const MIB: f64 = 1_048_576.0;

/// What to reckon with.
#[derive(Args)]
pub struct CapacityArgs {
    /// Log-ins per second at the busiest time
    #[arg(long, value_name = "R", value_parser = positive)]
    pub log_ins_per_second: f64,
    /// Cores of a node
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub cores: u32,
    /// Milliseconds that a hash takes; measured on this machine by default
    #[arg(long, value_name = "MS", value_parser = positive)]
    pub hash_ms: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1e9 => Ok(number),
        _ => Err("a number above 0, at most a billion".into()),
    }
}

/// What decides.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Log-ins per second at the busiest time.
    pub log_ins_per_second: f64,
    /// Time of a hash on one core.
    pub hash: Duration,
    /// What that hash costs.
    pub cost: Scrypt,
    /// Cores of a node.
    pub cores: u32,
    /// How long a session lasts, in seconds.
    pub session_seconds: u64,
    /// How long the audit stream is kept, in days.
    pub audit_days: u32,
}

/// What it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Cores that hash, each for 70 % of the time.
    pub cores: f64,
    /// Nodes with these cores, and one more, so that any may fail.
    pub nodes: f64,
    /// Memory of a node, in MiB, when all its cores hash.
    pub node_mib: f64,
    /// Rows that the database inserts per second.
    pub rows_per_second: f64,
    /// Sessions and audit entries that are kept if it is always the busiest time, in bytes with their indexes.
    pub database_bytes: f64,
}

impl Demand {
    /// Reckons.
    pub fn capacity(&self) -> Capacity {
        let rate = self.log_ins_per_second;
        let cores = (rate * self.hash.as_secs_f64() / UTILISATION).ceil();
        let Scrypt { log_n, r, .. } = self.cost;
        let hash_mib = 128.0 * f64::from(r) * 2f64.powi(i32::from(log_n)) / MIB;
        let sessions = rate * self.session_seconds as f64;
        let entries = rate * SECONDS_OF_DAY * f64::from(self.audit_days);
        Capacity {
            cores,
            nodes: (cores / f64::from(self.cores)).ceil() + 1.0,
            node_mib: f64::from(self.cores) * hash_mib + NODE_MIB,
            rows_per_second: rate * ROWS,
            database_bytes: sessions * SESSION_BYTES + entries * AUDIT_BYTES,
        }
    }

    /// The database that takes as many writes.
    fn database(&self) -> &'static str {
        match self.log_ins_per_second {
            rate if rate <= SQLITE_ENDS => "one SQLite file, or PostgreSQL",
            rate if rate <= POSTGRES_ENDS => "one PostgreSQL primary, with standbys",
            _ => "several, sharded by account: docs/explanation/scale.md",
        }
    }

    /// The answer, as a person reads it.
    pub fn report(&self) -> String {
        let needed = self.capacity();
        let Scrypt { log_n, r, p } = self.cost;
        let mut text = format!(
            "A hash with N = 2^{log_n}, r = {r}, p = {p} takes {:.0} ms of a core.\n\n{} log-ins a second take\n",
            self.hash.as_secs_f64() * 1e3,
            grouped(self.log_ins_per_second),
        );
        let mut line = |what: &str, how_much: String| {
            writeln!(text, "  {what:<22}{how_much}").expect("a string takes it");
        };
        line(
            "cores that hash",
            format!(
                "{}, each {:.0} % busy",
                grouped(needed.cores),
                UTILISATION * 100.0
            ),
        );
        line(
            "nodes",
            format!(
                "{} of {} cores, one of them to spare",
                grouped(needed.nodes),
                self.cores
            ),
        );
        line(
            "memory of a node",
            format!("{} MiB", grouped(needed.node_mib.ceil())),
        );
        line("database", self.database().into());
        line(
            "rows written",
            format!(
                "{} a second, in {} transactions",
                grouped(needed.rows_per_second),
                grouped(self.log_ins_per_second)
            ),
        );
        line(
            "rows kept, at most",
            format!(
                "{} with sessions of {} days and {} days of the audit stream",
                bytes(needed.database_bytes),
                self.session_seconds / 86_400,
                self.audit_days
            ),
        );
        text
    }
}

/// With a space between thousands, and at most one digit after the point.
fn grouped(number: f64) -> String {
    let text = format!("{:.1}", number);
    let (whole, fraction) = text.split_once('.').expect("there is a point");
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    if fraction != "0" {
        write!(grouped, ".{fraction}").expect("a string takes it");
    }
    grouped
}

fn bytes(number: f64) -> String {
    const UNITS: [&str; 6] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut number = number;
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{} {}", grouped(number), UNITS[unit])
}

/// Measures a hash where it is not given, and reports.
///
/// # Errors
/// A configuration that cannot be; no memory for a hash.
pub fn run(args: &CapacityArgs, config: &Config) -> Result<String, crate::error::Cause> {
    let hash = match args.hash_ms {
        Some(ms) => Duration::from_secs_f64(ms / 1e3),
        None => measured(&Hasher::from_config(&config.password)?)?,
    };
    let demand = Demand {
        log_ins_per_second: args.log_ins_per_second,
        hash,
        cost: config.password.scrypt,
        cores: args.cores,
        session_seconds: config.tokens.session_seconds,
        audit_days: config.audit.retention_days,
    };
    Ok(demand.report())
}

/// The fastest of three: what else the machine does only adds.
fn measured(hasher: &Hasher) -> Result<Duration, crate::error::Cause> {
    let password = Password::new("as long as a good passphrase".into());
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        hasher.hash(&password)?;
        fastest = fastest.min(begin.elapsed());
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn demand(log_ins_per_second: f64) -> Demand {
        Demand {
            log_ins_per_second,
            hash: Duration::from_millis(280),
            cost: Scrypt::default(),
            cores: 8,
            session_seconds: 30 * 86_400,
            audit_days: 365,
        }
    }

    #[test]
    fn a_thousand_log_ins_a_second_take_four_hundred_cores() {
        insta::assert_snapshot!(demand(1000.0).report(), @r"
        A hash with N = 2^17, r = 8, p = 1 takes 280 ms of a core.

        1 000 log-ins a second take
          cores that hash       400, each 70 % busy
          nodes                 51 of 8 cores, one of them to spare
          memory of a node      1 056 MiB
          database              one PostgreSQL primary, with standbys
          rows written          2 000 a second, in 1 000 transactions
          rows kept, at most    9 TiB with sessions of 30 days and 365 days of the audit stream
        ");
    }

    #[test]
    fn one_log_in_a_minute_takes_two_nodes_so_that_one_may_fail() {
        let needed = demand(1.0 / 60.0).capacity();
        assert_eq!((needed.cores, needed.nodes), (1.0, 2.0));
        assert_eq!(needed.node_mib, 8.0 * 128.0 + 32.0);
    }

    #[test]
    fn each_size_has_the_database_that_takes_it() {
        insta::assert_debug_snapshot!([10.0, 1e3, 1e6].map(|rate| demand(rate).database()), @r#"
        [
            "one SQLite file, or PostgreSQL",
            "one PostgreSQL primary, with standbys",
            "several, sharded by account: docs/explanation/scale.md",
        ]
        "#);
    }

    proptest! {
        #[test]
        fn the_nodes_but_one_hash_all_log_ins_without_being_busy_all_the_time(
            rate in 0.001..1e7, milliseconds in 1u64..10_000, cores in 1u32..256,
        ) {
            let demand = Demand { hash: Duration::from_millis(milliseconds), cores, ..demand(rate) };
            let nodes = demand.capacity().nodes - 1.0;
            let busy = rate * demand.hash.as_secs_f64() / (nodes * f64::from(cores));
            prop_assert!(busy <= UTILISATION + 1e-9, "{busy}");
        }
    }
}
