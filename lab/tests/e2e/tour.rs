//! `./dev tour`, as a newcomer walks it.

use std::{path::Path, process::Output};

use insta::{Settings, assert_snapshot};
use lab::haproxy;
use tempfile::TempDir;

use crate::command::{lab, status, text};

#[tokio::test]
async fn the_tour_says_where_to_look_at_each_step_and_puts_everything_back() {
    let state = TempDir::with_prefix("authstack-test-").unwrap();
    let _ended = Ended(state.path());
    let lab = |arguments: &[&str]| -> Output { lab(state.path(), arguments) };
    let without_a_stack = lab(&["tour", "--yes"]);
    assert_snapshot!(text(&without_a_stack), @"lab: the tour goes through a stack that runs: `./dev up --topology cluster` in another terminal starts one");

    let up = lab(&["up", "--topology", "cluster", "--detach"]);
    assert!(up.status.success(), "{}", text(&up));
    let admin = state.path().join("parts/gateway/admin.sock");
    let before = haproxy::servers(&admin).await.unwrap();
    let tour = lab(&["tour", "--yes"]);

    let mut settings = Settings::clone_current();
    for (pattern, shown) in [
        (r"127\.77\.\d+", "NETWORK"),
        (r"tour-\d+@", "tour-N@"),
        (r"auth\d answers after \d+ ms", "authN answers after N ms"),
        (r"traces/[0-9a-f]{32}", "traces/TRACE"),
        (r"After \d+ wrong", "After N wrong"),
        (
            r"auth1 \d+, auth2 \d+, auth3 \d+",
            "auth1 N, auth2 N, auth3 N",
        ),
    ] {
        settings.add_filter(pattern, shown);
    }
    settings.bind(|| assert_snapshot!("tour", text(&tour)));
    assert!(tour.status.success());

    let parts = status(state.path()).parts;
    assert!(parts.iter().all(|part| part.ready), "{parts:?}");
    assert_eq!(haproxy::servers(&admin).await.unwrap(), before);
    // What it says to look at is there.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let printed = text(&tour);
    let urls = printed
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("http://"));
    for url in urls {
        let answer = client.get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
    }
}

/// Ends the stack, however the test ends.
struct Ended<'a>(&'a Path);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        lab(self.0, &["down"]);
    }
}
