//! `lab up` on a machine that lacks a program: what users can do without is left out, and everybody is told.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use insta::{Settings, assert_snapshot};
use lab::{
    TopologyName, programs,
    topology::{self, render},
};
use tempfile::TempDir;

use crate::command::{assert_printed_commands_work, text};

/// This machine, without some of its programs.
struct Machine {
    path: TempDir,
    state: TempDir,
}

impl Machine {
    fn without(missing: &[&str]) -> Self {
        let path = TempDir::with_prefix("authstack-test-").unwrap();
        for (name, file) in programs::find(&[]).unwrap() {
            if !missing.contains(&name.as_str()) && !name.contains('/') {
                symlink(file, path.path().join(name)).unwrap();
            }
        }
        // Every machine has these.
        for name in ["sh", "cat", "grep"] {
            symlink(Path::new("/bin").join(name), path.path().join(name)).unwrap();
        }
        let state = TempDir::with_prefix("authstack-test-").unwrap();
        Self { path, state }
    }

    fn lab(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("--state")
            .arg(self.state.path())
            .args(arguments)
            .env("PATH", self.path.path())
            .env("AUTHSTACK_ZIPKIN_JAR", "/nowhere/zipkin.jar")
            .output()
            .expect("lab runs")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.lab(&["down"]);
    }
}

/// Takes out of snapshots what differs from run to run.
fn settings(state: &Path) -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(state.to_str().unwrap(), "STATE");
    settings.add_filter(r"127\.77\.\d+", "NETWORK");
    settings.add_filter(r"Ready after [\d.]+ s", "Ready after N s");
    settings.add_filter(r"process \d+", "process N");
    // In the order in which they become ready.
    settings.add_filter(r"(?m)^  \S+ +ready after [\d.]+ s\n", "");
    settings
}

#[test]
fn up_leaves_out_what_the_machine_lacks_tells_how_to_get_it_and_serves_users() {
    // Debian has no package of Grafana: it is an extra where there is one.
    let machine = Machine::without(&["prometheus", "grafana"]);
    let up = machine.lab(&["up", "--detach"]);
    let status = machine.lab(&["status"]);
    settings(machine.state.path()).bind(|| {
        assert_snapshot!("up", text(&up));
        assert_snapshot!("status", text(&status));
        assert_snapshot!("kill", text(&machine.lab(&["kill", "zipkin"])));
    });
    assert!(up.status.success() && status.status.success());
    assert_printed_commands_work(&text(&up));
}

#[tokio::test]
async fn what_users_cannot_be_served_without_is_named_and_nothing_starts() {
    let machine = Machine::without(&["nix-instantiate"]);
    let up = machine.lab(&["up"]);
    assert!(!up.status.success());
    assert_snapshot!("without_nix", text(&up));

    // Debian's HAProxy and PostgreSQL are found wherever PATH leads.
    let mut found = programs::find(&[]).unwrap();
    for program in ["haproxy", "postgres", "prometheus"] {
        found.remove(program);
    }
    let folder = Path::new("/nowhere");
    let settings = topology::Settings {
        topology: TopologyName::Cluster,
        network: "127.77.0".into(),
        directory: folder,
        scratch: folder,
        programs: &found,
        zipkin_server: None,
        tls_profile: None,
        internal_tls: false,
        gateway: None,
        scrypt: None,
        parts: None,
    };
    let error = render(&settings).await.expect_err("there is no gateway");
    assert_snapshot!("without_gateway_and_database", error);
}
