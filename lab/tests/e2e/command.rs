//! The commands behind `./dev`, as a contributor uses them.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use lab::control::Status;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub fn lab(state: &Path, arguments: &[&str]) -> Output {
    command(state, arguments).output().expect("lab runs")
}

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.arg("--state").arg(state).args(arguments);
    command
}

/// `up` leaves out Zipkin, which takes longest to start, where it is not there.
fn without_zipkin(command: &mut Command) -> &mut Command {
    command.env("AUTHSTACK_ZIPKIN_JAR", "not-there.jar")
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub fn status(state: &Path) -> Status {
    let output = lab(state, &["status", "--json"]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

/// Runs what `up` prints: sign up, log in.
pub fn assert_printed_commands_work(printed: &str) {
    let printed = printed.replace("\\\n", " ");
    let curls: Vec<_> = printed
        .lines()
        .filter(|line| line.trim_start().starts_with("curl "))
        .collect();
    assert_eq!(curls.len(), 2, "{printed}");
    for curl in curls {
        let answer = Command::new("sh").args(["-c", curl]).output().unwrap();
        assert!(
            text(&answer).contains("\"accessToken\":\"ey"),
            "{curl}\n{}",
            text(&answer)
        );
    }
}

/// The processes that mention the state directory: every part has it in its arguments or as its folder.
fn left_behind(state: &Path) -> Vec<String> {
    let state = state.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            entry.file_name() != std::process::id().to_string().as_str()
                && (folder.starts_with(state) || String::from_utf8_lossy(&command).contains(state))
        })
        .map(|entry| {
            String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).unwrap_or_default())
                .replace('\0', " ")
        })
        .collect()
}

/// In the environment of whoever runs the lab, and none of its parts' business.
const OWN_SECRET: &str = "otters-keep-this-for-themselves";

/// `lab up` in the foreground, its output line by line.
struct Foreground {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Foreground {
    fn up(up: &mut Command) -> Self {
        let mut child = up
            .env("TOKEN_OF_MY_OWN", OWN_SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .expect("lab runs");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The first line that contains `text`.
    fn line(&self, text: &str, timeout: Duration) -> String {
        let begin = std::time::Instant::now();
        loop {
            let left = timeout.saturating_sub(begin.elapsed());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no line with {text:?} within {timeout:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One test, as starting everything is what takes time: up, kill each part, restart it, Ctrl-C.
#[test]
fn up_reports_every_death_by_name_within_two_seconds_and_start_restarts_it() {
    let state = TempDir::with_prefix("authstack-test-").unwrap();
    let mut up = Foreground::up(without_zipkin(&mut command(state.path(), &["up"])));
    up.line("Ctrl-C ends it", Duration::from_secs(60));

    let parts = status(state.path()).parts;
    assert!(
        parts.len() >= 7 && parts.iter().all(|part| part.ready),
        "{parts:?}"
    );
    for part in parts {
        let environment = fs::read(format!("/proc/{}/environ", part.pid.unwrap())).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(!environment.contains(OWN_SECRET), "{}", part.name);
        kill_process(Pid::from_raw(part.pid.unwrap()).unwrap(), Signal::KILL).unwrap();
        let line = up.line(" died with ", Duration::from_secs(2));
        assert!(
            line.starts_with(&format!("{} died with signal 9", part.name)),
            "{line}"
        );
        let started = lab(state.path(), &["start", &part.name]);
        assert!(started.status.success(), "{}", text(&started));
    }
    assert!(status(state.path()).parts.iter().all(|part| part.ready));

    kill_process(Pid::from_raw(up.child.id() as i32).unwrap(), Signal::INT).unwrap();
    assert!(up.child.wait().unwrap().success());
    assert_eq!(left_behind(state.path()), Vec::<String>::new());
}

#[test]
fn up_in_the_background_prints_commands_that_work_and_down_leaves_nothing_behind() {
    let state = TempDir::with_prefix("authstack-test-").unwrap();
    let up = lab(state.path(), &["up", "--detach"]);
    assert!(up.status.success(), "{}", text(&up));

    let printed = text(&up);
    let page = printed
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("Watch it at "))
        .unwrap();
    assert_eq!(text(&lab(state.path(), &["watch"])), format!("{page}\n"));
    let shown = Command::new("curl")
        .args(["--silent", page])
        .output()
        .unwrap();
    assert!(
        text(&shown).contains("<title>Authstack lab</title>"),
        "{page}"
    );
    assert_printed_commands_work(&printed);

    let again = lab(state.path(), &["up"]);
    assert!(
        !again.status.success() && text(&again).contains("already running"),
        "{}",
        text(&again)
    );

    let down = lab(state.path(), &["down"]);
    assert!(down.status.success(), "{}", text(&down));
    assert_eq!(left_behind(state.path()), Vec::<String>::new());

    // The canary of the probe takes its turn among the nodes, too.
    let logs = ["auth1", "auth2"].map(|node| text(&lab(state.path(), &["logs", node])));
    assert!(logs.concat().contains("signUp"), "{logs:?}");
    let clean = lab(state.path(), &["clean"]);
    assert!(
        clean.status.success() && !state.path().exists(),
        "{}",
        text(&clean)
    );
}

#[test]
fn killing_the_lab_itself_takes_every_part_with_it_and_clean_removes_the_rest() {
    let state = TempDir::with_prefix("authstack-test-").unwrap();
    let mut up = Foreground::up(without_zipkin(&mut command(state.path(), &["up"])));
    up.line("Ctrl-C ends it", Duration::from_secs(60));
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let begin = std::time::Instant::now();
    while !left_behind(state.path()).is_empty() {
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{:?}",
            left_behind(state.path())
        );
        std::thread::yield_now();
    }

    let scratch = fs::read_link(state.path().join("data/scratch")).unwrap();
    assert!(scratch.exists());
    assert!(lab(state.path(), &["clean"]).status.success());
    assert!(!scratch.exists() && !state.path().exists());
}

/// Accounts, keys and logs are the user's own: no other user of the machine gets at them, nor at what was there before.
#[test]
fn the_state_directory_is_closed_to_every_other_user() {
    let parent = TempDir::with_prefix("authstack-test-").unwrap();
    let everybodys =
        |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    everybodys(parent.path());
    let state = parent.path().join("state");
    fs::create_dir(&state).unwrap();
    everybodys(&state);

    let mut up = command(&state, &["up", "--topology", "cluster", "--detach"]);
    let up = without_zipkin(&mut up).output().expect("lab runs");
    assert!(up.status.success(), "{}", text(&up));
    assert_eq!(fs::metadata(&state).unwrap().mode() & 0o7777, 0o700);
    let scratch = fs::read_link(state.join("data/scratch")).unwrap();
    assert_eq!(fs::metadata(&scratch).unwrap().mode() & 0o7777, 0o700);
    let down = lab(&state, &["down"]);
    assert!(down.status.success(), "{}", text(&down));
}

#[test]
fn a_part_that_dies_while_starting_is_named_with_the_end_of_its_log() {
    let state = TempDir::with_prefix("authstack-test-").unwrap();
    // A database that is none: the node cannot start on it.
    fs::create_dir_all(state.path().join("keys/ring")).unwrap();
    fs::write(
        state.path().join("keys/ring/signing-key.pem"),
        "this is no key",
    )
    .unwrap();
    let up = lab(state.path(), &["up"]);
    assert!(!up.status.success());
    let said = text(&up);
    assert!(
        said.contains("died while starting") && said.contains("signing"),
        "{said}"
    );
    assert_eq!(left_behind(state.path()), Vec::<String>::new());
}

#[test]
fn what_needs_a_running_stack_says_how_to_start_one() {
    let state = TempDir::with_prefix("authstack-test-").unwrap();
    for command in [
        &["status"][..],
        &["watch"],
        &["kill", "auth1"],
        &["status", "--json"],
    ] {
        let output = lab(state.path(), command);
        assert!(!output.status.success());
        assert!(
            text(&output).contains("`./dev up` starts it"),
            "{}",
            text(&output)
        );
    }
}
