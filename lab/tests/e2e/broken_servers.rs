//! Servers of a route that take each request and break off without an answer, as one does that crashes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use lab::network::Network;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
};

use crate::support::{CHEAP, TestStack, start_changed};

/// One in a network of the lab. Answers where it is, and how many requests it has taken.
fn break_off(network: &Network) -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind(format!("{}.99:0", network.prefix()));
    let listener = listener.expect("a free port");
    listener.set_nonblocking(true).expect("it can wait");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                // A health check connects, and says nothing.
                let mut line = String::new();
                if matches!(BufReader::new(stream).read_line(&mut line).await, Ok(1..)) {
                    counter.fetch_add(1, Relaxed);
                }
            });
        }
    });
    (address, taken)
}

/// The gateway's settings with the route /shop, of whose two servers one breaks off; and how many requests that one has taken.
pub fn one_of_two_breaks_off(network: &Network) -> (Value, Arc<AtomicUsize>) {
    let (breaks_off, taken) = break_off(network);
    let servers = json!({ "sample1:8080": {}, &breaks_off: {} });
    (
        json!({ "routes": { "/shop": { "servers": servers } } }),
        taken,
    )
}

/// Starts a stack with the route /shop, both servers of which break off; and what tells how many requests they have taken.
pub async fn start_with_a_shop_that_breaks_off() -> (TestStack, impl Fn() -> usize) {
    let mut taken = Vec::new();
    let parts = ["auth1", "gateway"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let servers = [(); 2].map(|()| {
            let (address, counter) = break_off(&setup.network);
            taken.push(counter);
            address
        });
        setup.gateway = Some(json!({ "routes": { "/shop": { "servers": {
            &servers[0]: {}, &servers[1]: {},
        }}}}));
    })
    .await;
    (stack, move || {
        taken.iter().map(|taken| taken.load(Relaxed)).sum()
    })
}
