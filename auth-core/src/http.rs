//! HTTP: which path leads where, and the limits that hold for all.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

use crate::error_code::ErrorCode;
use crate::keys::PUBLISHED_MAX_AGE;
use crate::{App, graphql_http};

/// A whole answer.
pub type Answer = hyper::Response<Full<Bytes>>;

/// Longest request body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Most that is read of a body that is refused, in bytes.
const MAX_DISCARD: usize = 16 << 20;

/// How long a request body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the database may take to answer a readiness check.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

const JSON: &str = "application/json; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const READ: &[Method] = &[Method::GET, Method::HEAD];

/// Answers any request. `peer` is who is at the other end of the connection.
pub async fn route(app: Arc<App>, peer: IpAddr, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let (allowed, allow): (&[Method], _) = match head.uri.path() {
        "/graphql" => (&[Method::GET, Method::POST], "GET, POST"),
        "/healthz" | "/readyz" | "/metrics" | "/.well-known/jwks.json" => (READ, "GET, HEAD"),
        _ => {
            let failure = Failure::new(ErrorCode::NotFound, "There is nothing at this path.");
            return failure.answer(JSON);
        }
    };
    if !allowed.contains(&head.method) {
        return Failure::method("This path has no such method.", allow).answer(JSON);
    }
    match head.uri.path() {
        "/graphql" => graphql_http::answer(&app, peer, &head, body).await,
        "/healthz" => status(StatusCode::OK, "alive"),
        "/readyz" => ready(&app).await,
        "/metrics" => {
            let connections = app.accounts.store.connections();
            answer(StatusCode::OK, PROMETHEUS, app.metrics.text(connections))
        }
        _ => public_keys(&app),
    }
}

/// The keys that verify tokens, which others may keep for a while (RFC 7517).
fn public_keys(app: &App) -> Answer {
    let mut answer = answer(
        StatusCode::OK,
        JSON,
        app.accounts.keys.current().jwks().to_owned(),
    );
    let cached = HeaderValue::try_from(format!("public, max-age={PUBLISHED_MAX_AGE}"));
    answer
        .headers_mut()
        .extend(cached.map(|value| (CACHE_CONTROL, value)));
    answer
}

/// Able to serve: the database answers and nobody asked us to stop.
async fn ready(app: &App) -> Answer {
    if app.draining.load(Ordering::Acquire) {
        return status(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    match tokio::time::timeout(READY_TIMEOUT, app.accounts.store.ping()).await {
        Ok(Ok(())) => status(StatusCode::OK, "ready"),
        _ => status(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer",
        ),
    }
}

fn status(code: StatusCode, text: &str) -> Answer {
    answer(code, JSON, json!({ "status": text }).to_string())
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Reads a body, if it is short enough and comes soon enough.
///
/// # Errors
/// 413, without reading when `Content-Length` tells already, 408, or 400 if it breaks off.
pub async fn read_body(
    headers: &HeaderMap,
    mut body: Incoming,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let too_large = |body| {
        tokio::spawn(discard(body));
        let text = format!("The body is longer than {MAX_BODY} bytes.");
        Failure::new(ErrorCode::PayloadTooLarge, text)
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large(body));
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(&mut body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(Zeroizing::new(collected.to_bytes().into())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(body)),
        Ok(Err(_)) => Err(Failure::bad_request("The body broke off.")),
        Err(_) => Err(Failure::new(
            ErrorCode::RequestTimeout,
            "The body did not arrive in time.",
        )),
    }
}

/// Reads on for a while after a refusal, which is sent meanwhile. A client that writes all before it reads would
/// otherwise see a broken connection and not the reason.
async fn discard(mut body: Incoming) {
    let reading = async {
        let mut left = MAX_DISCARD;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_TIMEOUT, reading).await;
}

/// A request that is refused before GraphQL has a say.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The stable machine-readable code, which decides the status.
    pub code: ErrorCode,
    message: String,
    allow: Option<&'static str>,
}

impl Failure {
    /// Any failure.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            allow: None,
        }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// 405: the path has other methods.
    pub fn method(message: &str, allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(ErrorCode::MethodNotAllowed, message)
        }
    }

    /// The answer, in the shape of GraphQL errors, so that clients need to know only one.
    pub fn answer(&self, content_type: &'static str) -> Answer {
        let body = json!({ "errors": [{ "message": self.message, "extensions": { "code": self.code.name() } }] });
        let mut answer = answer(self.code.status(), content_type, body.to_string());
        if let Some(allow) = self.allow {
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
        }
        answer
    }
}
