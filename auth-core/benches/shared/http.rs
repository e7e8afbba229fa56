//! The cheapest client there is, so that the server's share of the time is as large as can be.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A connection that is kept alive.
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    pub fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a request and reads the whole answer into `answer`, head and body.
    pub fn send(&mut self, request: &[u8], answer: &mut Vec<u8>) {
        self.0.get_mut().write_all(request).unwrap();
        answer.clear();
        let mut length = 0;
        loop {
            let start = answer.len();
            assert!(self.0.read_until(b'\n', answer).unwrap() > 0, "hung up");
            let line = &answer[start..];
            if line == b"\r\n" {
                break;
            }
            const LENGTH: &[u8] = b"content-length: ";
            if line.len() > LENGTH.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH) {
                length = str::from_utf8(&line[LENGTH.len()..])
                    .unwrap()
                    .trim()
                    .parse()
                    .unwrap();
            }
        }
        let start = answer.len();
        answer.resize(start + length, 0);
        self.0.read_exact(&mut answer[start..]).unwrap();
    }
}

/// A GraphQL request, as bytes for the socket.
pub fn graphql(token: Option<&str>, query: &str) -> Vec<u8> {
    let body = serde_json::json!({ "query": query }).to_string();
    let bearer = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    let length = body.len();
    format!(
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{bearer}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
