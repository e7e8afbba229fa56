//! A full disk: what could not be written was refused, and what was acknowledged, then and later, is there.

use std::process::Command;

use crate::database;
use crate::process::Process;

/// How large the process's files may become: a limit that stands for a disk, and needs no root.
fn limit_files(process: &Process, bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &process.id().to_string()])
        .arg(format!("--fsize={bytes}:unlimited"))
        .status();
    assert!(limited.unwrap().success());
}

#[test]
fn what_is_acknowledged_while_the_disk_is_full_and_later_is_there() {
    database::assert_asked_for("sqlite:");
    let process = Process::start(&[]);
    let url = &process.database;
    let file = url.strip_prefix("sqlite:").expect("SQLite");
    let size = std::fs::metadata(format!("{file}-wal")).unwrap().len();
    limit_files(&process, &(size + 100_000).to_string());
    let sign_ups = |round: u8| -> Vec<bool> {
        let one = |number| {
            let answer = process.sign_up(&format!("user{round}-{number}@example.com"), &[]);
            answer["data"]["signUp"].is_object()
        };
        // At once, on several connections.
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| {
                    scope.spawn(move || (0..12).map(|i| one(thread * 12 + i)).collect::<Vec<_>>())
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        })
    };
    let full = sign_ups(1);
    assert!(full.contains(&false), "it never was full");
    limit_files(&process, "unlimited");
    let later = sign_ups(2);
    assert!(!later.contains(&false), "there is room again");
    let acknowledged = [full, later].concat().into_iter().filter(|ok| *ok).count();
    let there = database::run(url, "SELECT COUNT(*) FROM accounts").unwrap();
    assert_eq!(there, [acknowledged as i64]);
}
