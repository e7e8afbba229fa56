//! The media type of an answer, and the status that goes with it.

use async_graphql::{PathSegment, Response, ServerError, Value};
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde::Serialize;

use super::super::answer::{Answer, Failure};
use crate::error::AuthError;
use crate::error_code::ErrorCode;
use crate::outcome::Outcome;

/// Longest answer, in bytes. What a request may ask for is bounded before, so that none comes near it; and errors are
/// shortened.
const MAX_ANSWER: usize = 64 * 1024;

/// Most errors of an answer. Who needs more has a program to correct.
const MAX_ERRORS: usize = 10;

/// Longest message of an error that the parser or the validation has written, in bytes: they repeat what was asked.
const MAX_MESSAGE: usize = 512;

/// The media types of answers. With the newer one the status tells whether the request was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    GraphqlResponse,
    Json,
}

impl Media {
    /// The one the client likes best; on a tie the one it names first.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Failure> {
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
                ErrorCode::NotAcceptable,
                "Answers are application/graphql-response+json or application/json.",
            )
        })
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The HTTP answer, and what it comes to.
    pub(super) fn answer(self, response: Response) -> (Answer, Outcome) {
        #[derive(Serialize)]
        struct Body {
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Value>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            errors: Vec<ServerError>,
        }
        // An error of the execution has the path of its field, or is a panic in its midst; any other means that nothing was
        // executed.
        let executed = response.errors.iter().all(|error| {
            matches!(error.path.first(), Some(PathSegment::Field(_)))
                || code(error) == ErrorCode::Internal
        });
        let mut errors = bounded(response.errors);
        for error in &mut errors {
            let code = code(error).name();
            error.extensions.get_or_insert_default().set("code", code);
        }
        let outcome = errors
            .first()
            .map_or(Outcome::Ok, |first| Outcome::Error(code(first)));
        // A limit on the whole request, not on one field: gateways and clients that read no GraphQL must see it.
        let limited = errors.iter().find_map(|error| {
            let seconds = error.source::<AuthError>()?.retry_after_seconds()?;
            Some((code(error).status(), seconds))
        });
        let status = match (limited, self) {
            (Some((status, _)), _) => status,
            (None, Self::GraphqlResponse) if !executed => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        let body = Body {
            data: executed.then_some(response.data),
            errors,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        if body.len() > MAX_ANSWER {
            let failure =
                Failure::bad_request("The answer would be too long: ask for less at once.");
            return (
                failure.answer(self.content_type()),
                Outcome::Error(failure.code),
            );
        }
        let mut answer = Answer::new(Full::from(body));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        answer.headers_mut().extend(response.http_headers);
        if let Some((_, seconds)) = limited {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        (answer, outcome)
    }
}

/// The code of an error: what is not ours is the parser's or the validation's.
fn code(error: &ServerError) -> ErrorCode {
    error
        .source::<AuthError>()
        .map_or(ErrorCode::BadRequest, AuthError::code)
}

/// The first errors, and how many more there are, none of them long.
fn bounded(mut errors: Vec<ServerError>) -> Vec<ServerError> {
    let more = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    for error in &mut errors {
        error.message = shortened(&error.message);
        error.locations.truncate(MAX_ERRORS);
    }
    if more > 0 {
        let source = errors.last().and_then(|last| last.source.clone());
        errors.push(ServerError {
            source,
            ..ServerError::new(format!("There are {more} more errors."), None)
        });
    }
    errors
}

/// The beginning and the end of a long text.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_MESSAGE {
        return text.to_owned();
    }
    let half = MAX_MESSAGE / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    format!("{} … {}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shortened_text_is_bounded_and_has_both_ends(text in "\\PC{0,600}") {
            let short = shortened(&text);
            prop_assert!(short.len() <= MAX_MESSAGE + 5);
            prop_assert!(text.starts_with(short.split(" … ").next().unwrap_or_default()));
            prop_assert_eq!(short.chars().next_back(), text.chars().next_back());
        }
    }
}
