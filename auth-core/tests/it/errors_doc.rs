//! The reference of error codes, made from the code.

use std::fmt::Write;
use std::path::Path;

use auth_core::error::AuthError;
use auth_core::error_code::ErrorCode;
use hyper::StatusCode;

const PAGE: &str = "../docs/reference/errors.md";

const HEAD: &str = "# Errors

Every error has a stable `code` in its `extensions`; the message beside it is for people and may change. Errors before GraphQL
has a say (a wrong path, no JSON) have the same shape: `{\"errors\": [{\"message\": …, \"extensions\": {\"code\": …}}]}`.

The status is that of the HTTP answer. Errors of fields come with 200, as GraphQL has it. A document that is not carried out at all
(`BAD_REQUEST`) comes with 400 where the client accepts `application/graphql-response+json`, and otherwise with 200.

An answer has ten errors at most, then one that says how many more there are, and long messages are shortened in the middle. A document
may have 200 fields, 10 aliases, 10 directives, 20 variables, 100 arguments and 200 values, 8 levels, and names of 100 bytes; its variables 200 values;
an answer 64 KiB. Over one of these it is refused with `BAD_REQUEST` before anything is carried out.

| code | status | message | meaning | what a client should do |
|---|---|---|---|---|
";

const TAIL: &str = "
## Of the gateway

HAProxy answers in the same shape where a request does not reach a node, or its answer is lost
(`nixos-modules/render/haproxy/errors.nix`); what it cannot answer so is [with the gateway](gateway.md).

| code | status | meaning | what a client should do |
|---|---|---|---|
| `BAD_REQUEST` | 400 | Not a valid HTTP request. | Correct the program that sent it. |
| `BAD_REQUEST` | 400 | A path that can be read in several ways, where there are routes. | Write it without needless encoding, empty segments, `.`, `..` and `;`. |
| `BAD_REQUEST` | 414 | A URL of more than 8 KiB. | Send a long query by POST. |
| `BAD_REQUEST` | 431 | More than 64 headers, or more than 12 KiB of them. | Send fewer. |
| `UNAUTHENTICATED` | 401 | A route needs an access token, and there is none, several, or one that does not verify. | Log in. |
| `TOKEN_EXPIRED` | 401 | The access token was good and is past its time. | `refresh`, then repeat with the new token. |
| `FORBIDDEN` | 403 | The route is for other roles. | Nothing, as this account. |
| `ORIGIN_NOT_ALLOWED` | 403 | A preflight of a page whose origin the route, or the API, does not name (`cors`). | Nothing, from that page. |
| `ADDRESS_NOT_ALLOWED` | 403 | The route is not for the client's address (`allow`, `deny`). | Nothing, from there. |
| `NOT_FOUND` | 404 | A path that is not public. | The API is at `/graphql`. |
| `REQUEST_TIMEOUT` | 408 | The request did not arrive in time. | Repeat on a faster connection. |
| `LENGTH_REQUIRED` | 411 | The body of a request to a route does not say how long it is. | Send `Content-Length`. |
| `PAYLOAD_TOO_LARGE` | 413 | The body is longer than the route allows. | Send less. |
| `MISDIRECTED_REQUEST` | 421 | `Host` (HTTP/2: `:authority`) is none of the gateway's names. | Use the name that the certificate is for. |
| `RATE_LIMITED` | 429 | Too many requests, hashes or failed log-ins of this address (`services.authstack.gateway.limits`), or to this route (its `limits`), or too many requests at the same time. | Repeat after `Retry-After` seconds; sooner ones count too. |
| `INTERNAL` | 500 | The gateway failed on this request. | Report it, with its trace id. |
| `UNAVAILABLE` | 502, 504 | A node closed the connection or did not answer in time. Whether the request was carried out is not known. | Repeat a query, or a mutation with the `Idempotency-Key` that it had. |
| `MAINTENANCE` | 503 | The route is being maintained. | Repeat after `Retry-After` seconds. |
| `UNAVAILABLE` | 503 | No node, or no server of the route, can answer, or nobody can check the access token; nothing was carried out. | Repeat after `Retry-After` seconds. |

This page is made from `auth-core/src/error_code.rs` by `UPDATE_DOCS=1 cargo test -p auth-core errors_doc`.
";

/// What the service says with a code; `…` where it says more than one thing.
fn message(code: ErrorCode) -> String {
    let error = match code {
        ErrorCode::EmailTaken => AuthError::EmailTaken,
        ErrorCode::InvalidCredentials => AuthError::InvalidCredentials,
        ErrorCode::InvalidResetToken => AuthError::InvalidResetToken,
        ErrorCode::WeakPassword => AuthError::WeakPassword("…".to_owned()),
        ErrorCode::InvalidEmail => AuthError::InvalidEmail,
        ErrorCode::Unauthenticated => AuthError::Unauthenticated,
        ErrorCode::TokenExpired => AuthError::TokenExpired,
        ErrorCode::IdempotencyKeyReused => AuthError::IdempotencyKeyReused,
        ErrorCode::RateLimited => AuthError::RateLimited {
            retry_after_seconds: 3,
        },
        ErrorCode::Overloaded => AuthError::Overloaded {
            retry_after_seconds: 3,
        },
        ErrorCode::Unavailable => AuthError::Unavailable("".into()),
        ErrorCode::Internal => AuthError::Internal("".into()),
        ErrorCode::BadRequest
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::NotAcceptable
        | ErrorCode::RequestTimeout
        | ErrorCode::PayloadTooLarge
        | ErrorCode::UnsupportedMediaType => return "…".to_owned(),
    };
    assert_eq!(error.code(), code);
    error.to_string()
}

fn page() -> String {
    let mut rows = String::new();
    for code in ErrorCode::ALL {
        let status = match (code, code.status()) {
            (ErrorCode::BadRequest, _) => "400 or 200".to_owned(),
            (_, status) => status.as_u16().to_string(),
        };
        let (name, message) = (code.name(), message(*code));
        let (meaning, advice) = (code.meaning(), code.advice());
        writeln!(
            rows,
            "| `{name}` | {status} | {message} | {meaning} | {advice} |"
        )
        .unwrap();
    }
    [HEAD, &rows, TAIL].concat()
}

#[test]
fn the_reference_lists_every_code() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        committed == page(),
        "docs/reference/errors.md is not current: UPDATE_DOCS=1 cargo test -p auth-core errors_doc"
    );
}

#[test]
fn codes_are_words_in_capitals_and_no_two_are_alike() {
    let mut names: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    assert!(
        names
            .iter()
            .all(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ErrorCode::ALL.len());
    assert!(
        ErrorCode::ALL
            .iter()
            .all(|code| code.status() == StatusCode::OK || code.status().as_u16() >= 400)
    );
}

#[test]
fn the_schema_names_only_codes_that_exist() {
    let schema = std::fs::read_to_string(Path::new("schema.graphql")).unwrap();
    let promised = schema
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Error codes: "));
    let names: Vec<&str> = promised
        .flat_map(|line| line.trim_end_matches('.').split(", "))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(
            ErrorCode::ALL.iter().any(|code| code.name() == name),
            "{name}"
        );
    }
}
