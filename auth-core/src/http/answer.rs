//! What is answered, and what a refusal looks like.

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use serde_json::json;

use crate::error_code::ErrorCode;

/// A whole answer.
pub type Answer = hyper::Response<Full<Bytes>>;

/// The media type of whatever is not GraphQL's own.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// An answer with a body.
pub(super) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Answer::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
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
