//! Which path leads where.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde_json::json;

use super::answer::{Answer, Failure, JSON, answer};
use super::body::leave_unread;
use super::graphql;
use crate::app::App;
use crate::error_code::ErrorCode;
use crate::tokens::keys::PUBLISHED_MAX_AGE;

/// How long the database may take to answer a readiness check.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What has a path of its own.
#[derive(Clone, Copy)]
enum Resource {
    Graphql,
    Health,
    Readiness,
    Metrics,
    PublicKeys,
    ApiKeys,
}

impl Resource {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/graphql" => Self::Graphql,
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/metrics" => Self::Metrics,
            "/.well-known/jwks.json" => Self::PublicKeys,
            "/api-keys" => Self::ApiKeys,
            _ => return None,
        })
    }

    /// The methods that it has, and how the header `Allow` writes them.
    fn methods(self) -> (&'static [Method], &'static str) {
        match self {
            Self::Graphql => (&[Method::GET, Method::POST], "GET, POST"),
            _ => (&[Method::GET, Method::HEAD], "GET, HEAD"),
        }
    }
}

/// Answers any request. `peer` is who is at the other end of the connection.
pub async fn route(app: Arc<App>, peer: IpAddr, request: Request<Incoming>) -> Answer {
    let (head, mut body) = request.into_parts();
    let mut answer = answered(&app, peer, &head, &mut body).await;
    leave_unread(&head.headers, body, &mut answer);
    answer
}

async fn answered(app: &App, peer: IpAddr, head: &Parts, body: &mut Incoming) -> Answer {
    let Some(resource) = Resource::at(head.uri.path()) else {
        return Failure::new(ErrorCode::NotFound, "There is nothing at this path.").answer(JSON);
    };
    let (methods, allow) = resource.methods();
    if !methods.contains(&head.method) {
        return Failure::method("This path has no such method.", allow).answer(JSON);
    }
    match resource {
        Resource::Graphql => graphql::answer(app, peer, head, body).await,
        Resource::Health => status(StatusCode::OK, "alive"),
        Resource::Readiness => ready(app).await,
        Resource::Metrics => {
            let connections = app.accounts.store.connections();
            answer(StatusCode::OK, PROMETHEUS, app.metrics.text(connections))
        }
        Resource::PublicKeys => public_keys(app),
        Resource::ApiKeys => api_keys(app).await,
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

/// The API keys, for a gateway, which lets nobody else ask.
async fn api_keys(app: &App) -> Answer {
    match app.accounts.store.api_keys().await {
        Ok(keys) => {
            let keys: Vec<_> = keys.into_iter().map(|(key, _)| key).collect();
            answer(StatusCode::OK, JSON, json!({ "keys": keys }).to_string())
        }
        Err(error) => {
            tracing::warn!(?error, "the API keys cannot be told");
            status(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer",
            )
        }
    }
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
