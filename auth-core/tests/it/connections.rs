//! A node takes as many connections as it may have, and survives those who want more.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::node::Node;

const MOST: usize = 8;

fn connect(node: &Node) -> TcpStream {
    TcpStream::connect(node.url.trim_start_matches("http://")).unwrap()
}

#[test]
fn who_comes_when_all_connections_are_taken_is_served_when_one_ends() {
    let node = Node::start_with(|config| config.max_connections = MOST);
    let mut idle: Vec<_> = (0..MOST + 20).map(|_| connect(&node)).collect();
    let mut last = connect(&node);
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    last.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut status = [0; 12];
    let early = last.read_exact(&mut status).unwrap_err();
    assert!(matches!(
        early.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));

    idle.clear();
    last.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    last.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(node.get("/readyz").status, 200);
}
