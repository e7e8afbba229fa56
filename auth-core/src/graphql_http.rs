//! GraphQL over HTTP, as its specification has it (graphql.github.io/graphql-over-http).

use std::time::Instant;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::OperationType;
use async_graphql::{PathSegment, Pos, Request, Response, ServerError, Value, Variables};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::App;
use crate::graphql::{Caller, Operation, check_brackets, select};
use crate::http::{Answer, Failure, read_body};
use crate::idempotency::IdempotencyKey;
use crate::telemetry;

/// Answers a request to `/graphql`, counts it, logs it and puts it into a span.
pub async fn answer(app: &App, head: &Parts, body: Incoming) -> Answer {
    let started = Instant::now();
    let span = telemetry::request_span(&head.headers);
    let media = Media::accepted(&head.headers);
    let mut operation = Operation::Other;
    let shape = *media.as_ref().unwrap_or(&Media::Json);
    let answered = match media {
        Ok(_) => {
            respond(app, head, body, &mut operation)
                .instrument(span.clone())
                .await
        }
        Err(failure) => Err(failure),
    };
    let (mut answer, outcome) = match answered {
        Ok(response) => shape.answer(response),
        Err(failure) => (
            failure.answer(shape.content_type()),
            failure.code.to_lowercase(),
        ),
    };
    // Tokens are in these answers (RFC 6749, 5.1).
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));

    let seconds = started.elapsed().as_secs_f64();
    app.metrics
        .requests_total
        .with_label_values(&[operation.name(), &outcome])
        .inc();
    app.metrics
        .request_seconds
        .with_label_values(&[operation.name()])
        .observe(seconds);
    telemetry::finish_request(
        &span,
        &app.node,
        operation.name(),
        &outcome,
        answer.status(),
        seconds,
    );
    answer
}

async fn respond(
    app: &App,
    head: &Parts,
    body: Incoming,
    operation: &mut Operation,
) -> Result<Response, Failure> {
    let by_get = head.method == Method::GET;
    let (params, idempotency_key) = if by_get {
        (
            Params::from_query(head.uri.query().unwrap_or_default())?,
            None,
        )
    } else {
        require_json(&head.headers)?;
        let body = read_body(&head.headers, body).await?;
        (
            Params::from_json(&body)?,
            idempotency_key(&head.headers, &body)?,
        )
    };
    let caller = Caller {
        bearer: bearer(&head.headers),
        idempotency_key,
    };
    Ok(match params.into_request() {
        Ok((kind, selected, request)) => {
            *operation = selected;
            if by_get && kind != OperationType::Query {
                return Err(Failure::method(
                    "Only queries can be sent by GET; use POST.",
                    "POST",
                ));
            }
            app.schema.execute(request.data(caller)).await
        }
        Err(refusal) => Response::from_errors(vec![refusal]),
    })
}

/// The parameters of a request; others are ignored, as the specification asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    query: String,
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    // There is none that we know: it is only checked to be a map.
    #[serde(rename = "extensions")]
    _extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Params {
    fn from_json(body: &[u8]) -> Result<Self, Failure> {
        // By way of a map, for a struct could be read from an array too, and that is a batch.
        serde_json::from_slice::<serde_json::Map<_, _>>(body)
            .and_then(|map| serde_json::from_value(map.into()))
            .map_err(|error| {
                Failure::bad_request(format!(
                    "The body is not a GraphQL request in JSON: {}.",
                    kind(&error)
                ))
            })
    }

    fn from_query(query: &str) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Encoded {
            query: String,
            operation_name: Option<String>,
            variables: Option<String>,
            extensions: Option<String>,
        }
        let encoded: Encoded = serde_urlencoded::from_str(query).map_err(|_| {
            Failure::bad_request("The URL has no parameter `query`, or a wrong one.")
        })?;
        let map = |text: Option<String>| {
            text.map(|text| serde_json::from_str(&text))
                .transpose()
                .map_err(|_| {
                    Failure::bad_request(
                        "The parameters `variables` and `extensions` must be JSON objects.",
                    )
                })
        };
        Ok(Self {
            query: encoded.query,
            operation_name: encoded.operation_name,
            variables: map(encoded.variables)?,
            _extensions: map(encoded.extensions)?,
        })
    }

    /// Parses the document and checks it against our bounds. A refusal here is a GraphQL error.
    fn into_request(self) -> Result<(OperationType, Operation, Request), ServerError> {
        let refused = |refusal: &str| ServerError::new(refusal, None::<Pos>);
        check_brackets(&self.query).map_err(refused)?;
        let document = parse_query(&self.query)?;
        let (kind, operation) =
            select(&document, self.operation_name.as_deref()).map_err(refused)?;
        let variables = Variables::from_json(self.variables.unwrap_or_default().into());
        let mut request = Request::new(self.query).variables(variables);
        request.operation_name = self.operation_name;
        request.set_parsed_query(document);
        Ok((kind, operation, request))
    }
}

/// What is wrong with the JSON, without quoting it.
fn kind(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!(
            "invalid JSON at line {} column {}",
            error.line(),
            error.column()
        ),
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
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_MEDIA_TYPE",
        "The Content-Type must be application/json, in UTF-8.",
    ))
}

fn idempotency_key(headers: &HeaderMap, body: &[u8]) -> Result<Option<IdempotencyKey>, Failure> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    IdempotencyKey::new(key.as_bytes(), body)
        .map(Some)
        .map_err(|_| {
            Failure::bad_request("The Idempotency-Key must be 8 to 255 visible ASCII characters.")
        })
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

/// The media types of answers. With the newer one the status tells whether the request was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    GraphqlResponse,
    Json,
}

impl Media {
    /// The one the client likes best; on a tie the one it names first.
    fn accepted(headers: &HeaderMap) -> Result<Self, Failure> {
        let accept: Vec<&str> = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        if accept.is_empty() {
            return Ok(Self::Json);
        }
        let mut best = None;
        for range in accept.iter().flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media = match parts
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .as_str()
            {
                "application/graphql-response+json" => Self::GraphqlResponse,
                "application/json" | "application/*" | "*/*" => Self::Json,
                _ => continue,
            };
            let quality = parts
                .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            if quality > best.map_or(0.0, |(quality, _)| quality) {
                best = Some((quality, media));
            }
        }
        best.map(|(_, media)| media).ok_or_else(|| {
            Failure::new(
                StatusCode::NOT_ACCEPTABLE,
                "NOT_ACCEPTABLE",
                "Answers are application/graphql-response+json or application/json.",
            )
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The HTTP answer, and its outcome in a word.
    fn answer(self, response: Response) -> (Answer, String) {
        #[derive(Serialize)]
        struct Body {
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Value>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            errors: Vec<ServerError>,
        }
        let mut errors = response.errors;
        // An error of the execution has the path of its field; any other means that nothing was executed.
        let executed = errors
            .iter()
            .all(|error| matches!(error.path.first(), Some(PathSegment::Field(_))));
        for error in &mut errors {
            let extensions = error.extensions.get_or_insert_default();
            if extensions.get("code").is_none() {
                extensions.set("code", "BAD_REQUEST");
            }
        }
        let outcome = match errors
            .first()
            .and_then(|error| error.extensions.as_ref()?.get("code"))
        {
            Some(Value::String(code)) => code.to_lowercase(),
            _ => "ok".to_owned(),
        };
        let status = match self {
            Self::GraphqlResponse if !executed => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        let body = Body {
            data: executed.then_some(response.data),
            errors,
        };
        let mut answer = Answer::new(Full::from(serde_json::to_vec(&body).unwrap_or_default()));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        (answer, outcome)
    }
}
