//! `./dev watch`, the page on which one watches the stack break, in a real browser.

use std::collections::BTreeSet;

use lab::watch;
use serde_json::Value;

use crate::{
    chromium::Chromium,
    raw,
    support::{TestStack, eventually, start},
};

/// The page of a stack, in a browser.
struct Watched {
    stack: TestStack,
    browser: Chromium,
    page: String,
    _served: watch::Page,
}

/// One test, as starting a stack and a browser is what takes time.
#[tokio::test]
async fn one_watches_the_stack_break_on_a_page_and_breaks_it_there() {
    let watched = Watched::open().await;
    watched.every_part_is_shown_with_its_state().await;
    watched.a_request_is_shown_and_leads_to_its_trace().await;
    watched.what_a_client_sends_is_shown_as_text().await;
    watched
        .a_node_killed_by_its_button_is_down_and_requests_go_on()
        .await;
    watched
        .everything_is_reached_by_keyboard_and_each_focus_is_seen()
        .await;
    watched.everything_is_done_by_keyboard().await;
    watched
        .everything_has_a_name_and_tables_have_captions()
        .await;
    watched.it_survives_whatever_is_killed().await;
    watched
        .nothing_is_complained_of_and_nobody_else_is_asked()
        .await;
}

impl Watched {
    async fn open() -> Self {
        let stack = start(&[]).await;
        let served = watch::open(stack.stack.clone()).await.unwrap();
        let page = format!("http://{}", stack.stack.page_address());
        let browser = Chromium::start(1000, 1000).await;
        browser.open(&page).await;
        Self {
            stack,
            browser,
            page,
            _served: served,
        }
    }

    /// Waits until an expression of the page gives this.
    async fn until(&self, expression: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        eventually(&format!("{expression} gives {expected}"), || async {
            (self.browser.try_value(expression).await.ok()? == expected).then_some(())
        })
        .await;
    }

    async fn until_card(&self, part: &str, text: &str) {
        self.until(
            &format!("{}.textContent.includes('{text}')", card(part)),
            true,
        )
        .await;
    }

    async fn every_part_is_shown_with_its_state(&self) {
        for part in self.stack.stack.parts() {
            self.until(&format!("{}.dataset.state", card(&part.name)), "ready")
                .await;
        }
        self.until_card("auth1", "HAProxy: UP").await;
        self.until_card("gateway", "2 of 2 nodes are UP").await;
        let cards = self
            .browser
            .value("document.querySelectorAll('article').length")
            .await;
        assert_eq!(cards, self.stack.stack.parts().len());
    }

    async fn a_request_is_shown_and_leads_to_its_trace(&self) {
        let answer = self
            .stack
            .request("{ __typename }", Value::Null)
            .send()
            .await
            .unwrap();
        let header = |name| answer.headers()[name].to_str().unwrap();
        let (trace, node) = (header("x-trace-id"), header("x-served-by"));
        let row = format!("document.querySelector('tr[data-trace=\"{trace}\"]')");
        self.until(&format!("!!{row}"), true).await;
        let text = self
            .browser
            .value(&format!(
                "[...{row}.cells].slice(1, 5).map(cell => cell.textContent).join()"
            ))
            .await;
        assert_eq!(text, format!("POST /graphql,gateway,{node},200"));

        self.browser
            .call(
                "Target.setDiscoverTargets",
                serde_json::json!({ "discover": true }),
            )
            .await;
        self.browser
            .click(&format!("{row}.querySelector('a')"))
            .await;
        let leads_to = format!("{}/traces/{trace}", self.stack.url("zipkin"));
        let tab = eventually("the click opens Zipkin", || async {
            let mut targets = self.browser.events("Target.targetCreated").await;
            targets.extend(self.browser.events("Target.targetInfoChanged").await);
            let target = targets
                .iter()
                .find(|target| target["targetInfo"]["url"] == leads_to.as_str())?;
            Some(target["targetInfo"]["targetId"].clone())
        })
        .await;
        self.browser
            .call("Target.closeTarget", serde_json::json!({ "targetId": tab }))
            .await;
        let trace = leads_to.replace("/zipkin/traces/", "/api/v2/trace/");
        eventually("Zipkin knows the trace", || async {
            let answer = self.stack.client.get(&trace).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    async fn what_a_client_sends_is_shown_as_text(&self) {
        let request = "GET /<img/src=x/onerror=alert(1)> HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        raw::send(&self.stack, 0, request.as_bytes()).await;
        let shown = "[...document.querySelectorAll('#requests a')].some(link => link.textContent.includes('<img/src=x'))";
        self.until(shown, true).await;
        assert_eq!(
            self.browser
                .value("document.querySelectorAll('img').length")
                .await,
            0
        );
    }

    async fn a_node_killed_by_its_button_is_down_and_requests_go_on(&self) {
        self.browser.click(&button("Kill auth1")).await;
        self.until(&format!("{}.dataset.state", card("auth1")), "not running")
            .await;
        for _ in 0..20 {
            let answer = self.stack.send("{ __typename }", Value::Null, None).await;
            assert_eq!(answer.0, 200, "{answer:?}");
        }
        self.until_card("auth1", "HAProxy: DOWN").await;
        self.until("document.title", "1 broken · Authstack lab")
            .await;
        self.until(&said("auth1: not running"), true).await;
        self.until(&said("gateway sees auth1 DOWN"), true).await;
        self.until(
            "!!document.querySelector('#alerts')?.textContent.includes('NodeOutOfRotation')",
            true,
        )
        .await;

        self.browser.click(&button("Start auth1")).await;
        self.until(&format!("{}.dataset.state", card("auth1")), "ready")
            .await;
        self.until_card("auth1", "HAProxy: UP").await;
    }

    async fn everything_is_reached_by_keyboard_and_each_focus_is_seen(&self) {
        self.focus("Hold still").await;
        self.browser.press("Space").await;
        self.until(&format!("{}.ariaPressed", button("Hold still")), "true")
            .await;
        let controls = "[...document.querySelectorAll('a, button, input, [tabindex]')]";
        let count = self.browser.value(&format!("{controls}.length")).await;
        let mut reached = BTreeSet::new();
        for _ in 0..count.as_u64().unwrap() + 2 {
            self.browser.press("Tab").await;
            let what = format!(
                "[{controls}.indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]"
            );
            let focused = self.browser.value(&what).await;
            let index = focused[0].as_i64().unwrap();
            // Between the last and the first there is the browser's own window.
            if index >= 0 {
                assert_eq!(
                    focused[1], "solid",
                    "control {index} does not show that it has the focus"
                );
                reached.insert(index);
            }
        }
        assert_eq!(reached.len() as u64, count.as_u64().unwrap());
        self.focus("Hold still").await;
        self.browser.press("Space").await;
    }

    async fn everything_is_done_by_keyboard(&self) {
        self.focus("Pause auth2").await;
        self.browser.press("Enter").await;
        self.until(&format!("{}.dataset.state", card("auth2")), "paused")
            .await;
        self.focus("Start auth2").await;
        self.browser.press("Space").await;
        self.until(&format!("{}.dataset.state", card("auth2")), "ready")
            .await;
        let focused = self.browser.value("document.activeElement.ariaLabel").await;
        assert_eq!(focused, "Start auth2", "the focus stays where it was");

        self.focus("Weight of sample2").await;
        self.type_text("42").await;
        self.browser.press("Enter").await;
        self.until(&said("sample2 has the weight 42."), true).await;
        let servers = lab::haproxy::servers(&self.stack.stack.admin_socket("gateway"))
            .await
            .unwrap();
        let mut of_sample2 = servers.iter().filter(|server| server.part == "sample2");
        assert!(of_sample2.all(|server| server.weight == 42), "{servers:?}");

        for (name, value) in [("rate", "5"), ("seconds", "2")] {
            self.browser
                .value(&format!("document.querySelector('[name={name}]').focus()"))
                .await;
            self.type_text(value).await;
        }
        self.focus("Start load").await;
        self.browser.press("Enter").await;
        self.until(&said("Load is running: 5 requests a second for 2 s."), true)
            .await;
        self.until(
            "/auth1.*auth2/s.test(document.querySelector('#recent tbody').textContent)",
            true,
        )
        .await;
        self.until(&said("The load has ended: every answer was right."), true)
            .await;
    }

    async fn everything_has_a_name_and_tables_have_captions(&self) {
        let tree = self
            .browser
            .call("Accessibility.getFullAXTree", serde_json::json!({}))
            .await;
        let named = |roles: &[&str]| -> Vec<String> {
            let nodes = tree["nodes"].as_array().unwrap().iter();
            let nodes = nodes.filter(|node| {
                node["ignored"] == false && roles.iter().any(|role| node["role"]["value"] == *role)
            });
            nodes
                .map(|node| {
                    node["name"]["value"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned()
                })
                .collect()
        };
        let buttons = named(&["button"]);
        assert!(
            buttons.len() >= 3 * self.stack.stack.parts().len(),
            "{buttons:?}"
        );
        assert_eq!(
            buttons.len(),
            buttons.iter().collect::<BTreeSet<_>>().len(),
            "{buttons:?}"
        );
        for role in [
            "button",
            "link",
            "spinbutton",
            "table",
            "article",
            "region",
            "navigation",
            "log",
            "columnheader",
            "rowheader",
        ] {
            let names = named(&[role]);
            assert!(
                !names.is_empty() && names.iter().all(|name| !name.is_empty()),
                "{role}: {names:?}"
            );
        }
        assert_eq!(named(&["log"]), ["What happened"]);
    }

    async fn it_survives_whatever_is_killed(&self) {
        for part in self.stack.stack.parts() {
            self.stack.stack.kill_part(&part.name).await.unwrap();
        }
        let dead = "document.querySelectorAll('article[data-state=\"not running\"]').length";
        self.until(dead, self.stack.stack.parts().len()).await;
        self.until_card("auth1", "HAProxy: says nothing").await;
        self.until(
            "document.querySelector('#alerts').textContent",
            "Prometheus does not say.",
        )
        .await;
        self.browser.click(&button("Start auth1")).await;
        self.until(&format!("{}.dataset.state", card("auth1")), "ready")
            .await;
    }

    async fn nothing_is_complained_of_and_nobody_else_is_asked(&self) {
        self.browser.assert_silent().await;
        let asked = self.browser.events("Network.requestWillBeSent").await;
        let urls: Vec<_> = asked
            .iter()
            .map(|event| event["request"]["url"].as_str().unwrap())
            .collect();
        let own = |url: &&str| url.starts_with(&self.page) || url.starts_with("data:");
        assert!(urls.len() >= 5 && urls.iter().all(own), "{urls:?}");
    }

    /// Goes there by the Tab key alone.
    async fn focus(&self, name: &str) {
        const FOCUSED: &str =
            "document.activeElement.ariaLabel ?? document.activeElement.textContent";
        for _ in 0..200 {
            if self.browser.value(FOCUSED).await == name {
                return;
            }
            self.browser.press("Tab").await;
        }
        panic!("the Tab key does not lead to {name}");
    }

    /// Types into the field that has the focus, in the place of what is there.
    async fn type_text(&self, text: &str) {
        self.browser.value("document.activeElement.select()").await;
        self.browser
            .call("Input.insertText", serde_json::json!({ "text": text }))
            .await;
    }
}

pub fn card(part: &str) -> String {
    format!("document.querySelector('article[aria-label=\"{part}\"]')")
}

fn button(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('button')].find(button => (button.ariaLabel ?? button.textContent) === '{name}')"
    )
}

/// Whether it is among what happened.
fn said(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('#log li')].some(item => item.textContent.endsWith('{text}'))"
    )
}
