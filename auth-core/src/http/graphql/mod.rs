//! GraphQL over HTTP, as its specification has it (graphql.github.io/graphql-over-http).

mod graphiql;
mod media;
mod params;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_graphql::parser::types::OperationType;
use async_graphql::{Pos, Response, ServerError};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tracing::{Instrument, Level, info_span};
use zeroize::Zeroizing;

use self::media::Media;
use self::params::Params;
use super::answer::{Answer, Failure};
use super::body::read_body;
use super::panics::caught;
use crate::app::App;
use crate::caller::{self, Caller, Client};
use crate::error::AuthError;
use crate::error_code::ErrorCode;
use crate::idempotency::IdempotencyKey;
use crate::operation::{Executed, Operation};
use crate::outcome::Outcome;
use crate::store::BRIEF_OUTAGE;
use crate::telemetry::request_trace::RequestTrace;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Between two tries to carry out a request while the database is away for a moment.
const REPEAT_PAUSE: Duration = Duration::from_millis(100);

/// Answers a request to `/graphql`, counts it, logs it and puts it into a span.
pub async fn answer(app: &App, peer: IpAddr, head: &Parts, body: &mut Incoming) -> Answer {
    if app.dev_mode && graphiql::is_wanted(head) {
        return graphiql::page();
    }
    let mut record = Record::begin(app, head);
    let media = Media::accepted(&head.headers);
    let shape = *media.as_ref().unwrap_or(&Media::Json);
    let answered = match media {
        Ok(_) => {
            let Record {
                trace,
                asked_for,
                executed,
                ..
            } = &mut record;
            let work = respond(app, peer, head, body, executed, asked_for);
            let panicked = |fault| Ok(Response::from_errors(vec![failed(fault)]));
            trace.follow(caught(work)).await.unwrap_or_else(panicked)
        }
        Err(failure) => Err(failure),
    };
    let (mut answer, outcome) = match answered {
        Ok(response) => {
            record.log_causes(&response);
            shape.answer(response)
        }
        Err(failure) => (
            failure.answer(shape.content_type()),
            Outcome::Error(failure.code),
        ),
    };
    let headers = answer.headers_mut();
    // Tokens are in these answers (RFC 6749, 5.1).
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The gateway counts by client what requests cost, whatever they came to, and strips this.
    let hashes = record.executed.hashes();
    if hashes > 0 {
        headers.insert("x-auth-hashes", hashes.into());
    }
    record.answered(outcome, answer.status());
    answer
}

/// What metrics, log and span learn of a request, once: when it is answered, or when its client has gone away before
/// that and the request is dropped.
struct Record<'a> {
    app: &'a App,
    trace: RequestTrace,
    /// What the document asks for, as far as it was understood.
    asked_for: Operation,
    executed: Arc<Executed>,
    started: Instant,
    written: bool,
}

impl<'a> Record<'a> {
    fn begin(app: &'a App, head: &Parts) -> Self {
        Self {
            app,
            trace: RequestTrace::begin(&head.method, &head.headers),
            asked_for: Operation::Other,
            executed: Arc::default(),
            started: Instant::now(),
            written: false,
        }
    }

    /// What was executed. A request that was refused before is about what it asks for; one that was answered without
    /// executing anything, because `@skip` says so, is about nothing.
    fn operation(&self, outcome: Outcome) -> Operation {
        let otherwise = if outcome == Outcome::Ok {
            Operation::Other
        } else {
            self.asked_for
        };
        self.executed.operation().unwrap_or(otherwise)
    }

    /// The cause of what went wrong on our side is for the log alone.
    fn log_causes(&self, response: &Response) {
        let trace_id = self.trace.id();
        for error in &response.errors {
            match error.source::<AuthError>() {
                Some(AuthError::Unavailable(cause)) => {
                    tracing::warn!(%trace_id, %cause, "the database does not answer");
                }
                Some(AuthError::Internal(cause)) => {
                    tracing::error!(%trace_id, %cause, "internal error");
                }
                _ => {}
            }
        }
    }

    fn answered(mut self, outcome: Outcome, status: StatusCode) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.app
            .metrics
            .request_seconds
            .with_label_values(&[self.operation(outcome).name()])
            .observe(seconds);
        self.write(outcome, Some(status));
    }

    fn write(&mut self, outcome: Outcome, status: Option<StatusCode>) {
        self.written = true;
        let operation = self.operation(outcome);
        self.app
            .metrics
            .requests_total
            .with_label_values(&[operation.name(), &outcome.name()])
            .inc();
        let log_level = if outcome == Outcome::Ok && !operation.is_mutation() {
            // Nothing happened, and there are so many that the journal's limit would drop others' lines for them.
            Level::DEBUG
        } else {
            Level::INFO
        };
        self.trace.finish(
            log_level,
            &self.app.node,
            operation.name(),
            outcome,
            status,
            self.started.elapsed().as_secs_f64(),
        );
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if !self.written {
            self.write(Outcome::ClientDisconnected, None);
        }
    }
}

async fn respond(
    app: &App,
    peer: IpAddr,
    head: &Parts,
    body: &mut Incoming,
    executed: &Arc<Executed>,
    asked_for: &mut Operation,
) -> Result<Response, Failure> {
    let by_get = head.method == Method::GET;
    let body = if by_get {
        Zeroizing::default()
    } else {
        require_json(&head.headers)?;
        read_body(&head.headers, body).await?
    };
    let started = Instant::now();
    loop {
        let (kind, answered) = execute(app, peer, head, &body, executed, asked_for).await?;
        // A mutation without a key may have been carried out.
        let repeatable = kind == OperationType::Query || head.headers.contains_key(IDEMPOTENCY_KEY);
        if !repeatable
            || !is_unavailable(&answered)
            || started.elapsed() >= BRIEF_OUTAGE
            || !app.accounts.store.is_away_briefly()
        {
            return Ok(answered);
        }
        tokio::time::sleep(REPEAT_PAUSE).await;
    }
}

/// Carries a request out, once.
async fn execute(
    app: &App,
    peer: IpAddr,
    head: &Parts,
    body: &[u8],
    executed: &Arc<Executed>,
    asked_for: &mut Operation,
) -> Result<(OperationType, Response), Failure> {
    let bearer = bearer(&head.headers);
    let by_get = head.method == Method::GET;
    let (params, idempotency_key) = if by_get {
        (
            Params::from_query(head.uri.query().unwrap_or_default())?,
            None,
        )
    } else {
        (
            Params::from_json(body)?,
            idempotency_key(&head.headers, bearer.as_deref(), body)?,
        )
    };
    let address = address(&head.headers, peer);
    let caller = Caller {
        bearer,
        idempotency_key,
        address,
        client: Client::at(address),
        executed: Arc::clone(executed),
    };
    Ok(match params.into_request(&app.documents, app.dev_mode) {
        Ok((kind, operation, request)) => {
            *asked_for = operation;
            if by_get && kind != OperationType::Query {
                return Err(Failure::method(
                    "Only queries can be sent by GET; use POST.",
                    "POST",
                ));
            }
            let span = info_span!("graphql", otel.name = operation.name());
            let executed = app.schema.execute(request.data(caller));
            (kind, executed.instrument(span).await)
        }
        // Nothing is carried out.
        Err(refusal) => (OperationType::Query, Response::from_errors(vec![refusal])),
    })
}

/// Whether the database did not answer.
fn is_unavailable(response: &Response) -> bool {
    let unavailable = |error: &ServerError| {
        matches!(error.source::<AuthError>(), Some(AuthError::Unavailable(_)))
    };
    response.errors.iter().any(unavailable)
}

/// A fault of no field in particular.
fn failed(fault: AuthError) -> ServerError {
    let message = fault.to_string();
    ServerError {
        source: Some(Arc::new(fault)),
        ..ServerError::new(message, None::<Pos>)
    }
}

/// Only `application/json`: a form that another site posts cannot have it (no CSRF without CORS).
fn require_json(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = given
        .split(';')
        .map(|part| part.trim().to_ascii_lowercase());
    let json = parts
        .next()
        .is_some_and(|media| media == "application/json");
    let utf8 = parts
        .filter_map(|part| {
            part.strip_prefix("charset=")
                .map(|charset| charset.trim_matches('"') == "utf-8")
        })
        .all(|utf8| utf8);
    if json && utf8 {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::UnsupportedMediaType,
        "The Content-Type must be application/json, in UTF-8.",
    ))
}

fn idempotency_key(
    headers: &HeaderMap,
    bearer: Option<&str>,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Failure> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    IdempotencyKey::new(key.as_bytes(), bearer, body)
        .map(Some)
        .map_err(|_| {
            Failure::bad_request("The Idempotency-Key must be 8 to 255 visible ASCII characters.")
        })
}

fn address(headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    caller::address(last.and_then(|value| value.to_str().ok()), peer)
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}
