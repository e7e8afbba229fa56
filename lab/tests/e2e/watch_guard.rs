//! The page of `./dev watch` kills processes: who may press its buttons, and how much it takes of the lab.

use std::time::Duration;

use insta::assert_snapshot;
use lab::watch;
use reqwest::{Client, RequestBuilder, Response};
use tokio::time::timeout;

use crate::support::{SERVING, TestStack, eventually, start};

struct Served {
    stack: TestStack,
    client: Client,
    page: String,
    _page: watch::Page,
}

impl Served {
    async fn start() -> Self {
        let stack = start(SERVING).await;
        let page = watch::open(stack.stack.clone()).await.unwrap();
        Self {
            client: Client::builder().no_proxy().build().unwrap(),
            page: format!("http://{}", stack.stack.page_address()),
            stack,
            _page: page,
        }
    }

    /// As the page itself asks, but for the headers that `change` changes.
    fn press(&self, path: &str, body: &str) -> RequestBuilder {
        self.client
            .post(format!("{}{path}", self.page))
            .header("origin", &self.page)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json")
            .header("x-authstack-watch", "1")
            .body(body.to_owned())
    }

    async fn events(&self) -> Response {
        self.client
            .get(format!("{}/events", self.page))
            .send()
            .await
            .unwrap()
    }

    async fn auth1_runs(&self) -> bool {
        let status = self.stack.stack.status().await;
        status
            .parts
            .iter()
            .any(|part| part.name == "auth1" && part.pid.is_some())
    }
}

const KILL: &str = r#"{"kill":"auth1"}"#;

#[tokio::test]
async fn nobody_but_the_page_itself_presses_its_buttons() {
    let served = Served::start().await;
    assert!(served.stack.stack.page_address().ip().is_loopback());
    // What a page elsewhere can send without asking first, and what a name that leads here by DNS makes of it.
    let forged = served
        .client
        .post(format!("{}/part", served.page))
        .body(KILL);
    for (request, status) in [
        (
            forged
                .try_clone()
                .unwrap()
                .header("content-type", "text/plain"),
            403,
        ),
        (
            forged
                .try_clone()
                .unwrap()
                .header("origin", "http://elsewhere.example"),
            403,
        ),
        (forged.header("sec-fetch-site", "cross-site"), 403),
        (
            served
                .press("/part", KILL)
                .header("host", "rebound.example:7780"),
            421,
        ),
        (
            served
                .client
                .get(&served.page)
                .header("host", "rebound.example:7780"),
            421,
        ),
        (
            served
                .client
                .get(format!("{}/events", served.page))
                .header("sec-fetch-site", "cross-site"),
            403,
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{answer:?}");
        assert_eq!(answer.headers().get("access-control-allow-origin"), None);
    }
    assert!(served.auth1_runs().await);

    let answer = served.press("/part", KILL).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!served.auth1_runs().await);
}

#[tokio::test]
async fn the_buttons_do_what_is_on_them_and_no_more() {
    let served = Served::start().await;
    let large = format!(r#"{{"kill":"{}"}}"#, "x".repeat(2000));
    let mut said = String::new();
    for (path, body) in [
        ("/part", r#""down""#),
        ("/part", r#""status""#),
        ("/part", r#"{"kill":"nobody"}"#),
        ("/part", r#"{"weight":["auth1",257]}"#),
        ("/part", r#"{"kill":"#),
        ("/part", &large),
        ("/load", r#"{"rate":201,"seconds":60}"#),
        ("/load", r#"{"rate":20,"seconds":301}"#),
        ("/load", r#"{"rate":1,"seconds":1}"#),
        ("/load", r#"{"rate":1,"seconds":1}"#),
        ("/elsewhere", "{}"),
    ] {
        let answer = served.press(path, body).send().await.unwrap();
        let status = answer.status().as_u16();
        let (body, text) = (&body[..body.len().min(40)], answer.text().await.unwrap());
        said += &format!("{path} {body}\n  {status} {text}\n");
    }
    assert_snapshot!(said, @r#"
    /part "down"
      403 not from this page
    /part "status"
      403 not from this page
    /part {"kill":"nobody"}
      409 there is no part named nobody; there are auth1, auth2, gateway
    /part {"weight":["auth1",257]}
      409 a weight is from 0 (no new requests) to 256
    /part {"kill":
      400 this is no request
    /part {"kill":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      400 this is no request
    /load {"rate":201,"seconds":60}
      409 from 1 to 200 requests a second
    /load {"rate":20,"seconds":301}
      409 from 1 to 300 seconds
    /load {"rate":1,"seconds":1}
      200 Load is running: 1 requests a second for 1 s.
    /load {"rate":1,"seconds":1}
      409 load is running already
    /elsewhere {}
      404 there is nothing here
    "#);
    assert!(served.auth1_runs().await);
}

#[tokio::test]
async fn the_page_may_run_its_own_script_alone_and_nobody_frames_it() {
    let served = Served::start().await;
    let answer = served.client.get(&served.page).send().await.unwrap();
    let mut said = String::new();
    for name in [
        "content-security-policy",
        "x-content-type-options",
        "x-frame-options",
        "cache-control",
        "cross-origin-resource-policy",
    ] {
        said += &format!("{name}: {}\n", answer.headers()[name].to_str().unwrap());
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter("sha256-[A-Za-z0-9+/]{43}=", "sha256-HASH");
    settings.bind(|| assert_snapshot!(said, @"
    content-security-policy: default-src 'none'; script-src 'sha256-HASH'; style-src 'sha256-HASH'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'
    x-content-type-options: nosniff
    x-frame-options: DENY
    cache-control: no-store
    cross-origin-resource-policy: same-origin
    "));
}

#[tokio::test]
async fn eight_pages_can_be_open_and_one_that_is_closed_makes_room_for_another() {
    let served = Served::start().await;
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut events = served.events().await;
        let event = timeout(Duration::from_secs(10), events.chunk())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(event.starts_with(b"data: {"), "{event:?}");
        open.push(events);
    }
    assert_eq!(served.events().await.status(), 503);
    open.pop();
    eventually("there is room for another", || async {
        (served.events().await.status() == 200).then_some(())
    })
    .await;
}
