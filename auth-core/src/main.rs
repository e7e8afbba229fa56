//! The command line of auth-core.

use std::process::ExitCode;

use auth_core::config::{Config, ConfigArgs};
use auth_core::{graphql, telemetry};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then drain; a second signal ends at once
    Serve(ConfigArgs),
    /// Check the configuration and the files it names, without starting
    CheckConfig(ConfigArgs),
    /// Print the GraphQL schema
    Schema,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::CheckConfig(args) => check(&args),
        Command::Schema => {
            print!("{}", graphql::sdl());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("auth-core: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn check(args: &ConfigArgs) -> Result<(), Failure> {
    auth_core::check(&Config::load(args)?)?;
    println!("ok");
    Ok(())
}

fn serve(args: &ConfigArgs) -> Result<(), Failure> {
    let config = Config::load(args)?;
    auth_core::check(&config)?;
    let telemetry = telemetry::start(&config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            node = config.node,
            listen = %listener.local_addr()?,
            "started"
        );
        let shutdown = stop_signal()?;
        auth_core::serve(&config, listener, shutdown).await?;
        Ok::<_, Failure>(())
    });
    runtime.shutdown_background();
    telemetry.shutdown();
    served?;
    Ok(())
}

/// Ends with the first SIGTERM or SIGINT. The second ends the process.
fn stop_signal() -> Result<impl Future<Output = ()>, std::io::Error> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            tracing::warn!("second signal, ending at once");
            std::process::exit(1);
        });
    })
}
