//! A PostgreSQL server of the benchmark's own, on a socket in a folder of its own.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server. It is stopped when dropped.
pub struct Postgres {
    pub url: String,
    server: Child,
    dir: TempDir,
}

impl Postgres {
    /// Starts one that keeps what it commits, as in production.
    ///
    /// # Errors
    /// Why there is none: its programs are not installed, or fail.
    pub fn start() -> Result<Self, String> {
        let dir = TempDir::new().map_err(|error| error.to_string())?;
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let data = dir.path().join("data");
        let made = program("initdb")?
            .args(["-A", "trust", "-U", "auth", "--no-sync", "-D"])
            .arg(&data)
            .output();
        succeeded("initdb", made)?;
        let server = program("postgres")?
            .args(["-c", "listen_addresses=", "-k"])
            .arg(dir.path())
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("postgres: {error}"))?;
        let postgres = Self {
            url: format!(
                "postgres://auth@localhost/postgres?host={}",
                dir.path().display()
            ),
            server,
            dir,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ready = program("pg_isready")?
                .arg("-h")
                .arg(postgres.dir.path())
                .output();
            match succeeded("pg_isready", ready) {
                Ok(()) => return Ok(postgres),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown.
        let id = self.server.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let _ = self.server.wait();
    }
}

fn succeeded(name: &str, ended: io::Result<Output>) -> Result<(), String> {
    let output = ended.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

/// One of PostgreSQL's programs, which Debian keeps out of PATH and which refuse to run as root. It ends with the benchmark.
fn program(name: &str) -> Result<Command, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    let found = found.ok_or_else(|| format!("there is no {name} on this machine"))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.arg(found);
    Ok(command)
}
