//! A node takes as many connections as it may have, and survives those who want more.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

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

#[test]
fn who_does_not_end_a_head_or_a_body_is_sent_away() {
    const HEAD: &str = "POST /graphql HTTP/1.1\r\nhost: a\r\n";
    const BODY: &str = "content-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    // With some time for a busy machine.
    let begun = [
        ("a body", format!("{HEAD}{BODY}"), 15),
        ("a head", HEAD.to_owned(), 40),
    ];
    let node = Node::start();
    let begin = Instant::now();
    let waiting = begun.map(|(what, begun, seconds)| {
        let mut stream = connect(&node);
        stream.write_all(begun.as_bytes()).unwrap();
        (what, stream, Duration::from_secs(seconds))
    });
    for (what, mut stream, patience) in waiting {
        let left = patience.saturating_sub(begin.elapsed());
        stream.set_read_timeout(Some(left)).unwrap();
        let read = stream.read(&mut [0]);
        assert!(read.is_ok(), "{what}: no word after {patience:?}");
    }
}
