//! A service as users of the gateway have behind it: says what reached it, and misbehaves when it is told to.
//!
//! `sample-service ADDRESS:PORT VERSION` answers any path with a JSON object: its version, who asked by the gateway's headers, and
//! all that came. The query string tells it what else to do:
//!
//! - `wait=MS`: answer so many milliseconds later
//! - `status=CODE`: answer with this status
//! - `bytes=N`: answer with so many bytes instead of the object
//! - `max-age=S`: allow caches to keep the answer (RFC 9111)
//! - `visitor=N`: remember this visitor by a cookie
//! - `events=N&every=MS`: answer with so many server-sent events, one each so many milliseconds
//!
//! A WebSocket (RFC 6455) gets its messages back, each of at most 64 KiB and in one frame.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header::{
        CACHE_CONTROL, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SET_COOKIE, UPGRADE,
    },
    server::conn::http1,
    service::service_fn,
    upgrade::{self, Upgraded},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::sleep,
};

type Body = BoxBody<Bytes, Infallible>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (address, version) = arguments
        .next()
        .zip(arguments.next())
        .context("usage: sample-service ADDRESS:PORT VERSION")?;
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        let version = version.clone();
        let service = service_fn(move |request| {
            let version = version.clone();
            async move { Ok::<_, Infallible>(answer(&version, request).await) }
        });
        tokio::spawn(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(),
        );
    }
}

async fn answer(version: &str, mut request: Request<Incoming>) -> Response<Body> {
    if let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) {
        let accept = websocket_accept(key.as_bytes());
        let upgrade = upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(connection) = upgrade.await {
                let _ = echo(TokioIo::new(connection)).await;
            }
        });
        return Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, accept)
            .body(whole(Bytes::new()))
            .expect("a valid answer");
    }

    let told = Told(request.uri().query().unwrap_or_default().to_owned());
    let mut object = seen(version, &request);
    // All of it, but nothing is kept.
    let mut length = 0;
    let mut body = request.into_body();
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    object["body_bytes"] = length.into();

    sleep(Duration::from_millis(told.number("wait").unwrap_or(0))).await;
    let mut answer = Response::builder();
    if let Some(seconds) = told.number("max-age") {
        answer = answer.header(CACHE_CONTROL, format!("public, max-age={seconds}"));
    }
    if let Some(visitor) = told.number("visitor") {
        answer = answer.header(SET_COOKIE, format!("visitor={visitor}"));
    }
    if let Some(count) = told.number("events") {
        let every = Duration::from_millis(told.number("every").unwrap_or(0));
        let answer = answer
            .header(CONTENT_TYPE, "text/event-stream")
            .header(CACHE_CONTROL, "no-cache");
        return answer.body(events(count, every)).expect("a valid answer");
    }
    let status = told.number("status").map_or(200, |status| status as u16);
    let answer = answer.status(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST));
    match told.number("bytes") {
        Some(bytes) => answer
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(whole(vec![b'x'; bytes as usize].into())),
        None => answer
            .header(CONTENT_TYPE, "application/json")
            .body(whole(object.to_string().into())),
    }
    .expect("a valid answer")
}

/// The query string, as `NAME=NUMBER` joined by `&`.
struct Told(String);

impl Told {
    fn number(&self, name: &str) -> Option<u64> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| *key == name)
            .find_map(|(_, value)| value.parse().ok())
    }
}

/// What reached the service: `headers` has every value of each name.
fn seen(version: &str, request: &Request<Incoming>) -> Value {
    let mut headers = BTreeMap::<&str, Vec<String>>::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(value);
    }
    let of = |name: &str| headers.get(name).map(|values| values.join(", "));
    json!({
        "version": version,
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "subject": of("x-auth-subject"),
        "email": of("x-auth-email"),
        "role": of("x-auth-role"),
        "headers": headers,
    })
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}

fn events(count: u64, every: Duration) -> Body {
    let (send, events) = mpsc::channel(1);
    tokio::spawn(async move {
        for number in 1..=count {
            let event = Bytes::from(format!("data: {number}\n\n"));
            if send.send(event).await.is_err() {
                break;
            }
            sleep(every).await;
        }
    });
    Events(events).boxed()
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

/// `Sec-WebSocket-Accept` (RFC 6455, 4.2.2).
fn websocket_accept(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// Sends each frame back, unmasked as a server must (RFC 6455, 5.1), until the other side closes.
async fn echo(mut connection: TokioIo<Upgraded>) -> io::Result<()> {
    const CLOSE: u8 = 8;
    loop {
        let mut head = [0; 2];
        connection.read_exact(&mut head).await?;
        let length = match head[1] & 0x7f {
            126 => connection.read_u16().await?,
            127 => return Ok(()),
            short => u16::from(short),
        };
        let mut mask = [0; 4];
        connection.read_exact(&mut mask).await?;
        let mut message = vec![0; usize::from(length)];
        connection.read_exact(&mut message).await?;
        for (byte, key) in message.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        let mut frame = vec![head[0]];
        match length {
            short @ 0..126 => frame.push(short as u8),
            _ => {
                frame.push(126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(message);
        connection.write_all(&frame).await?;
        if head[0] & 0x0f == CLOSE {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    #[test]
    fn a_websockets_key_is_accepted_as_the_standard_says() {
        assert_eq!(
            websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
