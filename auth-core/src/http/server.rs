//! The accept loop and the way out: draining.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::routes;
use crate::app::App;
use crate::systemd;

/// How long a client may take to send its head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest head of a request, in bytes. A token has 4096 at most, and a query by GET is short.
const MAX_HEAD: usize = 16 * 1024;

/// How long requests that are still running after the drain are waited for.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until `shutdown`, then drains.
///
/// From `shutdown` on `/readyz` says 503. New requests are served for a while (`drain_seconds`), so that whoever watches
/// `/readyz` stops sending before anything is refused. After that running requests end and connections close.
pub async fn run(app: Arc<App>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(app.max_connections));
    let drain = app.drain;
    tokio::select! {
        () = accept(&app, &listener, &places, &connections) => {}
        () = shutdown => {}
    }
    app.draining.store(true, Ordering::Release);
    systemd::stopping();
    tracing::info!(seconds = drain.as_secs(), "draining");
    tokio::select! {
        () = accept(&app, &listener, &places, &connections) => {}
        () = tokio::time::sleep(drain) => {}
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not end in time and are cut off");
    }
}

async fn accept(
    app: &Arc<App>,
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    connections: &GracefulShutdown,
) {
    // Without a place nobody is accepted: they wait in the system's queue. It fails only when closed, which nothing does.
    while let Ok(place) = Arc::clone(places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = serve(Arc::clone(app), stream, peer.ip(), connections.watcher());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Mostly too many open files; some will be closed soon.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(app: Arc<App>, stream: TcpStream, peer: IpAddr, watcher: Watcher) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    match &app.tls {
        None => answer_requests(Arc::clone(&app), stream, peer, watcher).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => answer_requests(Arc::clone(&app), stream, peer, watcher).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        },
    }
}

async fn answer_requests(
    app: Arc<App>,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: IpAddr,
    watcher: Watcher,
) {
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(routes::route(app, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
