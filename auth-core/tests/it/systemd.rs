//! What a `Type=notify` unit of systemd is told.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Process;

/// Stands in for systemd: the socket that it would listen on.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn listen(dir: &Path) -> Self {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let path = path.display().to_string();
        Self { socket, path }
    }

    /// The next thing that it is told.
    #[track_caller]
    fn told(&self) -> String {
        let mut buffer = [0; 1024];
        loop {
            match self.socket.recv(&mut buffer) {
                // The end of another test's process.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                told => {
                    let length = told.expect("nothing was told");
                    return String::from_utf8(buffer[..length].to_vec()).unwrap();
                }
            }
        }
    }

    fn watch(&self, dir: TempDir, settings: &[&str]) -> Process {
        Process::spawn(dir, settings, &[("NOTIFY_SOCKET", &self.path)])
    }
}

#[test]
fn systemd_is_told_when_the_database_can_be_used_and_when_the_drain_begins() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::listen(dir.path());
    let process = manager.watch(dir, &[]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=serving\n");
    assert_eq!(process.get("/readyz").status(), 200);
    process.signal("-TERM");
    assert_eq!(manager.told(), "STOPPING=1\nSTATUS=draining\n");
    assert_eq!(process.end(), 0);
}

#[test]
fn a_database_that_stays_away_does_not_keep_the_unit_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let manager = Manager::listen(dir.path());
    // A directory where the file should be: it cannot be opened.
    let database = dir.path().join("later.db");
    std::fs::create_dir(&database).unwrap();
    let process = manager.watch(dir, &["database.url=sqlite:later.db"]);
    assert_eq!(manager.told(), "READY=1\nSTATUS=waiting for the database\n");
    assert_eq!(process.get("/readyz").status(), 503);
    std::fs::remove_dir(&database).unwrap();
    assert_eq!(manager.told(), "READY=1\nSTATUS=serving\n");
    assert_eq!(process.get("/readyz").status(), 200);
}
