//! The command behind `./dev up`, `status`, `kill` and the rest.

mod commands;
mod durability_command;
mod tour;
mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use lab::{TopologyName, control::Request};

/// Runs the whole authentication stack on this machine: real processes, on loopback addresses only.
#[derive(Parser)]
#[command(name = "lab", version)]
struct Cli {
    /// Where keys, data and logs are kept.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = ".lab",
        env = "AUTHSTACK_STATE"
    )]
    state: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the stack and watch over it until Ctrl-C.
    Up {
        /// Which stack to start.
        #[arg(long, value_enum, default_value_t)]
        topology: TopologyName,
        /// Return as soon as everything is ready; `down` stops it.
        #[arg(long)]
        detach: bool,
        /// The background process of --detach.
        #[arg(long, hide = true, conflicts_with = "detach")]
        background: bool,
    },
    /// Stop the stack that runs here.
    Down,
    /// Show every part: its address, its process, and whether it can be used.
    Status {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Print the address of the page on which one watches the stack break.
    Watch,
    /// Walk through a sign-up, failed log-ins, a killed node and a canary, with where to look at each step.
    Tour {
        /// Do not wait for ENTER between the steps.
        #[arg(long)]
        yes: bool,
    },
    /// Start a part that was stopped, killed or paused.
    Start { part: String },
    /// Stop a part gracefully, as a shutdown would.
    Stop { part: String },
    /// Kill a part with SIGKILL, as a crash would.
    Kill { part: String },
    /// Pause a part with SIGSTOP, as a hang would; `start` resumes it.
    Pause { part: String },
    /// Change the share of the requests that a part gets, without a reload; 0 drains it.
    Weight {
        part: String,
        /// In proportion to those of the others, which is 100 to begin with.
        weight: u16,
    },
    /// Show the end of a part's log, or of all.
    Logs {
        part: Option<String>,
        /// Keep showing new lines.
        #[arg(short, long)]
        follow: bool,
    },
    /// Kill parts of a stack of its own at random moments, and check that all that was acknowledged holds.
    Durability {
        /// How often.
        #[arg(long, default_value_t = 50)]
        rounds: usize,
        /// From which all that is random follows; another each time unless given.
        #[arg(long)]
        seed: Option<u64>,
        /// Which stack; "single" and "cluster" unless given, one after the other. With "ha" it is the database's primary that is broken.
        #[arg(long, value_enum)]
        topology: Option<TopologyName>,
    },
    /// Do faults to a stack of its own under load, and judge what users see.
    Chaos(lab::chaos::Options),
    /// Stop the stack and remove all that it left: keys, data and logs.
    Clean,
    /// Run a command so that all it starts ends with it.
    #[command(hide = true)]
    Host {
        /// Of its processes.
        #[arg(long)]
        group: u32,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

// One thread: the kernel ends a part when the thread that started it ends, so that thread must be the one that stays.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let state = &cli.state;
    let done = match cli.command {
        Command::Up {
            topology,
            detach: true,
            ..
        } => up::detached(state, topology).await,
        Command::Up {
            topology,
            background,
            ..
        } => up::run(state, topology, background).await,
        Command::Down => commands::down(state).await,
        Command::Status { json } => commands::status(state, json).await,
        Command::Watch => commands::watch(state).await,
        Command::Tour { yes } => tour::walk(state, yes).await,
        Command::Start { part } => commands::send(state, Request::Start(part)).await,
        Command::Stop { part } => commands::send(state, Request::Stop(part)).await,
        Command::Kill { part } => commands::send(state, Request::Kill(part)).await,
        Command::Pause { part } => commands::send(state, Request::Pause(part)).await,
        Command::Weight { part, weight } => {
            commands::send(state, Request::Weight(part, weight)).await
        }
        Command::Logs { part, follow } => commands::logs(state, part, follow).await,
        Command::Durability {
            rounds,
            seed,
            topology,
        } => durability_command::run(rounds, seed, topology).await,
        Command::Chaos(options) => match lab::chaos::run(options).await {
            Ok(true) => Ok(()),
            // What failed is told already.
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Clean => commands::clean(state).await,
        Command::Host { group, command } => match lab::host::run(&command, group).await {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
