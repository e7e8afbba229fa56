//! The command line of auth-core.

mod allocator;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use auth_core::cli::api_key::ApiKeyCommand;
use auth_core::cli::audit::AuditArgs;
use auth_core::cli::backup::{BackupArgs, RestoreArgs};
use auth_core::cli::capacity::CapacityArgs;
use auth_core::cli::copy::DatabaseCommand;
use auth_core::cli::gateway_spans::GatewaySpans;
use auth_core::cli::keys::KeysCommand;
use auth_core::cli::probe::ProbeArgs;
use auth_core::cli::session::SessionCommand;
use auth_core::cli::user::UserCommand;
use auth_core::config::{Config, ConfigArgs};
use auth_core::version::VERSION;
use auth_core::{App, cli, clock, graphql, http, telemetry};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A minimal authentication service: GraphQL, scrypt, JWT, SQLite or PostgreSQL
#[derive(Parser)]
#[command(version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then drain; SIGHUP reads the keys again
    Serve(ConfigArgs),
    /// Check the configuration and the files it names, without starting
    CheckConfig(ConfigArgs),
    /// Make, rotate, show and remove the keys that sign tokens
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Add, change, disable, export, delete and show accounts
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Show and end the sessions of an account
    Session {
        #[command(subcommand)]
        command: SessionCommand,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Make, show and revoke keys by which machines call the routes of the gateway
    ApiKey {
        #[command(subcommand)]
        command: ApiKeyCommand,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Print the audit stream: who did what, when and from where
    Audit {
        #[command(flatten)]
        audit: AuditArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Copy an SQLite database to a file, while nodes run or not
    Backup {
        #[command(flatten)]
        backup: BackupArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Put a backup where there is no SQLite database; all sessions end
    Restore {
        #[command(flatten)]
        restore: RestoreArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Reckon the cores, memory and database that a number of log-ins takes
    Capacity {
        #[command(flatten)]
        capacity: CapacityArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Copy the database from SQLite to PostgreSQL
    Database {
        #[command(subcommand)]
        command: DatabaseCommand,
    },
    /// Report the gateway's spans to Zipkin, from HAProxy's access log
    GatewaySpans(GatewaySpans),
    /// Ask the public name as a client does, whenever Prometheus asks
    Probe(ProbeArgs),
    /// Print the GraphQL schema
    Schema,
    /// Print what a shell needs to complete this command line
    Completions { shell: Shell },
    /// Write the manual pages into a folder
    Man { folder: PathBuf },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::CheckConfig(args) => check(&args),
        Command::Keys { command, config } => keys(&command, &config),
        Command::User { command, config } => user(&command, &config),
        Command::Session { command, config } => session(&command, &config),
        Command::ApiKey { command, config } => api_key(&command, &config),
        Command::Audit { audit, config } => print_audit(&audit, &config),
        Command::Backup { backup, config } => back_up(&backup, &config),
        Command::Restore { restore, config } => put_back(&restore, &config),
        Command::Capacity { capacity, config } => reckon(&capacity, &config),
        Command::Database { command } => database(&command),
        Command::GatewaySpans(args) => cli::gateway_spans::run(&args),
        Command::Probe(args) => cli::probe::run(args),
        Command::Schema => {
            print!("{}", graphql::sdl());
            Ok(())
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "auth-core", &mut text);
            std::io::stdout().write_all(&text).map_err(Failure::from)
        }
        Command::Man { folder } => {
            clap_mangen::generate_to(Cli::command(), folder).map_err(Failure::from)
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

type Failure = auth_core::error::Cause;

fn check(args: &ConfigArgs) -> Result<(), Failure> {
    auth_core::check(&Config::load(args)?)?;
    println!("ok");
    Ok(())
}

fn keys(command: &KeysCommand, args: &ConfigArgs) -> Result<(), Failure> {
    if let KeysCommand::Follow(follow) = command {
        return cli::follow::run(follow);
    }
    let config = Config::load(args)?;
    print!("{}", cli::keys::run(command, &config.tokens, clock::now())?);
    Ok(())
}

/// Carries out an operator's command, and prints what it answers.
fn operate<E: Into<Failure>>(
    command: impl Future<Output = Result<String, E>>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    print!("{}", runtime.block_on(command).map_err(Into::into)?);
    Ok(())
}

fn user(command: &UserCommand, args: &ConfigArgs) -> Result<(), Failure> {
    operate(cli::user::run(command, &Config::load(args)?))
}

fn session(command: &SessionCommand, args: &ConfigArgs) -> Result<(), Failure> {
    operate(cli::session::run(command, &Config::load(args)?))
}

fn api_key(command: &ApiKeyCommand, args: &ConfigArgs) -> Result<(), Failure> {
    operate(cli::api_key::run(command, &Config::load(args)?))
}

fn reckon(capacity: &CapacityArgs, args: &ConfigArgs) -> Result<(), Failure> {
    print!("{}", cli::capacity::run(capacity, &Config::load(args)?)?);
    Ok(())
}

fn print_audit(audit: &AuditArgs, args: &ConfigArgs) -> Result<(), Failure> {
    let config = Config::load(args)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    runtime.block_on(cli::audit::run(audit, &config, &mut out))
}

fn back_up(backup: &BackupArgs, args: &ConfigArgs) -> Result<(), Failure> {
    operate(cli::backup::back_up(backup, &Config::load(args)?))
}

fn put_back(restore: &RestoreArgs, args: &ConfigArgs) -> Result<(), Failure> {
    operate(cli::backup::restore(restore, &Config::load(args)?))
}

fn database(command: &DatabaseCommand) -> Result<(), Failure> {
    operate(cli::copy::run(command))
}

fn serve(args: &ConfigArgs) -> Result<(), Failure> {
    let config = Config::load(args)?;
    auth_core::check(&config)?;
    let telemetry = telemetry::start(&config)?;
    http::panics::log_places_alone();
    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
        tracing::info!(
            version = VERSION,
            node = config.node,
            listen = %listener.local_addr()?,
            "started"
        );
        let app = Arc::new(App::new(&config)?);
        reload_on_hangup(Arc::clone(&app))?;
        auth_core::serve(app, listener, stop_signal()?).await;
        Ok::<_, Failure>(())
    });
    runtime.shutdown_background();
    telemetry.shutdown();
    served?;
    Ok(())
}

fn reload_on_hangup(app: Arc<App>) -> Result<(), std::io::Error> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            app.reload().await;
        }
    });
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
