//! `up`: starts the stack, shows the progress, then watches over it and does what other terminals ask.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lab::{
    Event, Setup, Stack, TopologyName,
    answer::answer,
    control::{self, Answer, Request},
    network::Network,
    process::describe,
    setup,
    stack::log_end,
    watch,
};
use tokio::{
    net::{UnixListener, UnixStream},
    process::Command,
    signal::unix::{SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::sleep,
};

/// Where the background process of `--detach` writes what the foreground would show.
const OWN_LOG: &str = "logs/lab.log";

/// Runs the stack until a signal or `down` ends it.
pub async fn run(state: &Path, topology: TopologyName, background: bool) -> Result<()> {
    if background {
        // A session of its own: closing the terminal does not end it.
        rustix::process::setsid().context("cannot leave the terminal's session")?;
    }
    let begin = Instant::now();
    setup::make_private(state)?;
    let requests = control::listen(state).await?;
    let done = serve(state, topology, requests, begin).await;
    let _ = fs::remove_file(control::socket(state));
    done
}

async fn serve(
    state: &Path,
    topology: TopologyName,
    requests: UnixListener,
    begin: Instant,
) -> Result<()> {
    let (sender, mut events) = unbounded_channel();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let setup = Setup {
        topology,
        directory: state.to_owned(),
        network: Network::for_user()?,
        tls_profile: None,
        internal_tls: false,
        gateway: None,
        scrypt: None,
        parts: None,
    };
    let stack = Arc::new(Stack::prepare(setup, sender).await?);
    let _page = watch::open(stack.clone()).await?;
    println!("Watch it at http://{}\n", stack.page_address());
    let mut progress = Progress::begin(&stack);

    let started = tokio::select! {
        started = start(&stack, &mut events, &mut progress) => started.map(|()| true),
        _ = interrupt.recv() => Ok(false),
        _ = terminate.recv() => Ok(false),
    };
    let watched = match started {
        Ok(true) => {
            progress.end();
            print_ready(&stack, topology, begin.elapsed());
            tokio::select! {
                watched = attend(&stack, &mut events, &requests) => watched,
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
            }
        }
        other => {
            progress.end();
            other.map(|_| ())
        }
    };
    say("Stopping …");
    tokio::select! {
        () = stack.stop() => {}
        _ = interrupt.recv() => say("Interrupted again: killing what is left."),
    }
    watched
}

async fn start(
    stack: &Stack,
    events: &mut UnboundedReceiver<Event>,
    progress: &mut Progress,
) -> Result<()> {
    let starting = stack.start();
    tokio::pin!(starting);
    let started = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => if let Event::Ready(part, took) = event { progress.ready(&part, took) },
            started = &mut starting => break started,
        }
    };
    while let Ok(event) = events.try_recv() {
        if let Event::Ready(part, took) = event {
            progress.ready(&part, took);
        }
    }
    started
}

/// Reports what dies and does what other terminals ask, until one of them asks for the end.
async fn attend(
    stack: &Stack,
    events: &mut UnboundedReceiver<Event>,
    requests: &UnixListener,
) -> Result<()> {
    loop {
        tokio::select! {
            Some(event) = events.recv() => if let Event::Died(part, status) = event {
                say(&format!("{part} died with {}: `./dev start {part}` brings it back{}",
                    describe(status), log_end(&stack.log(&part))));
            },
            Ok((mut stream, _)) = requests.accept() => {
                let Ok(request) = control::receive(&mut stream).await else { continue };
                let end = matches!(request, Request::Down);
                let answer = answer(stack, request).await;
                if let Answer::Done(message) = &answer {
                    say(message);
                }
                let _ = control::send(&mut stream, &answer).await;
                if end {
                    return Ok(());
                }
            }
        }
    }
}

/// Starts the stack in the background and returns when it is ready.
pub async fn detached(state: &Path, topology: TopologyName) -> Result<()> {
    setup::make_private(state)?;
    fs::create_dir_all(state.join("logs"))?;
    if UnixStream::connect(control::socket(state)).await.is_ok() {
        bail!("it is already running: `./dev status` shows it, `./dev down` ends it");
    }
    let log = state.join(OWN_LOG);
    let write = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut read = File::open(&log)?;
    let name = clap::ValueEnum::to_possible_value(&topology).expect("every topology has a name");
    let mut background = Command::new(std::env::current_exe()?)
        .arg("--state")
        .arg(state)
        .args(["up", "--background", "--topology", name.get_name()])
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .spawn()?;
    let mut shown = String::new();
    loop {
        let ended = background.try_wait()?;
        let mut new = String::new();
        read.read_to_string(&mut new)?;
        print!("{new}");
        io::stdout().flush()?;
        shown += &new;
        if let Some(status) = ended {
            bail!("the stack has not started ({})", describe(status));
        }
        if shown.contains(LAST_LINE) {
            println!("It runs in the background: `./dev status`, `./dev logs`, `./dev down`.");
            return Ok(());
        }
        sleep(Duration::from_millis(30)).await;
    }
}

/// Shows how the start goes: a line per part, and on a terminal which ones are still awaited.
struct Progress {
    awaited: Vec<String>,
    terminal: bool,
}

impl Progress {
    fn begin(stack: &Stack) -> Self {
        let awaited: Vec<_> = stack.parts().iter().map(|part| part.name.clone()).collect();
        let without: Vec<_> = stack
            .left_out()
            .iter()
            .map(|part| part.name.as_str())
            .collect();
        if without.is_empty() {
            println!("Starting {} parts …", awaited.len());
        } else {
            println!(
                "Starting {} parts, WITHOUT {} …",
                awaited.len(),
                without.join(", ")
            );
        }
        let mut progress = Self {
            awaited,
            terminal: io::stdout().is_terminal(),
        };
        progress.show();
        progress
    }

    fn ready(&mut self, part: &str, took: Duration) {
        self.end();
        println!("  {part:<15} ready after {:.1} s", took.as_secs_f64());
        self.awaited.retain(|name| name != part);
        self.show();
    }

    fn show(&mut self) {
        if self.terminal && !self.awaited.is_empty() {
            print!("  waiting for {} …", self.awaited.join(", "));
            let _ = io::stdout().flush();
        }
    }

    /// Wipes the line of those awaited.
    fn end(&self) {
        if self.terminal {
            print!("\r\x1b[2K");
        }
    }
}

/// With which the foreground closes what it shows of a start, and by which `--detach` knows that it has all of it.
const LAST_LINE: &str = "Ctrl-C ends it; `./dev kill auth1` in another terminal breaks it.\n\n";

fn print_ready(stack: &Stack, topology: TopologyName, took: Duration) {
    let what = topology.summary();
    println!("\nReady after {:.1} s: {what}.\n", took.as_secs_f64());
    println!("  {:<15} http://{}", "watch it", stack.page_address());
    for part in stack.parts() {
        println!("  {:<15} {}", part.name, part.url);
        for (title, url) in &part.pages {
            println!("  {:<15} {url}", format!("  {title}"));
        }
    }
    if !stack.left_out().is_empty() {
        println!("\nLEFT OUT, because this machine lacks something of it:\n");
        for part in stack.left_out() {
            println!("  {:<15} {}", part.name, part.reason());
        }
    }
    let gateway = stack.part("gateway").map_or("", |part| part.url.as_str());
    let here = std::env::current_dir().unwrap_or_default();
    let ca = stack
        .ca()
        .strip_prefix(here)
        .unwrap_or(stack.ca())
        .display();
    println!("\nSign up, then log in:\n");
    for mutation in ["signUp", "logIn"] {
        println!(
            "  curl --cacert {ca} {gateway}/graphql --json \\\n    \
             '{{\"query\":\"mutation {{ {mutation}(email: \\\"me@example.com\\\", password: \\\"seven quiet otters paint\\\") \
             {{ message accessToken }} }}\"}}'"
        );
    }
    print!("\n{LAST_LINE}");
}

fn say(message: &str) {
    println!("{message}");
}
