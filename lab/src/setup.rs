//! What must be there before the first process starts: keys, addresses, and every configuration as a file.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    keys,
    network::{self, Network},
    process, programs,
    topology::{self, LeftOut, Part, ScryptCost, Settings, Topology, TopologyName},
};

/// What to run, and where.
#[derive(Debug)]
pub struct Setup {
    /// Which stack.
    pub topology: TopologyName,
    /// Where state, logs and configuration go.
    pub directory: PathBuf,
    /// The addresses to run on.
    pub network: Network,
    /// The gateway's profile of TLS; `None` for the default.
    pub tls_profile: Option<String>,
    /// Whether gateways and Prometheus reach the nodes by TLS.
    pub internal_tls: bool,
    /// Settings of the gateway in the place of the lab's own (`nixos-modules/render/haproxy.nix` has them); `None` for none.
    pub gateway: Option<Value>,
    /// The cost of new password hashes; `None` for auth-core's own default.
    pub scrypt: Option<ScryptCost>,
    /// The names of the parts to run; `None` for all.
    pub parts: Option<Vec<String>>,
}

/// A stack of which nothing runs yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Where state, logs and configuration are; absolute.
    pub directory: PathBuf,
    /// The CA certificate that clients must trust.
    pub ca: PathBuf,
    /// The parts, in the order in which they are shown.
    pub parts: Vec<Part>,
    /// The parts that are not run because the machine lacks something of them.
    pub left_out: Vec<LeftOut>,
    /// What holds unless a setting says otherwise.
    pub defaults: Value,
    /// Where the database keeps its data.
    pub scratch: TempDir,
    /// Claimed for as long as the stack is there.
    pub network: Network,
}

impl Setup {
    /// Makes keys, renders every configuration and checks that each address is free.
    ///
    /// # Errors
    /// When a program is missing that the stack cannot do without, an address is taken, or a file can't be written.
    pub(crate) async fn prepare(self) -> Result<Prepared> {
        let directory = std::path::absolute(&self.directory)?;
        make_private(&directory)?;
        let programs = programs::find(&["setpriv", "nix-instantiate"])?;
        let keys = directory.join("keys");
        let ca = certificates(&directory, &self.network.prefix())?;
        let data = directory.join("data");
        fs::create_dir_all(&data)?;
        let scratch = scratch(&data)?;
        let Topology {
            parts,
            left_out,
            defaults,
            ..
        } = topology::render(&Settings {
            topology: self.topology,
            network: self.network.prefix(),
            directory: &directory,
            scratch: scratch.path(),
            programs: &programs,
            zipkin_server: programs::zipkin_server(),
            tls_profile: self.tls_profile.as_deref(),
            internal_tls: self.internal_tls,
            gateway: self.gateway.as_ref(),
            scrypt: self.scrypt,
            parts: self.parts.as_deref(),
        })
        .await?;
        network::ensure_free(
            parts
                .iter()
                .flat_map(|part| part.listens.iter().map(String::as_str)),
        )?;

        if parts.iter().any(|part| part.unprivileged) {
            let copies = [
                ("postgres-password", "password"),
                ("members-password", "members-password"),
            ];
            let mut copied = vec![scratch.path().to_owned()];
            for (key, copy) in copies {
                let copy = scratch.path().join(copy);
                fs::copy(keys.join(key), &copy)?;
                copied.push(copy);
            }
            process::chown_to_unprivileged(&copied)?;
        }
        fs::create_dir_all(directory.join("logs"))?;
        for part in &parts {
            let folder = if part.unprivileged {
                scratch.path().join(&part.name)
            } else {
                directory.join("parts").join(&part.name)
            };
            fs::create_dir_all(&folder)?;
            let mut written = vec![folder.clone()];
            for (name, text) in &part.files {
                let file = folder.join(name);
                fs::create_dir_all(file.parent().unwrap_or(&folder))?;
                fs::write(&file, text)
                    .with_context(|| format!("cannot write {}", file.display()))?;
                written.push(file);
            }
            if part.unprivileged {
                process::chown_to_unprivileged(&written)?;
            }
        }
        Ok(Prepared {
            directory,
            ca,
            parts,
            left_out,
            defaults,
            scratch,
            network: self.network,
        })
    }
}

/// Makes keys where there are none, and certificates anew, for the stack in `directory` whose network begins with `prefix`. Answers
/// the path of the CA's.
///
/// # Errors
/// See [`keys::prepare`].
pub fn certificates(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let addresses = |numbers: &[u8]| -> Vec<String> {
        numbers
            .iter()
            .map(|number| format!("{prefix}.{number}"))
            .collect()
    };
    let nodes = ["auth1", "auth2", "auth3"].map(str::to_owned);
    keys::prepare(
        &directory.join("keys"),
        &addresses(&[1, 2]),
        &[&nodes[..], &addresses(&[11, 12, 13])].concat(),
    )
}

/// Makes the state directory, or takes it from everybody else: keys, passwords' hashes and logs are the user's alone.
///
/// # Errors
/// When it can't be made, or belongs to somebody else.
pub fn make_private(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot make {} private", directory.display()))
}

/// Makes a temporary folder outside the state directory, which an unprivileged user may not be able to reach; and a link to it
/// in `data`, by which the next start finds what a killed lab could not remove.
fn scratch(data: &Path) -> Result<TempDir> {
    let link = data.join("scratch");
    if let Ok(old) = fs::read_link(&link) {
        let _ = fs::remove_dir_all(old);
        fs::remove_file(&link)?;
    }
    let folder = tempfile::Builder::new()
        .prefix("authstack-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    symlink(folder.path(), &link)?;
    Ok(folder)
}
