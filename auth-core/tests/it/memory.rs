//! Memory: no more than the hashes that run need, and back when they have ended.

use std::io::Write;
use std::net::TcpStream;

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
    // The size of block that glibc would keep.
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

#[test]
fn strangers_who_ask_much_and_read_nothing_take_little_memory() {
    const STRANGERS: u64 = 100;
    let process = Process::start(&[]);
    let query = format!("query({}) {{ me {{ id }} }}", "$a:I ".repeat(12_900));
    let body = json!({ "query": query }).to_string();
    let head =
        "POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length:";
    let address = process.url.trim_start_matches("http://");
    let strangers: Vec<_> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = TcpStream::connect(address).unwrap();
            write!(stranger, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
            stranger
        })
        .collect();
    wait_until("all are answered", || {
        let metrics = process.get("/metrics").into_body().read_to_string();
        let refused = r#"auth_requests_total{operation="other",outcome="bad_request"} "#;
        metrics.unwrap().contains(&format!("{refused}{STRANGERS}"))
    });
    let peak = memory(&process, "VmHWM");
    // Their requests, once as they came and once as they are read, and what each connection takes: where all are read at once.
    let most = CONSTANT + STRANGERS * (2 * 64 + 16) * 1024;
    assert!(peak <= most, "{} MiB at the peak", peak / MIB);
    drop(strangers);
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(process: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
