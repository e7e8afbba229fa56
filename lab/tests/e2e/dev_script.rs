//! What `./dev` installs and fetches before it builds, on a machine that lacks something.
//!
//! The machine is a PATH of our own: programs that stand in for those of the table `lab/debian-packages`, and a `cargo` that
//! builds nothing. Nothing is installed, as the user is not root there.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
};

use insta::{Settings, assert_snapshot};
use tempfile::TempDir;

use crate::command::text;

/// What `./dev` itself is made of.
const SHELL_TOOLS: &[&str] = &[
    "basename",
    "dirname",
    "grep",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
    "tr",
];

struct Machine(TempDir);

impl Machine {
    /// A machine that has none of the programs of the table in its PATH.
    fn bare() -> Self {
        let machine = Self(TempDir::with_prefix("authstack-test-").unwrap());
        fs::create_dir_all(machine.0.path().join("bin")).unwrap();
        fs::create_dir_all(machine.0.path().join("target/debug")).unwrap();
        for tool in SHELL_TOOLS {
            let file = env::split_paths(&env::var_os("PATH").unwrap())
                .map(|folder| folder.join(tool))
                .find(|file| file.exists())
                .unwrap_or_else(|| panic!("there is no {tool}"));
            symlink(file, machine.0.path().join("bin").join(tool)).unwrap();
        }
        machine.with("bin/id", "echo 1000")
    }

    /// A machine that has all of them.
    fn whole() -> Self {
        let table = include_str!("../../debian-packages");
        let programs = table
            .lines()
            .filter(|line| !line.starts_with(['#', '/']))
            .map(|line| line.split_whitespace().next().unwrap());
        programs
            .fold(Self::bare(), |machine, program| {
                machine.with(&format!("bin/{program}"), "")
            })
            .with(
                "bin/cargo",
                "[ $1 = --version ] && echo cargo 1.999.0 || true",
            )
            .with("target/debug/lab", "echo lab \"$@\"")
    }

    fn with(self, file: &str, script: &str) -> Self {
        let file = self.0.path().join(file);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn without(self, file: &str) -> Self {
        fs::remove_file(self.0.path().join(file)).unwrap();
        self
    }

    fn dev(&self, command: &str, zipkin_jar: Option<&str>) -> Output {
        Command::new("/bin/sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev"))
            .arg(command)
            .env_clear()
            .env("PATH", self.0.path().join("bin"))
            .env("HOME", self.0.path())
            .env("CARGO_TARGET_DIR", self.0.path().join("target"))
            .envs(zipkin_jar.map(|jar| ("AUTHSTACK_ZIPKIN_JAR", jar)))
            .output()
            .expect("./dev runs")
    }

    /// What is said, without what differs from run to run.
    fn settings(&self) -> Settings {
        let mut settings = Settings::clone_current();
        settings.add_filter(self.0.path().to_str().unwrap(), "HOME");
        settings
    }
}

/// The packages that `./dev` asks for.
fn wanted(output: &Output) -> Vec<String> {
    let said = text(output);
    assert!(!output.status.success(), "{said}");
    let (_, packages) = said
        .split_once("apt-get install --no-install-recommends ")
        .unwrap_or_else(|| panic!("no package is asked for: {said}"));
    packages.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn up_asks_for_what_it_cannot_do_without_and_test_for_everything() {
    let machine = Machine::bare();
    let for_up = wanted(&machine.dev("up", None));
    let for_tests = wanted(&machine.dev("test", None));
    for package in ["gcc", "nix-bin", "util-linux", "curl"] {
        assert!(
            for_up.contains(&package.to_owned()),
            "{package}: {for_up:?}"
        );
        assert!(
            for_tests.contains(&package.to_owned()),
            "{package}: {for_tests:?}"
        );
    }
    for package in [
        "prometheus",
        "default-jre-headless",
        "g++",
        "nodejs",
        "npm",
        "python3",
        "python3-pip",
        "rustfmt-web",
        "rust-web-clippy",
        "chromium",
    ] {
        assert!(
            !for_up.contains(&package.to_owned()),
            "{package}: {for_up:?}"
        );
        assert!(
            for_tests.contains(&package.to_owned()),
            "{package}: {for_tests:?}"
        );
    }
}

#[test]
fn up_goes_on_without_a_program_of_the_monitoring_that_it_cannot_install_and_test_does_not() {
    let machine = Machine::whole().without("bin/prometheus");
    let up = machine.dev("up", Some("/dev/null"));
    assert_snapshot!("up_without_prometheus", text(&up));
    assert!(up.status.success());
    assert_eq!(wanted(&machine.dev("test", None)), ["prometheus"]);
}

#[test]
fn zipkin_that_cannot_be_fetched_is_told_with_the_ways_out_and_up_goes_on_without_it() {
    let machine = Machine::whole().with(
        "bin/mvn",
        "i=0
        while [ $((i += 1)) -le 40 ]; do echo \"[ERROR] line $i of Maven's\"; done
        exit 1",
    );
    let up = machine.dev("up", None);
    machine
        .settings()
        .bind(|| assert_snapshot!("up_without_zipkin", text(&up)));
    assert!(up.status.success());
    let log = fs::read_to_string(machine.0.path().join(".cache/authstack/maven.log")).unwrap();
    assert_eq!(log.lines().count(), 40);
    assert!(!machine.dev("install", None).status.success());
}

#[test]
fn a_jar_that_is_named_and_not_there_is_neither_fetched_nor_made_up_for() {
    let machine = Machine::whole();
    let install = machine.dev("install", Some("/nowhere/zipkin.jar"));
    assert_snapshot!("install_with_a_jar_that_is_not_there", text(&install));
    assert!(!install.status.success());
    assert!(
        machine
            .dev("up", Some("/nowhere/zipkin.jar"))
            .status
            .success()
    );
}
