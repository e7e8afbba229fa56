//! What this machine lets us do, found out by trying.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Set for the process that has a network and mounts of its own.
const INSIDE: &str = "AUTHSTACK_CHAOS_INSIDE";

/// What is there of what faults need; each `Err` says why not.
#[derive(Debug)]
pub struct Machine {
    /// Mounts of our own.
    pub mounts: Result<(), String>,
    /// nftables, in a network of our own.
    pub nft: Result<(), String>,
    /// The queueing discipline netem, in a network of our own.
    pub netem: Result<(), String>,
    /// The library that lies about the time.
    pub faketime: Result<PathBuf, String>,
    /// What Zipkin is run with.
    pub zipkin: Result<(), String>,
    /// Prometheus.
    pub prometheus: Result<(), String>,
    /// What a database of three members is run with.
    pub members: Result<(), String>,
}

/// Goes on in a network and with mounts of its own, so that no rule and no mount ever touches the machine's: when root runs it, this
/// process is replaced by one that has them. Returns where that cannot be, or has been done.
pub fn enter() {
    if std::env::var_os(INSIDE).is_some() || !rustix::process::geteuid().is_root() {
        return;
    }
    // Whether it works is tried first: what `exec` turns this process into could only fail.
    if quiet(
        "unshare",
        &["--net", "--mount", "ip", "link", "set", "lo", "up"],
    )
    .is_err()
    {
        return;
    }
    let Ok(own) = std::env::current_exe() else {
        return;
    };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let _ = Command::new("unshare")
        .args(["--net", "--mount"])
        .arg(own)
        .args(arguments)
        .env(INSIDE, "1")
        .exec();
}

impl Machine {
    /// Looks.
    pub fn look() -> Self {
        let inside = if !rustix::process::geteuid().is_root() {
            Err("needs root, for a network and mounts of its own".to_owned())
        } else if std::env::var_os(INSIDE).is_none() {
            Err("`unshare --net --mount ip link set lo up` fails here: it needs a network and mounts of its own".to_owned())
        } else {
            quiet("ip", &["link", "set", "lo", "up"])
        };
        let in_own =
            |try_it: &dyn Fn() -> Result<(), String>| inside.clone().and_then(|()| try_it());
        Self {
            nft: in_own(&|| {
                quiet(
                    "nft",
                    &["add", "table", "inet", super::inject::network::TABLE],
                )
            }),
            netem: in_own(&|| {
                let netem = ["root", "netem", "delay", "1ms"];
                quiet("tc", &[&["qdisc", "add", "dev", "lo"], &netem[..]].concat())
                    .map_err(|error| format!("{error}; the kernel's module sch_netem is needed"))?;
                quiet("tc", &["qdisc", "del", "dev", "lo", "root"])
            }),
            mounts: inside.clone(),
            faketime: faketime(),
            zipkin: there_is("java").and_then(|()| match crate::programs::zipkin_server() {
                Some(_) => Ok(()),
                None => Err(crate::programs::missing(&["zipkin-server"])),
            }),
            prometheus: there_is("prometheus"),
            members: there_is("patroni").and_then(|()| there_is("etcd")),
        }
    }
}

fn there_is(program: &str) -> Result<(), String> {
    match crate::programs::on_path(program) {
        Some(_) => Ok(()),
        None => Err(crate::programs::missing(&[program])),
    }
}

/// Debian's package `faketime` puts it where no linker looks; so does that of nixpkgs, beside the program.
fn faketime() -> Result<PathBuf, String> {
    const FILE: &str = "faketime/libfaketimeMT.so.1";
    let debian = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let debian = debian.map(|folder| folder.path().join(FILE));
    let beside = crate::programs::on_path("faketime")
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| Some(program.parent()?.parent()?.join("lib/libfaketimeMT.so.1")));
    debian
        .chain(beside)
        .find(|file| file.is_file())
        .ok_or_else(|| crate::programs::missing(&["faketime"]))
}

/// Runs a program for what it does: why it failed, in a line.
///
/// # Errors
/// When it is not there, or fails.
pub fn quiet(program: &str, arguments: &[&str]) -> Result<(), String> {
    said(program, arguments).map(drop)
}

/// Runs a program for what it says.
///
/// # Errors
/// See [`quiet`].
pub fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let Some(path) = crate::programs::on_path(program) else {
        return Err(crate::programs::missing(&[program]));
    };
    let output = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().next().unwrap_or_default().trim();
    Err(format!("`{program} {}` fails: {why}", arguments.join(" ")))
}
