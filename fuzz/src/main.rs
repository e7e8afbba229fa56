//! Sends whatever libFuzzer thinks up through the whole path of a request: HTTP, GraphQL, accounts, SQLite.
//!
//! What begins with a capital letter is sent as it is, as HTTP. What begins with `{"` is the JSON body of a POST, and
//! anything else the GraphQL document in one, up to the end of its first line: what follows is the value of `$value`. Both
//! are sent twice, without a token and with a good one.
//!
//! Every answer must be whole, JSON where it says so, not much larger than its request, and never `INTERNAL`. A panic in
//! any thread ends the process.

#![no_main]

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use auth_core::accounts::Session;
use auth_core::caller::{Caller, Client};
use auth_core::config::Config;
use auth_core::passwords::Password;
use auth_core::{App, http};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

/// The account that is there from the beginning; the seeds know it.
const EMAIL: &str = "ann@example.com";
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "seven quiet otters paint";

/// By how much an answer may be larger than its request, in bytes.
const ROOM: usize = 64 * 1024;

struct Node {
    app: Arc<App>,
    token: String,
    runtime: Runtime,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // Whoever starts this names the place in TMPDIR and clears it away: a fuzzer ends without a chance to.
    let folder = tempfile::tempdir().expect("a temporary directory").keep();
    let mut config = Config::default();
    config.database.url = format!("sqlite:{}", folder.join("auth.db").display());
    config.tokens.key_directory = folder.join("keys");
    config.tokens.generate_first_key = true;
    config.tokens.access_token_seconds = 24 * 60 * 60;
    config.password.scrypt.log_n = 1;
    let (app, token) = runtime.block_on(async {
        let app = App::new(&config).expect("a configuration that can be used");
        app.accounts.store.bring_up().await;
        let password = Password::new(PASSWORD.to_owned());
        let first = Caller {
            bearer: None,
            idempotency_key: None,
            address: LOCALHOST,
            client: Client::at(LOCALHOST),
            executed: Arc::default(),
        };
        match app.accounts.sign_up(&first, EMAIL, password).await {
            Ok(Session::New { access_token, .. }) => (Arc::new(app), access_token),
            _ => panic!("the first account cannot be made"),
        }
    });
    Node {
        app,
        token,
        runtime,
    }
});

fuzz_target!(|bytes: &[u8]| {
    let requests = match bytes {
        [b'A'..=b'Z', ..] => vec![bytes.to_vec()],
        [b'{', b'"', ..] => posts(bytes),
        document => {
            let text = String::from_utf8_lossy(document);
            let (query, value) = text.split_once('\n').unwrap_or((&text, &NODE.token));
            let [query, value] = [query, value].map(quoted);
            let variables =
                format!(r#"{{"email":"{EMAIL}","password":"{PASSWORD}","value":{value}}}"#);
            posts(format!(r#"{{"query":{query},"variables":{variables}}}"#).as_bytes())
        }
    };
    for request in requests {
        let answers = NODE.runtime.block_on(answered(&request));
        check(&answers, &request);
    }
});

/// A JSON string (RFC 8259, 7).
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c < ' ' => format!("\\u{:04x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// The body in a request that reaches GraphQL, without and with a token.
fn posts(body: &[u8]) -> Vec<Vec<u8>> {
    let bearer = format!("Authorization: Bearer {}\r\n", NODE.token);
    ["", &bearer]
        .map(|token| {
            let head = format!(
                "POST /graphql HTTP/1.1\r\nHost: fuzz\r\nContent-Type: application/json\r\n{token}Content-Length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        })
        .to_vec()
}

/// Sends a request as a client would who has no more to say, and then waits until the connection is closed.
async fn answered(request: &[u8]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(http::route(Arc::clone(&NODE.app), LOCALHOST, request).await)
    });
    let serving = http1::Builder::new()
        .half_close(true)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(server), service);
    let talking = async {
        client.write_all(request).await.expect("the pipe has room");
        client.shutdown().await.expect("the pipe can be closed");
        let mut answers = Vec::new();
        client
            .read_to_end(&mut answers)
            .await
            .expect("the pipe can be read");
        answers
    };
    tokio::join!(serving, talking).1
}

fn check(mut answers: &[u8], request: &[u8]) {
    let text = String::from_utf8_lossy(answers);
    assert!(!text.contains("\"INTERNAL\""), "{text}");
    // The answer to HEAD announces a body that does not come.
    if request.windows(4).any(|word| word == b"HEAD") {
        return;
    }
    while !answers.is_empty() {
        let end = answers.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, rest) = answers.split_at(end.expect("an answer has a whole head") + 4);
        let head = String::from_utf8_lossy(head).to_lowercase();
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let length = header("content-length").map_or(0, |length| length.parse().expect("a length"));
        assert!(rest.len() >= length, "the body breaks off: {text}");
        let (body, next) = rest.split_at(length);
        assert!(length <= request.len() + ROOM, "{length} bytes: {text}");
        if header("content-type").is_some_and(|media| media.contains("json")) {
            let whole = body.starts_with(b"{") && body.ends_with(b"}");
            assert!(whole, "not JSON: {text}");
        }
        answers = next;
    }
}
