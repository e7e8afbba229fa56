//! Bytes over TLS that no HTTP client would send.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::support::TestStack;

/// Longer than the gateway waits for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// A TCP connection to the gateway from the `client`th address of the stack's clients.
pub async fn connect(stack: &TestStack, client: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((stack.client_address(client), 0).into())?;
    socket.connect(stack.gateway_address()).await
}

/// The same, with TLS that speaks HTTP/1.1.
pub async fn connect_tls(stack: &TestStack, client: u8) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(stack.stack.ca()).expect("the CA can be read");
    roots.add(ca).expect("a CA");
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::IpAddress(stack.gateway_address().ip().into());
    TlsConnector::from(Arc::new(config))
        .connect(name, connect(stack, client).await?)
        .await
}

/// Sends `request` as it is and reads until the gateway closes the connection.
pub async fn send(stack: &TestStack, client: u8, request: &[u8]) -> String {
    let mut stream = connect_tls(stack, client).await.expect("a connection");
    stream.write_all(request).await.expect("it can be sent");
    let mut answer = Vec::new();
    // An end without TLS' own goodbye is an end, too.
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "the gateway has not closed the connection within {PATIENCE:?}"
    );
    String::from_utf8_lossy(&answer).into_owned()
}
