//! What a service gets whose every server fails: hardly more requests than clients send. Where one fails, clients see nothing of it.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::broken_servers::{one_of_two_breaks_off, start_with_a_shop_that_breaks_off};
use crate::support::{CHEAP, TestStack, start_changed};

/// Asks `/shop` 200 times a second, for ten seconds, whatever becomes of the requests before. Answers how often with which status.
async fn load(stack: &TestStack) -> BTreeMap<u16, usize> {
    const RATE: u64 = 200;
    const SECONDS: u64 = 10;
    let url = stack.url("gateway") + "/shop";
    let clients: Vec<_> = (0..120).map(|number| stack.client_at(number)).collect();
    let mut ticks = interval(Duration::from_micros(1_000_000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for client in clients.iter().cycle().take((RATE * SECONDS) as usize) {
        ticks.tick().await;
        // HAProxy closes the connection after a 502, and does not say so.
        under_way.spawn(client.get(&url).header("connection", "close").send());
    }
    let mut statuses = BTreeMap::new();
    for answer in under_way.join_all().await {
        let status = answer.expect("an answer").status().as_u16();
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test]
async fn a_service_whose_every_server_breaks_off_does_not_get_each_request_four_times() {
    let (stack, taken) = start_with_a_shop_that_breaks_off().await;

    // One alone is tried as often as it may be.
    let alone = stack.client.get(stack.url("gateway") + "/shop").send();
    let status = alone.await.expect("an answer").status();
    assert_eq!((status.as_u16(), taken()), (502, 4));

    let statuses = load(&stack).await;
    let asked = statuses[&502];
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    // What was saved up is used within the first seconds; after that there are 0.25 for each request.
    let each = (taken() - 4) as f64 / asked as f64;
    println!("{each} tries for each of {asked} requests");
    assert!((1.0..2.0).contains(&each), "{each} tries for each request");
}

#[tokio::test]
async fn one_server_of_two_that_goes_on_breaking_off_costs_no_failed_request() {
    let mut taken = None;
    let parts = ["auth1", "gateway", "sample1"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let (gateway, counter) = one_of_two_breaks_off(&setup.network);
        taken = Some(counter);
        setup.gateway = Some(gateway);
    })
    .await;
    let statuses = load(&stack).await;
    assert_eq!(statuses, BTreeMap::from([(200, 2000)]));
    let taken = taken.map_or(0, |taken| taken.load(Relaxed));
    assert!(taken >= 1000, "{taken} of the requests went there first");
}
