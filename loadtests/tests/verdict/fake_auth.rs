//! A fake of the authentication service: it keeps accounts in memory, hashes nothing, signs nothing, and can be told
//! to misbehave in one way. It is here to see what `authload` makes of answers that the real service never gives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How the fake misbehaves. Requests count from 1; the first is authload's question whether anybody is there.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// The nth request is answered 200 with a GraphQL error.
    GraphqlError(u64),
    /// The nth request is answered by a gateway's page.
    Unavailable(u64),
    /// Every answer is for somebody else's account.
    OtherAccount,
    /// Any password is right.
    AnyPassword,
    /// The nth request and all later ones are cut off without an answer.
    Dead(u64),
    /// Every answer takes this long.
    Slow(Duration),
    /// Answers take from 1 to 120 ms.
    Uneven,
    /// From the nth request on nothing is answered for this long.
    Stall(u64, Duration),
    /// From the nth request on every log-in is told to wait.
    Limited(u64),
}

/// A running fake; it ends with the test's runtime.
pub struct FakeAuth {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    fault: Fault,
    requests: AtomicU64,
    passwords: Mutex<HashMap<String, String>>,
    peers: Mutex<Vec<SocketAddr>>,
    idempotency_keys: Mutex<Vec<String>>,
    stalled_until: Mutex<Option<Instant>>,
}

impl FakeAuth {
    pub async fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            fault,
            requests: AtomicU64::new(0),
            passwords: Mutex::default(),
            peers: Mutex::default(),
            idempotency_keys: Mutex::default(),
            stalled_until: Mutex::default(),
        });
        tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// The distinct addresses that connections came from.
    pub fn client_addresses(&self) -> Vec<String> {
        let peers = self.state.peers.lock().unwrap();
        let mut addresses: Vec<_> = peers.iter().map(|peer| peer.ip().to_string()).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    pub fn passwords(&self) -> Vec<String> {
        self.state
            .passwords
            .lock()
            .unwrap()
            .values()
            .cloned()
            .collect()
    }

    pub fn idempotency_keys(&self) -> Vec<String> {
        self.state.idempotency_keys.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        state.peers.lock().unwrap().push(peer);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, CutOff> {
    let number = state.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let token =
        header("authorization").and_then(|value| Some(value.strip_prefix("Bearer ")?.to_owned()));
    state
        .idempotency_keys
        .lock()
        .unwrap()
        .extend(header("idempotency-key"));
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();

    let respond = |status: u16, body: String| {
        Ok(Response::builder()
            .status(status)
            .header("x-served-by", "fake1")
            .header("x-trace-id", format!("trace-{number}"))
            .body(Full::from(body))
            .unwrap())
    };
    match state.fault {
        Fault::GraphqlError(nth) if nth == number => {
            return respond(200, error("OVERLOADED").to_string());
        }
        Fault::Unavailable(nth) if nth == number => return respond(503, "<h1>503</h1>".into()),
        Fault::Dead(nth) if number >= nth => return Err(CutOff),
        Fault::Slow(time) => tokio::time::sleep(time).await,
        Fault::Uneven => {
            let ms = 1 + number * number * 7919 % 120;
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        Fault::Stall(nth, time) if number >= nth => {
            let until = *state
                .stalled_until
                .lock()
                .unwrap()
                .get_or_insert_with(|| Instant::now() + time);
            tokio::time::sleep_until(until.into()).await;
        }
        _ => {}
    }
    match path.as_str() {
        "/graphql" => {}
        "/members" if token.is_none() => return respond(401, String::new()),
        "/members" | "/sample" => return respond(200, "{}".into()),
        other => panic!("{other} was asked for"),
    }
    let question: Value = serde_json::from_slice(&body).unwrap();
    if matches!(state.fault, Fault::Limited(nth) if number >= nth)
        && question["operationName"] == "LogIn"
    {
        return respond(429, "slow down".into());
    }
    respond(200, state.outcome(&question, token).to_string())
}

impl State {
    fn outcome(&self, question: &Value, token: Option<String>) -> Value {
        let variable = |name: &str| {
            question["variables"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (email, password) = (variable("email"), variable("password"));
        match question["operationName"].as_str().unwrap() {
            "SignUp" => {
                assert!(password.len() >= 15, "too short a password to be taken");
                let mut passwords = self.passwords.lock().unwrap();
                if passwords.insert(email.clone(), password).is_some() {
                    return error("EMAIL_TAKEN");
                }
                json!({ "data": { "signUp": self.session(&email) } })
            }
            "LogIn" => {
                let right = self.passwords.lock().unwrap().get(&email) == Some(&password);
                if right || self.fault == Fault::AnyPassword {
                    json!({ "data": { "logIn": self.session(&email) } })
                } else {
                    error("INVALID_CREDENTIALS")
                }
            }
            "VerifyToken" => match variable("token").strip_prefix("token-of-") {
                Some(email) => {
                    json!({ "data": { "verifyToken": { "valid": true, "account": self.account(email) } } })
                }
                None => json!({ "data": { "verifyToken": { "valid": false } } }),
            },
            // A token that comes again would be refused; each has a number.
            "Refresh" => {
                let token = variable("token");
                let (number, email) = token.split_once('-').unwrap();
                let mut used = self.passwords.lock().unwrap();
                if used.insert(token.clone(), number.into()).is_some() {
                    return error("UNAUTHENTICATED");
                }
                drop(used);
                json!({ "data": { "refresh": self.session(email) } })
            }
            "Me" => match token
                .as_deref()
                .and_then(|token| token.strip_prefix("token-of-"))
            {
                Some(email) => json!({ "data": { "me": self.account(email) } }),
                None => error("UNAUTHENTICATED"),
            },
            _ => json!({ "data": { "__typename": "Query" } }),
        }
    }

    fn session(&self, email: &str) -> Value {
        let number = self.requests.load(Ordering::SeqCst);
        json!({ "message": "welcome", "accessToken": format!("token-of-{email}"), "expiresIn": 900,
                "refreshToken": format!("{number}-{email}"), "account": self.account(email) })
    }

    fn account(&self, email: &str) -> Value {
        let other = self.fault == Fault::OtherAccount;
        json!({ "id": "1", "email": if other { "other@example.com" } else { email }, "role": "USER" })
    }
}

fn error(code: &str) -> Value {
    json!({ "data": null, "errors": [{ "message": "refused", "extensions": { "code": code } }] })
}

/// Makes hyper drop the connection instead of answering.
#[derive(Debug)]
pub struct CutOff;

impl std::fmt::Display for CutOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut off")
    }
}

impl std::error::Error for CutOff {}
