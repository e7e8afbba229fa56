//! Serves the page: the document, its events, and what its buttons ask for.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
    time::interval,
};

use super::{
    guard,
    load::Wanted,
    observer::{FRESH, Observer},
};
use crate::{
    answer::answer,
    control::{self, Answer},
    network,
    stack::Stack,
};

const DOCUMENT: &str = include_str!("page.html");
/// How many pages can be open at a time, and how many connections all of them have.
const PAGES: usize = 8;
const CONNECTIONS: usize = 64;
/// No button asks for more.
const LARGEST_BODY: usize = 1024;
/// A client that is silent for longer loses its connection.
const SILENCE: Duration = Duration::from_secs(30);

type Body = BoxBody<Bytes, Infallible>;

/// A page that is served. Dropping it ends that.
#[derive(Debug)]
pub struct Page(AbortHandle);

impl Drop for Page {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves the page of `stack`, at [`Stack::page_address`].
///
/// # Errors
/// When the address is taken.
pub async fn open(stack: Arc<Stack>) -> Result<Page> {
    let address = stack.page_address();
    network::ensure_free([address.to_string().as_str()].into_iter())?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let server = Arc::new(Server {
        host: address.to_string(),
        policy: policy(),
        observer: Observer::new(stack)?,
        pages: Arc::new(Semaphore::new(PAGES)),
    });
    Ok(Page(tokio::spawn(serve(listener, server)).abort_handle()))
}

async fn serve(listener: TcpListener, server: Arc<Server>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(permit) = free.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(FRESH).await;
            continue;
        };
        let server = server.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let server = server.clone();
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(SILENCE)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
}

#[derive(Debug)]
struct Server {
    /// The only name by which the page is served.
    host: String,
    policy: HeaderValue,
    observer: Observer,
    pages: Arc<Semaphore>,
}

impl Server {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if let Some((status, reason)) = guard::refusal(&request, &self.host) {
            return text(status, reason);
        }
        let mut response = match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => Response::builder()
                .header(CONTENT_TYPE, "text/html; charset=utf-8")
                .body(whole(DOCUMENT))
                .expect("a valid answer"),
            (&Method::GET, "/events") => self.clone().events(),
            (&Method::POST, "/part") => self.part(request).await,
            (&Method::POST, "/load") => self.load(request).await,
            _ => text(StatusCode::NOT_FOUND, "there is nothing here"),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn events(self: Arc<Self>) -> Response<Body> {
        let Ok(permit) = self.pages.clone().try_acquire_owned() else {
            let reason = "this page is open too often: close it elsewhere";
            return text(StatusCode::SERVICE_UNAVAILABLE, reason);
        };
        let (send, events) = mpsc::channel(1);
        tokio::spawn(self.tell(send, permit));
        Response::builder()
            .header(CONTENT_TYPE, "text/event-stream")
            .body(Events(events).boxed())
            .expect("a valid answer")
    }

    /// Sends the state again and again, no faster than it is taken, until the page is closed.
    async fn tell(self: Arc<Self>, page: mpsc::Sender<Bytes>, _permit: OwnedSemaphorePermit) {
        let mut ticks = interval(FRESH);
        loop {
            let state = tokio::select! {
                state = async { ticks.tick().await; self.observer.look().await } => state,
                () = page.closed() => return,
            };
            if page
                .send(format!("data: {state}\n\n").into())
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Does to a part what other terminals can ask for, too.
    async fn part(&self, request: Request<Incoming>) -> Response<Body> {
        use control::Request::{Kill, Pause, Start, Stop, Weight};
        let Some(asked) = read::<control::Request>(request).await else {
            return text(StatusCode::BAD_REQUEST, "this is no request");
        };
        if !matches!(asked, Start(_) | Stop(_) | Kill(_) | Pause(_) | Weight(..)) {
            return text(StatusCode::FORBIDDEN, "not from this page");
        }
        match answer(&self.observer.stack, asked).await {
            Answer::Done(message) => text(StatusCode::OK, &message),
            Answer::Refused(reason) => text(StatusCode::CONFLICT, &reason),
            Answer::Status(_) => text(StatusCode::FORBIDDEN, "not from this page"),
        }
    }

    async fn load(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(wanted) = read::<Wanted>(request).await else {
            return text(StatusCode::BAD_REQUEST, "this is no request");
        };
        match self.observer.load.start(&self.observer.stack, &wanted) {
            Ok(message) => text(StatusCode::OK, &message),
            Err(reason) => text(StatusCode::CONFLICT, &format!("{reason:#}")),
        }
    }
}

async fn read<T: for<'a> serde::Deserialize<'a>>(request: Request<Incoming>) -> Option<T> {
    let body = Limited::new(request.into_body(), LARGEST_BODY);
    let body = tokio::time::timeout(SILENCE, body.collect())
        .await
        .ok()?
        .ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

/// The document runs its own script and nothing else, asks nobody but this server, and takes no text for HTML.
fn policy() -> HeaderValue {
    let hash = |tag: &str| {
        let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
        let (_, rest) = DOCUMENT.split_once(&begin).expect("the page has one");
        let (text, _) = rest.split_once(&end).expect("the page has its end");
        format!(
            "'sha256-{}'",
            STANDARD.encode(digest(&SHA256, text.as_bytes()))
        )
    };
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash("script"),
        hash("style")
    );
    HeaderValue::from_str(&policy).expect("plain text")
}

fn whole(text: &str) -> Body {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).boxed()
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(whole(message))
        .expect("a valid answer")
}

/// A body whose parts are sent as they come.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.0.poll_recv(context);
        event.map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
