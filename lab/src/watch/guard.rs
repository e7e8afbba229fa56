//! Which requests to the page are served: those of the page itself, from a browser that was not led here by somebody else's.
//!
//! The buttons kill processes, so another site that is open in the same browser must not be able to press them (cross-site
//! request forgery), nor to read the page under a name of its own (DNS rebinding).

use hyper::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN},
};

/// Sent by the page with what its buttons ask for. No other site can: a browser asks first whether it may, and is told nothing.
pub(super) const OWN_HEADER: HeaderName = HeaderName::from_static("x-authstack-watch");
/// Where the request comes from, by the browser (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request to the page at `host` (its address and port) is refused; `None` when it is not.
pub(super) fn refusal<B>(request: &Request<B>, host: &str) -> Option<(StatusCode, &'static str)> {
    let header = |name: HeaderName| {
        let mut values = request.headers().get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap_or("?"));
        if values.next().is_some() {
            Some("?")
        } else {
            value
        }
    };
    if header(HOST) != Some(host) {
        let reason = "this page has one name: the address that `./dev watch` prints";
        return Some((StatusCode::MISDIRECTED_REQUEST, reason));
    }
    let own_origin = format!("http://{host}");
    let elsewhere = Some((StatusCode::FORBIDDEN, "only the page itself may ask this"));
    let changes = request.method() != Method::GET;
    // The page itself may be linked to from anywhere: it changes nothing, and no other site can read it.
    if request.uri().path() != "/" || changes {
        if header(SITE).is_some_and(|site| site != "same-origin") {
            return elsewhere;
        }
        match header(ORIGIN) {
            Some(origin) if origin != own_origin => return elsewhere,
            None if changes => return elsewhere,
            _ => {}
        }
    }
    if changes && (header(OWN_HEADER).is_none() || header(CONTENT_TYPE) != Some("application/json"))
    {
        return elsewhere;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_HERE: &str = "127.77.0.9:7780";

    fn refused(method: Method, path: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        refusal(&request, HOST_HERE).map(|(status, _)| status.as_u16())
    }

    const PRESSED: [(&str, &str); 5] = [
        ("host", HOST_HERE),
        ("origin", "http://127.77.0.9:7780"),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/json"),
        ("x-authstack-watch", "1"),
    ];

    #[test]
    fn the_page_may_be_linked_to_and_its_own_buttons_work() {
        let from_a_link = [("host", HOST_HERE), ("sec-fetch-site", "cross-site")];
        assert_eq!(refused(Method::GET, "/", &from_a_link), None);
        assert_eq!(refused(Method::GET, "/events", &PRESSED[..1]), None);
        assert_eq!(refused(Method::POST, "/part", &PRESSED), None);
    }

    #[test]
    fn under_any_other_name_nothing_is_served() {
        for host in ["rebound.example", "rebound.example:7780", "127.77.0.9", ""] {
            for path in ["/", "/events"] {
                assert_eq!(refused(Method::GET, path, &[("host", host)]), Some(421));
            }
        }
        assert_eq!(refused(Method::GET, "/", &[]), Some(421));
        let twice = [("host", HOST_HERE), ("host", "rebound.example")];
        assert_eq!(refused(Method::GET, "/", &twice), Some(421));
    }

    #[test]
    fn each_sign_of_another_site_is_enough_to_refuse_a_button() {
        for (name, value) in [
            ("origin", "http://elsewhere.example"),
            ("origin", "null"),
            ("origin", "http://127.77.0.9:7781"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("content-type", "text/plain"),
        ] {
            let mut headers = PRESSED;
            for header in &mut headers {
                if header.0 == name {
                    header.1 = value;
                }
            }
            assert_eq!(
                refused(Method::POST, "/part", &headers),
                Some(403),
                "{name}: {value}"
            );
        }
        for missing in ["origin", "content-type", "x-authstack-watch"] {
            let headers: Vec<_> = PRESSED
                .into_iter()
                .filter(|(name, _)| *name != missing)
                .collect();
            assert_eq!(
                refused(Method::POST, "/part", &headers),
                Some(403),
                "{missing}"
            );
        }
    }

    #[test]
    fn another_site_cannot_listen_to_the_events() {
        for (name, value) in [
            ("origin", "http://elsewhere.example"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let headers = [("host", HOST_HERE), (name, value)];
            assert_eq!(
                refused(Method::GET, "/events", &headers),
                Some(403),
                "{name}"
            );
        }
    }
}
