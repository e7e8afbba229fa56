//! TLS as Mozilla's guidelines have it, by the audit of the program sslyze, which is not ours and runs unchanged.

use std::{fs, net::SocketAddr, path::Path};

use lab::TopologyName;
use serde_json::json;
use tokio::process::Command;

use crate::support::{CHEAP, SERVING, TestStack, start, start_changed};

#[tokio::test]
async fn clients_meet_mozillas_intermediate_profile() {
    let stack = start(SERVING).await;
    let intermediate = audit(&stack, "intermediate").await;
    assert!(intermediate.is_ok(), "{intermediate:?}");
    // TLS 1.2 is too much for the other profile: the audit does see what is spoken.
    let modern = audit(&stack, "modern").await.unwrap_err();
    assert!(modern.contains("TLSv1.2"), "{modern}");
}

#[tokio::test]
async fn clients_meet_mozillas_modern_profile_where_that_is_wanted() {
    let stack = start_changed(TopologyName::Single, SERVING, Some(CHEAP), |setup| {
        setup.tls_profile = Some("modern".into());
    })
    .await;
    let modern = audit(&stack, "modern").await;
    assert!(modern.is_ok(), "{modern:?}");
}

#[tokio::test]
async fn browsers_are_told_to_insist_on_https() {
    let stack = start(SERVING).await;
    for path in ["/graphql", "/no-such-path"] {
        let answer = stack
            .client
            .get(stack.url("gateway") + path)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.headers()["strict-transport-security"],
            format!("max-age={}", stack.default_of("/gateway/hstsSeconds"))
        );
    }
}

/// Port 80 is for two things: the way to HTTPS, and what an authority asks for before it signs a certificate.
#[tokio::test]
async fn who_comes_by_plain_http_is_sent_to_https_but_for_a_certificates_authority() {
    let mut plain = None;
    let _stack = start_changed(TopologyName::Single, SERVING, Some(CHEAP), |setup| {
        let address = SocketAddr::from((setup.network.address(98), 8080));
        plain = Some(address);
        // Stands in for a client of ACME: whatever it does not know, it says so in JSON.
        let client = format!("{}:8080", setup.network.address(11));
        setup.gateway = Some(json!({
            "listenPlain": address.to_string(),
            "acmeChallenge": [{ "name": "here", "address": client }],
        }));
    })
    .await;
    let redirected = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let ask = async |method: reqwest::Method, path: &str, host: &str| {
        let url = format!("http://{}{path}", plain.unwrap());
        let request = redirected.request(method, url).header("host", host);
        let answer = request.send().await.unwrap();
        let to = answer.headers().get("location").cloned();
        let to = to.map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to)
    };
    for method in [reqwest::Method::GET, reqwest::Method::POST] {
        // 308 keeps the method and the body.
        let to = "https://localhost/graphql?a=b".to_owned();
        let answer = ask(method, "/graphql?a=b", "localhost").await;
        assert_eq!(answer, (308, Some(to)));
    }
    let strange = ask(reqwest::Method::GET, "/", "elsewhere").await;
    assert_eq!(strange, (421, None));
    let challenge = "/.well-known/acme-challenge/token";
    let asked = ask(reqwest::Method::GET, challenge, "localhost").await;
    assert_eq!(asked, (404, None), "it is the client's to answer");
}

/// Holds the gateway against a profile of Mozilla's: what sslyze says, as an error where the gateway does not comply.
async fn audit(stack: &TestStack, profile: &str) -> Result<String, String> {
    let packages = sslyze().await;
    let output = Command::new("python3")
        .args(["-m", "sslyze", "--mozilla_config", profile])
        .arg("--certinfo_ca_file")
        .arg(stack.stack.ca())
        .arg(stack.gateway_address().to_string())
        .env("PYTHONPATH", packages)
        .kill_on_drop(true)
        .output()
        .await
        .expect("`./dev install` installs python3");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("COMPLIANCE AGAINST TLS CONFIGURATION"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

/// The folder with sslyze, fetched once.
async fn sslyze() -> std::path::PathBuf {
    static FETCHING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = FETCHING.lock().await;
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sslyze/requirements.txt");
    // Its compiled parts are for one version of Python.
    let python = Command::new("python3").arg("--version").output().await;
    let python = String::from_utf8(python.expect("`./dev install` installs python3").stdout);
    let folder = format!("sslyze-{}", python.unwrap().trim().replace(' ', "-"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let fetched = folder.join("requirements.txt");
    if fs::read(&wanted).unwrap() != fs::read(&fetched).unwrap_or_default() {
        let _ = fs::remove_dir_all(&folder);
        let pip = Command::new("pip3")
            .args(["install", "--quiet", "--require-hashes", "--target"])
            .arg(&folder)
            .arg("--requirement")
            .arg(&wanted)
            .kill_on_drop(true)
            .output()
            .await
            .expect("`./dev install` installs pip3");
        assert!(
            pip.status.success(),
            "pip3 fails: {}",
            String::from_utf8_lossy(&pip.stderr)
        );
        fs::copy(wanted, fetched).unwrap();
    }
    folder
}
