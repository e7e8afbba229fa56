//! `authload`: puts load on an authstack, judges every answer, and exits by the verdict.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use goose::config::GooseConfiguration;
use ipnet::Ipv4Net;
use loadtests::{
    DEFAULT_MIX, Load, Mix, Ran, Scenario, Target, junit, run, table, take_phase_rules,
};

const AFTER_HELP: &str = "\
Example:
  authload run session --url https://127.0.0.1:8443 --ca ca.pem --users 50

Exit code:
  0  every answer was right, every threshold was held, the rate was kept
  1  not so
  2  the run could not start

A request without an answer within 10 s has failed. Ctrl-C ends the run early
and still reports. Without --arrivals the load is a closed model: a user sends
its next request when it has the answer to the last, so a stalled service gets
fewer requests, and its percentiles look better than independent clients would
find it. `authload run --help` has goose's options, too.";

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
    Run(Box<RunArgs>),
    /// List the scenarios
    List,
}

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
struct RunArgs {
    /// What the users do, again and again
    scenario: Scenario,
    /// The service's base URL; questions go to URL/graphql
    #[arg(long)]
    url: String,
    /// PEM file with the only certificates to trust [default: the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Come from the addresses of this range in turn, such as 127.9.8.0/24: limits count by address
    #[arg(long, value_name = "CIDR")]
    from: Option<Ipv4Net>,
    /// Open model: begin the scenario R times a second, and count latency from when it was due
    #[arg(long, value_name = "R")]
    arrivals: Option<f64>,
    /// Let arrivals come by chance, as those of independent clients do, and not evenly
    #[arg(long, requires = "arrivals")]
    poisson: bool,
    /// What chance follows from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The scenarios of `mixed` with their weights
    #[arg(long, value_name = "SCENARIO=WEIGHT,…", default_value = DEFAULT_MIX)]
    mix: Mix,
    /// The route that `edge` and `canary` ask for
    #[arg(long)]
    path: Option<String>,
    /// Write the report to FILE; by its extension as .json, .html, or .xml (JUnit); repeatable
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// File to which others append when they break the service, for marks in the report and rules like `during: p99<1s`
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Ask Prometheus there what it saw, for the report
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    #[command(flatten)]
    goose: GooseConfiguration,
}

/// goose's options that are of no use here: what they say is said by others, or the run depends on it.
const REFUSED: &[&str] = &[
    "host",
    "scenarios",
    "version",
    "list",
    "scenarios_list",
    "render_report",
    "no_reset_metrics",
    "no_print_metrics",
    "no_metrics",
    "no_autostart",
    "no_telnet",
    "telnet_host",
    "telnet_port",
    "websocket",
    "no_websocket",
    "websocket_host",
    "websocket_port",
    "no_gzip",
    "sticky_follow",
    "accept_invalid_certs",
];

/// What `-h` shows of goose's options.
const FOREMOST: &[&str] = &["users", "run_time", "throttle_requests", "threshold"];

/// goose's options have a line each, and come after ours.
fn option(option: Arg) -> Arg {
    let id = option.get_id().as_str().to_owned();
    if option.get_help_heading().is_none() {
        return option;
    }
    let option = match id.as_str() {
        "users" => {
            option.help("Virtual users [default: 10; with --arrivals, two for each a second]")
        }
        "run_time" => option
            .visible_alias("duration")
            .help("How long users begin requests: 10, or 1h30m [default: 10]"),
        "throttle_requests" => option
            .visible_alias("rate")
            .help("Requests per second at most, over all users, in the closed model"),
        "threshold" => option.help(
            "What must hold, such as \"p99<250ms\", \"error-rate<1%\", \"p99<1s for POST logIn\", \
             \"during: p99<1s\"; repeatable",
        ),
        "increase_rate" => option.help("Users started per second [default: all at once]"),
        "timeout" => option.help("Seconds that a request may take [default: 10]"),
        _ => option,
    };
    option
        .hide(REFUSED.contains(&id.as_str()))
        .hide_short_help(!FOREMOST.contains(&id.as_str()))
        .long_help(None::<&str>)
}

fn main() -> ExitCode {
    let command = Cli::command().mut_subcommand("run", |run| run.mut_args(option));
    let matches = command.get_matches();
    let outcome = refused(&matches).and_then(|()| {
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        match cli.command {
            Command::List => list(),
            Command::Run(args) => tokio::runtime::Runtime::new()?.block_on(load(*args)),
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("authload: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Refuses what goose would take and we would not do.
fn refused(matches: &ArgMatches) -> Result<()> {
    let Some(("run", matches)) = matches.subcommand() else {
        return Ok(());
    };
    for id in REFUSED {
        if matches.value_source(id) == Some(ValueSource::CommandLine) {
            bail!("--{} is no option of authload", id.replace('_', "-"));
        }
    }
    Ok(())
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

/// Runs the scenario, prints and writes the report: whether it has passed.
async fn load(args: RunArgs) -> Result<bool> {
    args.report.iter().try_for_each(|path| named(path))?;
    let mut goose = args.goose;
    let timeout = goose.timeout.as_deref().map(seconds).transpose()?;
    let rules = take_phase_rules(&mut goose.threshold)?;
    let mut load = Load {
        scenario: args.scenario,
        mix: args.mix,
        path: args.path,
        arrivals: args.arrivals,
        poisson: args.poisson,
        seed: args.seed,
        events: args.events,
        prometheus: args.prometheus,
        rules,
        goose,
    };
    let users = load.complete()?;
    let target = Target::new(&args.url, users, args.ca.as_deref(), args.from, timeout)?;
    target.reach().await?;
    // Opened before the load, so that a path that cannot be written does not cost a run.
    let files: Vec<_> = args.report.into_iter().map(create).collect::<Result<_>>()?;
    let ran = run(target, load, users).await?;
    print!("{}", table(&ran.report));
    for (path, mut file) in files {
        let text = written(&path, &ran)?;
        file.write_all(text.as_bytes())
            .with_context(|| format!("cannot write the report to {}", path.display()))?;
    }
    Ok(ran.report.passed)
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    match seconds {
        Some(Ok(seconds)) if !seconds.is_zero() => Ok(seconds),
        _ => bail!("--timeout {text:?} is no number of seconds"),
    }
}

/// Refuses a report whose name does not say what it is to be.
fn named(path: &Path) -> Result<()> {
    match extension(path) {
        "json" | "html" | "xml" => Ok(()),
        _ => bail!(
            "--report {}: its name must end with .json, .html or .xml",
            path.display()
        ),
    }
}

fn create(path: PathBuf) -> Result<(PathBuf, File)> {
    let file = File::create(&path)
        .with_context(|| format!("cannot write the report to {}", path.display()))?;
    Ok((path, file))
}

fn written(path: &Path, ran: &Ran) -> Result<String> {
    match extension(path) {
        "html" => Ok(ran.html()),
        "xml" => junit(&ran.report),
        _ => Ok(serde_json::to_string_pretty(&ran.report)?),
    }
}

fn extension(path: &Path) -> &str {
    let extension = path.extension().unwrap_or_default();
    extension.to_str().unwrap_or_default()
}
