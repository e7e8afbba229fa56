//! `./dev chaos`: the quick half of the catalogue holds, what must fail does, and nothing is left behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use lab::chaos::rounds::Round;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::command::text;

/// `lab chaos`, with all that is temporary in a folder of its own.
fn chaos(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command
        .arg("chaos")
        .args(arguments)
        .env("TMPDIR", temporary);
    command
}

fn run(temporary: &Path, arguments: &[&str]) -> Output {
    chaos(temporary, arguments).output().expect("lab runs")
}

/// A folder that the user of the database can reach. A short name: of a socket's path 97 bytes are left.
fn temporary() -> TempDir {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    let folder = TempDir::with_prefix("test-").unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    folder
}

fn left_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// One run, as starting the stack is what takes time. A crash without retries is in it: it must fail for this to pass.
#[test]
fn the_quick_half_of_the_catalogue_holds_and_what_must_fail_does() {
    let (temporary, reports) = (temporary(), TempDir::new().unwrap());
    let report = ["--report", reports.path().to_str().unwrap()];
    let first = run(temporary.path(), &report);
    let mut said = text(&first);
    // Whoever else uses the machine may hold requests up longer than a fault does: what fails twice is broken.
    let name_of_failed = |line: &str| {
        let (name, _) = line.strip_prefix("Failed: ")?.split_once(": ")?;
        Some(name.to_owned())
    };
    let failed: Vec<_> = said.lines().filter_map(name_of_failed).collect();
    if !failed.is_empty() {
        let names: Vec<_> = failed.iter().map(String::as_str).collect();
        let second = run(temporary.path(), &[&report[..], &names].concat());
        println!("{said}\nOnce more: {}", text(&second));
        assert!(second.status.success(), "failed twice");
        said = text(&second) + &said;
    } else {
        assert!(first.status.success(), "{said}");
    }
    let mut ran = 0;
    for round in Round::all(true) {
        let is_its = |line: &&str| line.split(' ').next() == Some(round.name.as_str());
        let line = said.lines().find(is_its);
        let line = line.unwrap_or_else(|| panic!("no line of {}: {said}", round.name));
        if line.contains("left out: ") {
            continue;
        }
        ran += 1;
        assert!(line.contains(" ok "), "{line}");
        let must_fail = line.contains("fails, as it must: ");
        assert_eq!(must_fail, round.without.is_some(), "{line}");
        for extension in ["html", "json"] {
            let report = reports.path().join(format!("{}.{extension}", round.name));
            assert!(report.is_file(), "{}", report.display());
        }
    }
    // Processes can be killed, and gateways reloaded, on any machine.
    assert!(ran >= 3, "{said}");
    assert_eq!(left_in(temporary.path()), Vec::<String>::new());
}

/// In the midst of a fault: a part is paused, and load runs.
#[test]
fn ctrl_c_ends_it_and_leaves_nothing_behind() {
    let temporary = temporary();
    let mut running = chaos(temporary.path(), &["hang"])
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("lab runs");
    // Kept open: who prints to nobody breaks off.
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let ready = (lines.by_ref())
        .map_while(Result::ok)
        .find(|line| line.contains("ready after"));
    assert!(ready.is_some(), "it never was ready");
    // The load makes its accounts first, which on a busy machine takes a while.
    let deadline = Instant::now() + Duration::from_secs(120);
    while !processes_in(temporary.path())
        .iter()
        .any(|process| process.contains(" (T) "))
    {
        assert!(Instant::now() < deadline, "no part is ever paused");
        sleep(Duration::from_millis(20));
    }
    let pid = Pid::from_raw(running.id() as i32).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert_eq!(left_in(temporary.path()), Vec::<String>::new());
    assert_eq!(processes_in(temporary.path()), Vec::<String>::new());
}

/// The processes that mention the folder, each with its state.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let of = |process: PathBuf| {
        let command = fs::read(process.join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let stat = fs::read_to_string(process.join("stat")).ok()?;
        let state = stat
            .rsplit(')')
            .next()?
            .split_whitespace()
            .next()?
            .to_owned();
        command
            .contains(folder)
            .then(|| format!("{command} ({state}) "))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| of(entry.path())).collect()
}

#[test]
fn a_name_that_is_none_is_refused_with_the_way_to_see_all() {
    let temporary = temporary();
    let output = run(temporary.path(), &["crush"]);
    assert!(!output.status.success());
    insta::assert_snapshot!(text(&output), @r#"lab: there is no fault "crush": `./dev chaos --list` shows all"#);
}
