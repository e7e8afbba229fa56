//! What the failures of a route's server cost, and changes of its weights.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::route_servers::{both, served, state, version};
use crate::routes::{start_with_routes, with};
use crate::support::{CHEAP, TestStack, eventually, start_changed};

/// Requests at a steady rate, whatever becomes of those before (an open model), each address within its limit.
struct Load {
    stop: Arc<AtomicBool>,
    requests: JoinHandle<BTreeMap<String, usize>>,
}

impl Load {
    const RATE: u64 = 200;

    fn start(stack: &TestStack) -> Self {
        let clients: Vec<_> = (0..120).map(|number| stack.client_at(number)).collect();
        let url = stack.url("gateway") + "/shop";
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let requests = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_micros(1_000_000 / Self::RATE));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut under_way = JoinSet::new();
            for client in clients.iter().cycle() {
                if stopped.load(Relaxed) {
                    break;
                }
                ticks.tick().await;
                let (client, url) = (client.clone(), url.clone());
                under_way.spawn(async move { version(&client, &url).await });
            }
            let mut outcomes = BTreeMap::new();
            for outcome in under_way.join_all().await {
                let outcome = outcome.unwrap_or_else(|error| error);
                *outcomes.entry(outcome).or_default() += 1;
            }
            outcomes
        });
        Self { stop, requests }
    }

    /// How many requests each version answered; there is nothing else.
    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Relaxed);
        let mut outcomes = self.requests.await.expect("no panic");
        let versions = ["v1", "v2"].map(|version| outcomes.remove(version).unwrap_or(0));
        assert_eq!(outcomes, BTreeMap::new(), "beside {versions:?}");
        (versions[0], versions[1])
    }
}

#[tokio::test]
async fn weights_change_and_servers_drain_under_load_without_a_failed_request() {
    let stack = start_with_routes(json!({ "/shop": both(100, 0) })).await;
    let load = Load::start(&stack);
    eventually("load", async || {
        served(&stack, "sample1:8080").await.gt(&100).then_some(())
    })
    .await;
    assert_eq!(served(&stack, "sample2:8080").await, 0);
    for (part, weight) in [("sample2", 100), ("sample1", 0)] {
        stack
            .stack
            .set_weight(part, weight)
            .await
            .expect("a weight");
    }
    let before = served(&stack, "sample1:8080").await;
    eventually("load", async || {
        served(&stack, "sample2:8080").await.gt(&200).then_some(())
    })
    .await;
    assert!(
        served(&stack, "sample1:8080").await - before <= 5,
        "drained"
    );
    let (one, two) = load.end().await;
    assert!(one > 100 && two > 200, "{one} {two}");
}

#[tokio::test]
async fn a_server_that_is_killed_or_hangs_under_load_costs_no_failed_request_and_is_out_and_back_soon()
 {
    let route = with(
        both(100, 100),
        json!({ "answerSeconds": 3, "slowStartSeconds": 0 }),
    );
    let stack = start_with_routes(json!({ "/shop": route })).await;
    let load = Load::start(&stack);
    eventually("load", async || {
        served(&stack, "sample2:8080").await.gt(&50).then_some(())
    })
    .await;
    for pause in [false, true] {
        if pause {
            stack.stack.pause_part("sample2").expect("it can be paused");
        } else {
            stack
                .stack
                .kill_part("sample2")
                .await
                .expect("it can be killed");
        }
        let begin = Instant::now();
        eventually("out", async || {
            (state(&stack, "sample2:8080").await == "DOWN").then_some(())
        })
        .await;
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "out after {:?}",
            begin.elapsed()
        );
        stack
            .stack
            .start_part("sample2")
            .await
            .expect("it starts again");
        let begin = Instant::now();
        eventually("back", async || {
            (state(&stack, "sample2:8080").await == "UP").then_some(())
        })
        .await;
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "back after {:?}",
            begin.elapsed()
        );
    }
    let (one, two) = load.end().await;
    assert!(one > 100 && two > 50, "{one} {two}");
}

/// A port that neither accepts nor refuses, as behind a firewall: its queue is full.
#[tokio::test]
async fn a_black_holed_server_under_load_costs_no_failed_request() {
    let mut hole = None;
    let parts = ["auth1", "gateway", "sample1"];
    let stack = start_changed(lab::TopologyName::Single, &parts, Some(CHEAP), |setup| {
        let address = format!("{}.99:8080", setup.network.prefix());
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(address.parse().expect("an address"))
            .expect("a free address");
        hole = Some(socket.listen(1).expect("a listener"));
        setup.gateway = Some(json!({ "routes": { "/shop": { "servers": {
            "sample1:8080": {}, &address: {},
        }}}}));
    })
    .await;
    let hole: TcpListener = hole.expect("a listener");
    let address = hole.local_addr().expect("an address");
    let fill: Vec<_> = (0..4)
        .map(|_| tokio::spawn(TcpStream::connect(address)))
        .collect();
    let load = Load::start(&stack);
    let begin = Instant::now();
    eventually("out", async || {
        (state(&stack, &address.to_string()).await == "DOWN").then_some(())
    })
    .await;
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "out after {:?}",
        begin.elapsed()
    );
    let (one, _) = load.end().await;
    assert!(one > 50, "{one}");
    drop((hole, fill));
}
