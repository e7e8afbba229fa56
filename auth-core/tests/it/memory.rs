//! Memory: no more than the hashes that run need, and back when they have ended.

use serde_json::json;

use crate::process::{Process, wait_until};

const MIB: u64 = 1 << 20;

/// What a node needs besides its hashes, at most. `docs/explanation/performance.md` promises it.
const CONSTANT: u64 = 32 * MIB;

/// Hashes that run at once, and what each fills: 128 · N · r bytes.
const HASHES: u64 = 2;
const EACH: u64 = 128 * (1 << 14) * 8;

#[test]
fn a_wave_of_hashes_takes_no_more_memory_than_promised_and_gives_it_back() {
    // The size of block that glibc likes to keep.
    let process = Process::start(&[
        "password.scrypt.log_n=14",
        "password.scrypt.r=8",
        &format!("password.concurrent_hashes={HASHES}"),
        "password.queue_seconds=60",
    ]);
    // Documents that a node remembers, the largest there can be.
    for i in 0..1000 {
        let head = format!("query q{i} {{ ");
        let fields = "a ".repeat((510 - head.len()) / 2);
        process.graphql(&[], &format!("{head}{fields}}}"), json!({}));
    }
    std::thread::scope(|scope| {
        for i in 0..40 {
            let process = &process;
            scope.spawn(move || {
                let answer = process.sign_up(&format!("ann{i}@example.com"), &[]);
                assert!(answer["data"]["signUp"].is_object(), "{answer}");
            });
        }
    });
    let peak = memory(&process, "VmHWM");
    assert!(
        peak <= HASHES * EACH + CONSTANT,
        "{} MiB at the peak",
        peak / MIB
    );
    assert!(
        peak >= HASHES * EACH,
        "{} MiB: were there any hashes?",
        peak / MIB
    );
    wait_until("the memory is given back", || {
        memory(&process, "VmRSS") <= CONSTANT
    });
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(process: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
