//! What it costs to ask who one is: `me` with a valid token, to a hyper server with the GraphQL library that parses, checks
//! and runs the same query on a constant. And what that costs itself: to a bare hyper server that answers the same bytes.

#[path = "shared/figure.rs"]
mod figure;
#[path = "shared/http.rs"]
mod http;
#[path = "shared/node.rs"]
mod node;
#[path = "shared/postgres.rs"]
mod postgres;
#[path = "shared/ratio.rs"]
mod ratio;

use std::convert::Infallible;
use std::future::ready;
use std::time::{Duration, Instant};

use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema, SimpleObject};
use http::{Client, graphql};
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use node::Node;
use postgres::Postgres;
use serde_json::Value;
use tokio::net::TcpListener;

const CONNECTIONS: usize = 16;
const REQUESTS: usize = 500;

const ME: &str = "{ me { id email role } }";

fn main() {
    let node = Node::start(&["password.scrypt.log_n=4"]);
    let me = graphql(Some(&node.token), ME);
    let mut answer = Vec::new();
    Client::new(&node.address).send(&me, &mut answer);
    let (headers, body) = parts(&answer);
    let bare = serve(headers.clone(), {
        let body = body.clone();
        move |_| ready(body.clone())
    });
    let account = serde_json::from_slice::<Value>(&body).unwrap()["data"]["me"].take();
    let schema = Schema::new(Query(account), EmptyMutation, EmptySubscription);
    let with_graphql = serve(headers, move |request| {
        let schema = schema.clone();
        async move {
            let request: async_graphql::Request = serde_json::from_slice(&request).unwrap();
            serde_json::to_vec(&schema.execute(request).await)
                .unwrap()
                .into()
        }
    });

    let mut criterion = ratio::criterion();
    let mut compare = |name: &str, goal, ours: &str, me: &[u8], theirs: &str| {
        ratio::compare(
            &mut criterion,
            name,
            goal,
            || load(ours, me, answer.len()),
            || load(theirs, me, answer.len()),
        );
    };
    compare("me", Some(0.65), &node.address, &me, &with_graphql);
    match Postgres::start() {
        Ok(postgres) => {
            let database = format!("database.url={}", postgres.url);
            let node = Node::start(&["password.scrypt.log_n=4", &database]);
            let me = graphql(Some(&node.token), ME);
            compare("me_postgres", Some(0.5), &node.address, &me, &with_graphql);
        }
        Err(why) => println!("me_postgres: left out, {why}"),
    }
    compare("graphql_alone", None, &with_graphql, &me, &bare);
    criterion.final_summary();
    node.print_footprint();
}

/// Knows one account and checks nothing.
struct Query(Value);

#[derive(SimpleObject)]
struct Account {
    id: String,
    email: String,
    role: String,
}

#[Object]
impl Query {
    async fn me(&self) -> Option<Account> {
        let text = |key: &str| self.0[key].as_str().map(str::to_owned);
        Some(Account {
            id: text("id")?,
            email: text("email")?,
            role: text("role")?,
        })
    }
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

/// The headers that the server set, and the body.
fn parts(answer: &[u8]) -> (Vec<(String, String)>, Bytes) {
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let headers = head
        .lines()
        .skip(1)
        .map(|line| line.split_once(": ").unwrap())
        .filter(|(name, _)| !matches!(*name, "content-length" | "date"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (headers, Bytes::from(body.to_owned()))
}

/// A hyper server that reads each request and answers with these headers and what `body` makes of the request's.
fn serve<F: Future<Output = Bytes> + Send>(
    headers: Vec<(String, String)>,
    body: impl Fn(Bytes) -> F + Clone + Send + 'static,
) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let serving = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (headers, body) = (headers.clone(), body.clone());
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    let (headers, body) = (headers.clone(), body.clone());
                    async move {
                        let request = request.into_body().collect().await.unwrap();
                        let mut answer = Response::builder();
                        for (name, value) in &headers {
                            answer = answer.header(name, value);
                        }
                        let body = body(request.to_bytes()).await;
                        Ok::<_, Infallible>(answer.body(Full::new(body)).unwrap())
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        };
        tokio::runtime::Runtime::new().unwrap().block_on(serving);
    });
    address
}
