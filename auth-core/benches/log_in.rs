//! How much of the processor a node turns into hashes when there are more log-ins than it can serve: log-ins per second
//! of the whole node, over HTTP and with SQLite, to scrypt alone on as many threads, with the allocator that a program has
//! by itself.

#[path = "shared/figure.rs"]
mod figure;
#[path = "shared/http.rs"]
mod http;
#[path = "shared/node.rs"]
mod node;
#[path = "shared/ratio.rs"]
mod ratio;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Client, graphql};
use node::{EMAIL, Node, PASSWORD};

fn main() {
    let cores = std::thread::available_parallelism().unwrap().get();
    // Enough hashes for each core that the first and the last do not count much.
    let hashes = 8 * cores;
    // However busy the machine is, none of them is to be refused.
    let node = Node::start(&["password.queue_seconds=60"]);
    let log_in = graphql(
        None,
        &format!(
            "mutation {{ logIn(email: \"{EMAIL}\", password: \"{PASSWORD}\") {{ accessToken }} }}"
        ),
    );
    let ours = || {
        side_by_side(3 * cores, hashes, || {
            let mut client = Client::new(&node.address);
            let mut answer = Vec::new();
            let log_in = &log_in;
            move || {
                client.send(log_in, &mut answer);
                assert!(answer.starts_with(b"HTTP/1.1 200 ") && !contains(&answer, "errors"));
            }
        })
    };
    let theirs = || {
        side_by_side(cores, hashes, || {
            || {
                let params = scrypt::Params::new(17, 8, 1).unwrap();
                let mut hash = [0; 32];
                scrypt::scrypt(PASSWORD.as_bytes(), b"sixteen bytes ok", &params, &mut hash)
                    .unwrap();
            }
        })
    };
    let mut criterion = ratio::criterion();
    ratio::compare(&mut criterion, "log_in", Some(1.2), ours, theirs);
    criterion.final_summary();
    node.print_footprint();
}

/// Does `count` pieces of work on some threads, and answers how long it took.
fn side_by_side<W: FnMut()>(
    threads: usize,
    count: usize,
    worker: impl Fn() -> W + Sync,
) -> Duration {
    let started = Instant::now();
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut work = worker();
                while taken.fetch_add(1, Ordering::Relaxed) < count {
                    work();
                }
            });
        }
    });
    started.elapsed()
}

fn contains(answer: &[u8], text: &str) -> bool {
    answer
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
