//! Stopping: nobody who was let in is turned away.

use std::time::{Duration, Instant};

use auth_core::config::Config;

use crate::node::{EMAIL, Node, PASSWORD};
use crate::process::{Process, wait_until};

#[test]
fn while_draining_readyz_says_no_and_requests_are_served() {
    let process = Process::start(&["drain_seconds=3600"]);
    process.signal("-TERM");
    let status = |path: &str| process.get(path).status().as_u16();
    wait_until("draining", || status("/readyz") == 503);
    let said = process.get("/readyz").body_mut().read_to_string().unwrap();
    assert_eq!(said, r#"{"status":"draining"}"#);
    assert_eq!(status("/healthz"), 200);
    assert!(process.sign_up(EMAIL, &[])["data"]["signUp"].is_object());
}

/// A gateway looks each half second, and believes the second look.
#[test]
fn a_node_that_is_stopped_serves_until_gateways_have_noticed_where_nobody_says_for_how_long() {
    let mut node =
        Node::start_with(|config| config.drain_seconds = Config::default().drain_seconds);
    node.stop();
    node.wait_until("draining", || node.get("/readyz").status == 503);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1500) {
        assert_eq!(node.get("/healthz").status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_request_in_flight_ends_and_then_the_node_does() {
    let mut node = Node::start_with(|config| {
        config.password.scrypt.log_n = 14;
        config.password.scrypt.p = 8;
    });
    let url = node.url.clone();
    let answer = std::thread::scope(|scope| {
        let signing_up = scope.spawn({
            let client = Client(url);
            move || client.sign_up()
        });
        node.wait_until("a hash is running", || {
            node.metric("auth_hashes_in_flight") > 0.0
        });
        node.stop();
        signing_up.join().unwrap()
    });
    assert!(answer.contains("accessToken"), "{answer}");
    node.wait_until("the node has ended", || node.has_ended());
}

/// A client apart, for the node is borrowed by the thread that stops it.
struct Client(String);

impl Client {
    fn sign_up(&self) -> String {
        let variables = serde_json::json!({ "email": EMAIL, "password": PASSWORD });
        let body = serde_json::json!({ "query": crate::node::sign_up(), "variables": variables });
        ureq::post(format!("{}/graphql", self.0))
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap()
    }
}
