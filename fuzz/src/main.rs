//! Sends whatever libFuzzer thinks up through the whole path of a request: HTTP, GraphQL, accounts, SQLite.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use auth_core::config::Config;
use auth_core::{App, http};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

struct Node {
    app: Arc<App>,
    runtime: Runtime,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary directory").keep();
    let mut config = Config::default();
    config.database.url = format!("sqlite:{}", folder.join("auth.db").display());
    config.tokens.key_directory = folder.join("keys");
    config.tokens.generate_first_key = true;
    config.password.scrypt.log_n = 1;
    let app = Arc::new(App::new(&config).expect("a configuration that can be used"));
    runtime.block_on(app.accounts.store.bring_up());
    Node { app, runtime }
});

fuzz_target!(|bytes: &[u8]| {
    NODE.runtime.block_on(answered(bytes));
});

/// Sends the bytes as a client would who then waits for the answer.
async fn answered(bytes: &[u8]) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(http::route(Arc::clone(&NODE.app), request).await)
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let talking = async {
        client.write_all(bytes).await.expect("the pipe has room");
        client.shutdown().await.expect("the pipe can be closed");
        let mut answer = Vec::new();
        client
            .read_to_end(&mut answer)
            .await
            .expect("the pipe can be read");
        answer
    };
    let (_, answer) = tokio::join!(serving, talking);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("\"INTERNAL\""), "{answer}");
}
