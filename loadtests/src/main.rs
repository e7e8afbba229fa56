//! `authload`: puts load on an authstack, judges every answer, and exits by the verdict.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::Ipv4Net;
use loadtests::{Load, Target, run, table};

const AFTER_HELP: &str = "\
Example:
  authload run session --url https://127.0.0.1:8443 --ca ca.pem --users 50

Exit code:
  0  every answer was right
  1  a request failed that should not have, or none was made
  2  the run could not start

A request without an answer within 10 s has failed. Ctrl-C ends the run early
and still reports. The load is a closed model: a user sends its next request
when it has the answer to the last, so a stalled service gets fewer requests,
and its percentiles look better than independent clients would find it.";

/// Puts load on an authstack and says whether every answer was right
#[derive(Parser)]
#[command(name = "authload", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario against a service
    Run(RunArgs),
    /// List the scenarios
    List,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Each user, in a loop: sign up a new account, log in, `me`, log in with a wrong password
    Session,
}

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
struct RunArgs {
    /// What the users do
    scenario: Scenario,
    /// The service's base URL; requests go to URL/graphql
    #[arg(long)]
    url: String,
    /// PEM file with the only certificates to trust [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Virtual users, all from the start
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    users: u16,
    /// Requests per second over all users at most [default: unlimited]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// How long to run, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Each iteration of a user comes from the next local address of this range, such as 127.9.8.0/24: limits count by address
    #[arg(long, value_name = "CIDR")]
    from: Option<Ipv4Net>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::List => list(),
        Command::Run(args) => load(args).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("authload: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn list() -> Result<bool> {
    for scenario in Scenario::value_variants() {
        let scenario = scenario.to_possible_value().expect("none is hidden");
        println!(
            "{}: {}",
            scenario.get_name(),
            scenario.get_help().expect("each has help")
        );
    }
    Ok(true)
}

/// Runs the scenario, prints and writes the report: whether every answer was right.
async fn load(args: RunArgs) -> Result<bool> {
    let Scenario::Session = args.scenario;
    let users = args.users.into();
    let target = Target::new(&args.url, users, args.ca.as_deref(), args.from)?;
    target.reach().await?;
    // Opened before the load, so that a path that cannot be written does not cost a run.
    let file = args.report.as_deref().map(create).transpose()?;
    let load = Load {
        rate: args.rate,
        seconds: args.duration,
    };
    let report = run(&target, &load).await?;
    print!("{}", table(&report));
    if let Some(file) = file {
        serde_json::to_writer_pretty(file, &report).context("cannot write the report")?;
    }
    Ok(report.passed)
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write the report to {}", path.display()))
}
