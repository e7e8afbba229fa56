//! Asks Nix which parts the stack has: `lab/topology.nix` in, a list of [`Part`]s out.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::Command;

use crate::programs;

/// Which stack is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TopologyName {
    /// Two nodes on one SQLite file.
    #[default]
    Single,
    /// Two gateways, three nodes on PostgreSQL.
    Cluster,
    /// The same, on a PostgreSQL that survives its machine.
    Ha,
}

impl TopologyName {
    /// What it is, in a line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Single => "two nodes on one SQLite file",
            Self::Cluster => "three nodes on PostgreSQL",
            Self::Ha => "three nodes on a PostgreSQL of three members",
        }
    }
}

/// scrypt's cost: N = 2^`log_n`, block size `r`, parallelism `p` (RFC 7914).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ScryptCost {
    /// The logarithm of N to base 2.
    pub log_n: u8,
    /// The block size.
    pub r: u32,
    /// The parallelism.
    pub p: u32,
}

impl ScryptCost {
    /// For a load that is about anything but hashing: a stack under it would spend its time on nothing else.
    pub const CHEAP: Self = Self {
        log_n: 10,
        r: 8,
        p: 1,
    };
}

/// What `lab/topology.nix` is told; described there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings<'a> {
    /// Which stack.
    pub topology: TopologyName,
    /// The loopback network's first three bytes.
    pub network: String,
    /// Where state and configuration live.
    pub directory: &'a Path,
    /// Where the database keeps its data.
    pub scratch: &'a Path,
    /// The programs that were found.
    pub programs: &'a BTreeMap<String, PathBuf>,
    /// Zipkin's server; `None` where there is none.
    pub zipkin_server: Option<PathBuf>,
    /// The gateway's profile of TLS; `None` for the default.
    pub tls_profile: Option<&'a str>,
    /// Whether gateways and Prometheus reach the nodes by TLS.
    pub internal_tls: bool,
    /// Settings of the gateway in the place of the lab's own; `None` for none.
    pub gateway: Option<&'a Value>,
    /// The cost of new password hashes.
    pub scrypt: Option<ScryptCost>,
    /// The names of the parts to run; `None` for all.
    pub parts: Option<&'a [String]>,
}

/// One process of the stack.
#[derive(Clone, Debug, Deserialize)]
pub struct Part {
    /// The name by which the user knows it, such as `auth1`.
    pub name: String,
    /// What it is, such as `auth-core`.
    pub kind: String,
    /// Where it is reached.
    pub url: String,
    /// Further pages worth a look, by their titles.
    #[serde(default)]
    pub pages: BTreeMap<String, String>,
    /// Every address it will listen on.
    pub listens: Vec<String>,
    /// Its files, by their path in its own folder, with their text. One that does not run as root has it in the scratch folder.
    pub files: BTreeMap<String, String>,
    /// It refuses to run as root.
    #[serde(default)]
    pub unprivileged: bool,
    /// It is run as a [`host`](crate::host) of its own, its processes in this group.
    pub host: Option<u32>,
    /// What must be run once before it.
    pub prepare: Option<Prepare>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The parts that must be ready before it is started.
    #[serde(default)]
    pub after: Vec<String>,
    /// Whether it can be used.
    pub ready: ReadinessProbe,
    /// How it is asked to end.
    #[serde(default)]
    pub stop_signal: StopSignal,
}

/// A command that is run unless what it creates is there already.
#[derive(Clone, Debug, Deserialize)]
pub struct Prepare {
    /// The file that it creates.
    pub creates: PathBuf,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// A readiness probe: it succeeds when a part can be used.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ReadinessProbe {
    /// A GET that is answered with a success.
    Http {
        /// Its URL.
        url: String,
    },
    /// A command that exits with 0.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
    },
}

/// The signal for a graceful shutdown.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT: with PostgreSQL, clients are disconnected rather than waited for.
    Int,
}

/// A part that is not run because the machine lacks something of it; the others can do without it.
#[derive(Clone, Debug, Deserialize)]
pub struct LeftOut {
    /// Its name, such as `zipkin`.
    pub name: String,
    /// The programs that are missing.
    pub missing: Vec<String>,
}

impl LeftOut {
    /// What is missing, and how to get it.
    pub fn reason(&self) -> String {
        programs::missing(&self.missing)
    }
}

/// What `lab/topology.nix` answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// The parts of the stack, in the order in which they are shown.
    pub parts: Vec<Part>,
    /// The parts that are left out.
    pub left_out: Vec<LeftOut>,
    /// The programs that parts cannot be started without, and that are missing.
    missing: Vec<String>,
    /// What holds unless a setting says otherwise: `nixos-modules/render/defaults.nix`.
    pub defaults: Value,
}

/// Asks for the parts of the stack.
///
/// # Errors
/// When Nix refuses the topology (the message is Nix's own) or answers something else than parts, and when the machine lacks a
/// program that the stack cannot do without: the message says how to get it.
pub async fn render(settings: &Settings<'_>) -> Result<Topology> {
    let file = env::var_os("AUTHSTACK_TOPOLOGY").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("topology.nix"),
        PathBuf::from,
    );
    let program = settings
        .programs
        .get("nix-instantiate")
        .context("nix-instantiate is not among the programs")?;
    // The dummy store: a plain evaluation needs no /nix, and no right to write to it.
    let output = Command::new(program)
        .args(["--eval", "--strict", "--json", "--store", "dummy://"])
        .arg(&file)
        .args(["--argstr", "settings", &serde_json::to_string(settings)?])
        .output()
        .await
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "Nix cannot evaluate {}:\n{}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    let answer: Topology = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} answers no parts", file.display()))?;
    if !answer.missing.is_empty() {
        bail!(programs::missing(&answer.missing));
    }
    if let Some(unknown) = settings.parts.iter().copied().flatten().find(|name| {
        answer.parts.iter().all(|part| part.name != **name)
            && answer.left_out.iter().all(|part| part.name != **name)
    }) {
        bail!("the topology has no part named {unknown}");
    }
    Ok(answer)
}
