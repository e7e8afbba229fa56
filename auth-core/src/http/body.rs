//! The body of a request, and the limits on it.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::answer::{Answer, Failure};
use crate::error_code::ErrorCode;

/// Longest request body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Most that is read of a body that is refused, in bytes.
const MAX_DISCARD: usize = 16 << 20;

/// How long a request body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body, if it is short enough and comes soon enough.
///
/// # Errors
/// 413, without reading when `Content-Length` tells already, 408, or 400 if it breaks off.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let too_large = || {
        let text = format!("The body is longer than {MAX_BODY} bytes.");
        Failure::new(ErrorCode::PayloadTooLarge, text)
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(collected)) => Ok(Zeroizing::new(collected.to_bytes().into())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Failure::bad_request(
            "The connection was closed before the body was complete.",
        )),
        Err(_) => Err(Failure::new(
            ErrorCode::RequestTimeout,
            "The body did not arrive in time.",
        )),
    }
}

/// Does what an answer to a request needs whose body was not read to its end. The connection would end otherwise, of which the
/// other side is not told: one that writes all before it reads would see a broken connection and not the answer, and one that
/// sends its next request would get none.
pub(super) fn leave_unread(headers: &HeaderMap, body: Incoming, answer: &mut Answer) {
    if body.is_end_stream() {
        return;
    }
    // The rest comes too slowly (RFC 9110, 15.5.9), or may never come as it was not asked for (10.1.1).
    if answer.status() == StatusCode::REQUEST_TIMEOUT || headers.contains_key(EXPECT) {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    } else {
        tokio::spawn(discard(body));
    }
}

/// Reads on while the answer is sent, until there is too much, or it comes too slowly.
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
