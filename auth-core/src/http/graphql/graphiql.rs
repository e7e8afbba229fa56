//! GraphiQL, a page to try queries on: in development mode, for browsers.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;

use super::super::answer::Answer;

/// Its scripts come from a CDN; the page names their hashes.
const PAGE: &str = include_str!("graphiql.html");

/// Whether somebody looks at `/graphql` in a browser: they like HTML best, and ask nothing.
pub(super) fn is_wanted(head: &Parts) -> bool {
    let accept = head
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    head.method == Method::GET
        && head.uri.query().is_none()
        && accept.is_some_and(|accept| accept.starts_with("text/html"))
}

/// The page. It may load what it names, talk to this service, and do nothing else.
pub(super) fn page() -> Answer {
    let script = PAGE
        .rsplit_once("<script>")
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map_or("", |(script, _)| script);
    let own = STANDARD.encode(digest(&SHA256, script.as_bytes()));
    let policy = format!(
        "default-src 'none'; connect-src 'self'; img-src data:; font-src data:; \
         script-src https://unpkg.com/react@18.3.1/ https://unpkg.com/react-dom@18.3.1/ https://unpkg.com/graphiql@3.9.0/ 'sha256-{own}'; \
         style-src https://unpkg.com/graphiql@3.9.0/ 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut answer = Answer::new(Full::from(PAGE));
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.extend(HeaderValue::try_from(policy).map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    answer
}
