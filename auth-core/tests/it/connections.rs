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
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        assert!(read.is_ok(), "{what}: {read:?} after {:?}", begin.elapsed());
        let told =
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\nconnection: close\r\n");
        assert!(told || what == "a head", "{what}: {answer}");
    }
}

#[test]
fn who_is_answered_before_the_body_has_come_can_go_on_with_the_connection() {
    let node = Node::start();
    let mut stream = connect(&node);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answered = |sent: &str| {
        stream.write_all(sent.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.extend(byte);
        }
        let head = String::from_utf8(answer).unwrap();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).unwrap();
        head[9..12].to_owned()
    };
    for (head, status) in [
        ("POST /nothing HTTP/1.1", "404"),
        ("POST /healthz HTTP/1.1", "405"),
        ("GET /healthz HTTP/1.1", "200"),
        ("POST /graphql HTTP/1.1\r\ncontent-type: text/plain", "415"),
        ("POST /graphql HTTP/1.1\r\naccept: text/plain", "406"),
        ("GET /graphql?query=%7B__typename%7D HTTP/1.1", "200"),
        (
            "POST /graphql HTTP/1.1\r\ncontent-type: application/json",
            "413",
        ),
    ] {
        let length = 1_000_000;
        let head = format!("{head}\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        assert_eq!(answered(&head), status, "{head}");
        let body = "a".repeat(length);
        let next = answered(&format!("{body}GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(next, "200", "after {head}");
    }
}

/// It need not send the body, so what comes next might be taken for it.
#[test]
fn who_is_refused_while_waiting_to_send_the_body_is_told_that_the_connection_ends() {
    let node = Node::start();
    let mut stream = connect(&node);
    let refused =
        "POST /nothing HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n";
    stream.write_all(refused.as_bytes()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it ends");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}
