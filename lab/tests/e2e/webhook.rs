//! A receiver of alerts, as Alertmanager's webhooks want one.

use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// Its URL, and each alert that it is told from now on.
pub async fn listen() -> (String, UnboundedReceiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let tell = tell.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let tell = tell.clone();
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    let message: Value = serde_json::from_slice(&body).expect("a notice in JSON");
                    for alert in message["alerts"].as_array().into_iter().flatten() {
                        // Nobody listens any longer when the test is over.
                        let _ = tell.send(alert.clone());
                    }
                    Ok::<_, hyper::Error>(Response::new(String::new()))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
        }
    });
    (url, told)
}
