//! TLS on the node's own port. The certificate and its key in `tls/` are for these tests alone, and good for a hundred years.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::process::{Process, wait_until};

pub const CERTIFICATE: &str = include_str!("tls/certificate.pem");
pub const KEY: &str = include_str!("tls/key.pem");

pub const SETTINGS: &[&str] = &[
    "tls.certificate_file=certificate.pem",
    "tls.key_file=certificate-key.pem",
];

/// Puts the certificate and its key into a folder.
pub fn put(dir: &Path) {
    fs::write(dir.join("certificate.pem"), CERTIFICATE).unwrap();
    fs::write(dir.join("certificate-key.pem"), KEY).unwrap();
}

pub fn client() -> ureq::Agent {
    let known = Certificate::from_pem(CERTIFICATE.as_bytes()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(vec![known])))
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into()
}

/// Answers the process and its URL by HTTPS.
fn start() -> (Process, String) {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path());
    let process = Process::spawn(dir, SETTINGS, &[]);
    let url = process.url.replace("http:", "https:");
    wait_until("ready", || {
        client().get(format!("{url}/readyz")).call().is_ok()
    });
    (process, url)
}

#[test]
fn a_node_with_a_certificate_speaks_tls_alone() {
    let (process, url) = start();
    let health = client().get(format!("{url}/healthz")).call().unwrap();
    assert_eq!(health.status(), 200);
    assert!(
        ureq::get(format!("{}/healthz", process.url))
            .call()
            .is_err()
    );
}

#[test]
fn a_certificate_that_cannot_be_read_again_leaves_the_old_one() {
    let (process, url) = start();
    fs::write(process.dir.path().join("certificate-key.pem"), "none").unwrap();
    process.signal("-HUP");
    wait_until("the log says so", || {
        process
            .log
            .lock()
            .unwrap()
            .contains("the certificate stays as it was")
    });
    assert!(client().get(format!("{url}/healthz")).call().is_ok());

    put(process.dir.path());
    process.signal("-HUP");
    wait_until("the log says so", || {
        process
            .log
            .lock()
            .unwrap()
            .contains("read the certificate again")
    });
    assert!(client().get(format!("{url}/healthz")).call().is_ok());
}

#[test]
fn who_says_nothing_before_tls_is_sent_away() {
    let (_process, url) = start();
    let mut silent = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);
}
