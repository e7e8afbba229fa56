//! Nobody fills the gateway or a node with connections.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};

use crate::raw;
use crate::support::{SERVING, TestStack, code, eventually, start};

const PER_ADDRESS: &str = "/gateway/connections/perAddress";
const REQUESTS_PER_ADDRESS: &str = "/gateway/connections/requestsPerAddress";
const PER_NODE: &str = "/gateway/connections/perNode";
/// How long a client may take for its part of a handshake, with some time for a busy machine.
const HANDSHAKE: Duration = Duration::from_secs(13);

#[tokio::test]
async fn two_hundred_connections_of_one_address_that_say_nothing_leave_the_service_up() {
    let mut stack = start(SERVING).await;
    let per_address = stack.default_of(PER_ADDRESS);
    let begin = Instant::now();
    let mut watched = JoinSet::new();
    for _ in 0..200.max(2 * per_address) {
        // Some are closed so soon that they were never open.
        if let Ok(stream) = raw::connect(&stack, 1).await {
            watched.spawn(unless_closed(stream, Duration::from_secs(2)));
        }
    }
    let kept: Vec<_> = watched.join_all().await.into_iter().flatten().collect();
    assert_eq!(kept.len(), per_address);
    assert!(
        raw::connect_tls(&stack, 1).await.is_err(),
        "one more gets as far as TLS"
    );

    stack.move_client_to(2);
    let elsewhere = stack.ask("{ __typename }", Value::Null, None).await;
    assert_eq!(elsewhere["data"]["__typename"], "Query");

    for stream in kept {
        let left = HANDSHAKE.saturating_sub(begin.elapsed());
        let open = unless_closed(stream, left).await;
        assert!(open.is_none(), "no handshake, and open after {HANDSHAKE:?}");
    }
    stack.move_client_to(1);
    let again = stack.ask("{ __typename }", Value::Null, None).await;
    assert_eq!(again["data"]["__typename"], "Query");
}

/// Each line comes in time, and the whole never does.
#[tokio::test]
async fn who_sends_a_head_line_by_line_is_told_that_it_takes_too_long() {
    let stack = start(SERVING).await;
    let mut stream = raw::connect_tls(&stack, 1).await.unwrap();
    let begin = Instant::now();
    let host = stack.gateway_address();
    let head = format!("GET /graphql HTTP/1.1\r\nHost: {host}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    while timeout(Duration::from_secs(1), stream.read_exact(&mut answer))
        .await
        .is_err()
    {
        assert!(begin.elapsed() < HANDSHAKE, "open after {HANDSHAKE:?}");
        stream.write_all(b"x-more: to come\r\n").await.unwrap();
    }
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
}

#[tokio::test]
async fn a_node_gets_no_more_requests_at_once_than_it_has_connections_for() {
    let mut stack = start(SERVING).await;
    pause_nodes(&stack).await;
    let per_address = stack.default_of(REQUESTS_PER_ADDRESS);
    let per_node = stack.default_of(PER_NODE);
    let mut asking = JoinSet::new();
    // Somewhat more than both nodes take.
    for client in 0..=(2 * per_node / per_address + 1) as u8 {
        stack.move_client_to(client);
        for _ in 0..per_address {
            let request = stack.request("{ __typename }", json!({}));
            asking.spawn(async move { request.send().await.map(|answer| answer.status()) });
        }
    }
    eventually("both nodes are full, and the others queue", || async {
        let full = under_way(&stack, "auth1").await == per_node
            && under_way(&stack, "auth2").await == per_node;
        full.then_some(())
    })
    .await;
    for node in ["auth1", "auth2"] {
        stack.stack.start_part(node).await.unwrap();
    }
    for answer in asking.join_all().await {
        let status = answer.expect("an answer");
        assert!(status == 200 || status == 503, "{status}");
    }
}

#[tokio::test]
async fn an_address_has_only_so_many_requests_under_way_and_others_have_theirs() {
    let mut stack = start(SERVING).await;
    stack.move_client_to(1);
    pause_nodes(&stack).await;
    let mut asking = JoinSet::new();
    let (limit, beyond) = (stack.default_of(REQUESTS_PER_ADDRESS), 36);
    for _ in 0..limit + beyond {
        let request = stack.request("{ __typename }", json!({}));
        asking.spawn(async move { request.send().await.expect("an answer") });
    }
    for _ in 0..beyond {
        let refused = asking.join_next().await.unwrap().unwrap();
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(code(&refused), "RATE_LIMITED");
    }

    stack.move_client_to(2);
    let elsewhere = stack.request("{ __typename }", json!({}));
    asking.spawn(async move { elsewhere.send().await.expect("an answer") });
    eventually("all others are at the nodes", || async {
        let count = under_way(&stack, "auth1").await + under_way(&stack, "auth2").await;
        (count == limit + 1).then_some(())
    })
    .await;
    for node in ["auth1", "auth2"] {
        stack.stack.start_part(node).await.unwrap();
    }
    for answer in asking.join_all().await {
        assert_eq!(answer.status(), 200);
    }
    stack.move_client_to(1);
    eventually("what has ended counts no longer", || async {
        let again = stack.try_send("{ __typename }", json!({}), None).await;
        (again.ok()?.0 == 200).then_some(())
    })
    .await;
}

/// Halts both nodes, and lets the gateway believe in them: or they would soon be taken for dead, and get nothing.
async fn pause_nodes(stack: &TestStack) {
    for node in ["auth1", "auth2"] {
        tell_gateway(stack, &format!("disable health auth-core/{node}")).await;
        stack.stack.pause_part(node).unwrap();
    }
}

/// A command on HAProxy's own socket.
async fn tell_gateway(stack: &TestStack, command: &str) {
    let socket = stack.directory().join("parts/gateway/admin.sock");
    let mut socket = UnixStream::connect(socket).await.expect("a socket");
    socket
        .write_all(format!("{command}\n").as_bytes())
        .await
        .unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.trim(), "", "{command}");
}

/// The requests that a node has of the gateway: never more than it may have.
async fn under_way(stack: &TestStack, node: &str) -> usize {
    let count = stack.under_way(node).await;
    let most = stack.default_of(PER_NODE);
    assert!(count <= most, "{node} has {count} requests");
    count
}

/// The connection, if the gateway has not closed it after `patience`.
async fn unless_closed(mut stream: TcpStream, patience: Duration) -> Option<TcpStream> {
    let mut byte = [0];
    match timeout(patience, stream.read(&mut byte)).await {
        Ok(_) => None,
        Err(_) => Some(stream),
    }
}
