//! What it costs to ask who one is: `me` with a valid token, to a bare hyper server that answers the same bytes.

#[path = "shared/http.rs"]
mod http;
#[path = "shared/node.rs"]
mod node;
#[path = "shared/ratio.rs"]
mod ratio;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{Client, graphql};
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use node::Node;
use tokio::net::TcpListener;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 500;

fn main() {
    let node = Node::start(&["password.scrypt.log_n=4"]);
    let me = graphql(Some(&node.token), "{ me { id email role } }");
    let mut answer = Vec::new();
    Client::new(&node.address).send(&me, &mut answer);
    let bare = bare_hyper(&answer);

    let mut criterion = ratio::criterion();
    ratio::compare(
        &mut criterion,
        "me",
        0.8,
        || load(&node.address, &me, answer.len()),
        || load(&bare, &me, answer.len()),
    );
    criterion.final_summary();
    println!("{}", node.footprint());
}

/// Sends all requests over kept connections, and answers how long it took.
fn load(address: &str, request: &[u8], length: usize) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::new(address);
                let mut answer = Vec::new();
                for _ in 0..REQUESTS {
                    client.send(request, &mut answer);
                    assert_eq!(answer.len(), length);
                }
            });
        }
    });
    started.elapsed()
}

/// A server that reads each request and answers what it was told to.
fn bare_hyper(answer: &[u8]) -> String {
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let headers: Vec<_> = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .filter(|(name, _)| !matches!(*name, "content-length" | "date"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let body = Bytes::from(body.to_owned());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let (headers, body) = (headers.clone(), body.clone());
                    let service =
                        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                            let (headers, body) = (headers.clone(), body.clone());
                            async move {
                                request.into_body().collect().await.unwrap();
                                let mut answer = Response::builder();
                                for (name, value) in &headers {
                                    answer = answer.header(name, value);
                                }
                                Ok::<_, Infallible>(answer.body(Full::new(body)).unwrap())
                            }
                        });
                    tokio::spawn(
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                    );
                }
            });
    });
    address
}
