//! Certificates on both sides: clients at the gateway, and nodes behind it.

use std::fs;

use lab::TopologyName;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{CHEAP, TestStack, code, eventually, start_changed};

/// An authority of clients, whose certificate is in a file.
struct ClientCa {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl ClientCa {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { directory, issuer }
    }

    fn file(&self) -> String {
        self.directory.path().join("ca.pem").display().to_string()
    }

    /// A certificate for a name, and its key.
    fn identity(&self, name: &str) -> reqwest::Identity {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pem = certificate.pem() + &key.serialize_pem();
        reqwest::Identity::from_pem(pem.as_bytes()).unwrap()
    }
}

async fn start(ca: &ClientCa, settings: Value) -> TestStack {
    let parts = &["auth1", "auth2", "gateway", "sample1"];
    let mut gateway = json!({ "clientCa": ca.file() });
    gateway
        .as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    start_changed(TopologyName::Single, parts, Some(CHEAP), |setup| {
        setup.gateway = Some(gateway);
    })
    .await
}

fn client(stack: &TestStack, identity: Option<reqwest::Identity>) -> reqwest::Client {
    let ca = fs::read(stack.stack.ca()).unwrap();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    builder.build().unwrap()
}

#[tokio::test]
async fn a_route_that_asks_for_a_certificate_is_open_to_whom_the_authority_knows() {
    let ca = ClientCa::new();
    let stack = start(
        &ca,
        json!({ "routes": {
            "/partners": { "servers": { "sample1:8080": {} }, "requireClientCertificate": true },
            "/sample": { "servers": { "sample1:8080": {} } },
        } }),
    )
    .await;
    let url = stack.url("gateway");
    // The status, and what the service or the gateway answers; each time with a lie.
    let get = async |client: &reqwest::Client, path: &str| {
        let request = client.get(format!("{url}{path}"));
        let request = request.header("x-auth-certificate", "partner");
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let known = client(&stack, Some(ca.identity("partner\r\nx-evil: 1")));
    let (_, seen) = get(&known, "/partners").await;
    let told = json!(["partner%0D%0Ax-evil: 1"]);
    assert_eq!(seen["headers"]["x-auth-certificate"], told, "{seen}");
    assert_eq!(seen["headers"]["x-evil"], Value::Null);

    let nobody = client(&stack, None);
    let (status, answer) = get(&nobody, "/partners").await;
    assert_eq!((status, code(&answer)), (403, "FORBIDDEN"));
    // All else is as before.
    let (_, seen) = get(&nobody, "/sample").await;
    assert_eq!(seen["headers"]["x-auth-certificate"], Value::Null, "{seen}");

    let stranger = client(&stack, Some(ClientCa::new().identity("partner")));
    let answer = stranger.get(format!("{url}/partners")).send().await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn a_gateway_that_asks_everybody_speaks_to_nobody_else() {
    let ca = ClientCa::new();
    let mut stack = start(
        &ca,
        json!({ "requireClientCertificate": true, "routes": {} }),
    )
    .await;
    let answer = client(&stack, None)
        .get(stack.url("gateway") + "/graphql")
        .send()
        .await;
    assert!(answer.is_err(), "{answer:?}");
    stack.client = client(&stack, Some(ca.identity("partner")));
    let answer = stack.sign_up("ann@example.com").await;
    assert_eq!(
        answer["data"]["signUp"]["account"]["email"], "ann@example.com",
        "{answer}"
    );
}

#[tokio::test]
async fn gateway_and_monitor_reach_nodes_by_tls_and_a_node_of_another_name_is_not_asked() {
    let parts = &[
        "auth1",
        "auth2",
        "gateway",
        "gateway-keys",
        "sample1",
        "prometheus",
    ];
    let stack = start_changed(TopologyName::Single, parts, Some(CHEAP), |setup| {
        setup.internal_tls = true;
    })
    .await;
    let answer = stack.sign_up("ann@example.com").await;
    let token = answer["data"]["signUp"]["accessToken"].as_str().unwrap();
    // Plain HTTP is no longer spoken.
    let plain = stack.url("auth1").replace("https:", "http:") + "/healthz";
    let answer = stack.client.get(plain).send().await;
    assert!(answer.is_err(), "{answer:?}");

    // The keys came by TLS, too, and so does what is asked of the core.
    let member = stack
        .client
        .get(stack.url("gateway") + "/members")
        .bearer_auth(token);
    assert_eq!(member.send().await.unwrap().status(), 200);
    let live = stack
        .client
        .get(stack.url("gateway") + "/live")
        .bearer_auth(token);
    assert_eq!(live.send().await.unwrap().status(), 200);

    eventually("Prometheus scrapes both", || async {
        let url = stack.url("prometheus") + "/api/v1/query?query=up";
        let answer: Value = stack.client.get(url).send().await.ok()?.json().await.ok()?;
        let rows = answer["data"]["result"].as_array()?.iter();
        let up = rows.filter(|row| row["metric"]["job"] == "auth-core" && row["value"][1] == "1");
        (up.count() == 2).then_some(())
    })
    .await;

    // The authority's, too, but another host's.
    let keys = stack.directory().join("keys");
    for file in ["nodes.pem", "nodes-key.pem"] {
        fs::copy(keys.join("gateway.pem"), keys.join(file)).unwrap();
    }
    let status = stack.stack.status().await;
    let node = status
        .parts
        .iter()
        .find(|part| part.name == "auth2")
        .unwrap();
    let pid = Pid::from_raw(node.pid.unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    eventually("the gateway distrusts the node", || async {
        (stack.node_state("auth2").await == "DOWN").then_some(())
    })
    .await;
    assert_eq!(stack.node_state("auth1").await, "UP");
}
