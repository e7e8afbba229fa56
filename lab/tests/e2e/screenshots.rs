//! `./dev screenshots`: makes the pictures of the documentation anew.

use std::{fs, path::Path};

use lab::watch;
use reqwest::Url;

use crate::{
    chromium::Chromium,
    support::{eventually, start},
};

const WIDTH: u32 = 1000;
/// Nobody waits long for a page of the documentation.
const LARGEST: usize = 150 * 1024;

/// Not a test of anything: `./dev screenshots` runs it, as it needs what tests have.
#[tokio::test]
#[ignore = "writes into docs/images"]
async fn of_the_pages() {
    let stack = start(&[]).await;
    let _page = watch::open(stack.stack.clone()).await.unwrap();
    let browser = Chromium::start(WIDTH, 900).await;
    let until = async |expression: &str| {
        eventually(expression, || async {
            (browser.try_value(expression).await.ok()? == true).then_some(())
        })
        .await;
    };
    let picture = async |name: &str, top: &str, height: u32| {
        let top = browser.value(top).await.as_f64().unwrap();
        write(name, &browser.picture(top, WIDTH, height).await);
    };

    browser
        .open(&format!("http://{}", stack.stack.page_address()))
        .await;
    until("document.querySelectorAll('article[data-state=ready]').length > 10").await;
    browser
        .value("document.querySelector('#load button').click()")
        .await;
    // Long enough for lines that can be seen.
    until("parseInt(document.querySelector('#load-state').textContent) < 40").await;
    stack.stack.kill_part("auth1").await.unwrap();
    until("[...document.querySelectorAll('#alerts li')].some(item => item.textContent.startsWith('warning, firingNodeOutOfRotation'))").await;
    until("document.querySelectorAll('[data-dot]').length > 4").await;
    let height = browser
        .value("document.querySelector('.pair').getBoundingClientRect().bottom + scrollY + 14")
        .await;
    picture("watch", "0", height.as_f64().unwrap() as u32).await;
    let slow = "[...document.querySelectorAll('#requests tbody tr')].toSorted((one, other) => other.cells[5].textContent - one.cells[5].textContent)[0].dataset.trace";
    let trace = browser.value(slow).await.as_str().unwrap().to_owned();

    browser.open(&stack.stats_page()).await;
    let table = "document.querySelector('a[name=\"auth-core\"]').closest('table').getBoundingClientRect().top + scrollY - 8";
    until(&format!("{table} > 0")).await;
    picture("haproxy", table, 260).await;

    let rate =
        r#"sum by (server) (rate(haproxy_server_http_responses_total{proxy="auth-core"}[5s]))"#;
    let shown = [("g0.expr", rate), ("g0.tab", "0"), ("g0.range_input", "1m")];
    let graph = Url::parse_with_params(&(stack.url("prometheus") + "/graph"), shown).unwrap();
    browser.open(graph.as_str()).await;
    until("document.body.textContent.includes('server=\"auth2\"')").await;
    picture("prometheus", "0", 860).await;

    browser
        .open(&format!("{}/traces/{trace}", stack.url("zipkin")))
        .await;
    until("document.body.textContent.includes('gateway: post /graphql')").await;
    picture("zipkin", "0", 640).await;
}

fn write(name: &str, picture: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/images/{name}.png"));
    assert!(
        picture.len() <= LARGEST,
        "{name}.png has {} bytes",
        picture.len()
    );
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, picture).unwrap();
    println!("docs/images/{name}.png has {} KiB", picture.len() / 1024);
}
