//! The steps of a probe. Each is tried whatever became of the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Uri;
use zeroize::Zeroizing;

use super::certificate;
use crate::cli::authorities;
use crate::cli::user::read_password;
use crate::error::Cause;

/// How long what needs no hash may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a log-in may take, and the log-out after it. The gateway answers within eight seconds, if only to say that no node does.
const LOG_IN_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

const LOG_IN: &str = "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { accessToken } }";
const LOG_OUT: &str = "mutation { logOut { message } }";

/// What is probed.
pub struct Site {
    /// `https://HOST:PORT`.
    origin: String,
    host: String,
    port: u16,
    /// PEM file of the authorities by which it is known.
    pub ca: PathBuf,
    /// Who is logged in.
    pub account: Option<Account>,
}

/// An account that is for probes alone.
pub struct Account {
    /// Its e-mail address.
    pub email: String,
    /// The file with its password.
    pub password_file: PathBuf,
}

impl Site {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Anything but `https://HOST` or `https://HOST:PORT`.
    pub fn new(url: &str, ca: PathBuf, account: Option<Account>) -> Result<Self, Cause> {
        // Not quoted: whoever put a password into it did so by mistake.
        let expected = "expected a URL such as https://auth.example.org, without a user and a path";
        let uri: Uri = url.parse().map_err(|_| expected)?;
        let plain = uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/");
        let authority = uri.authority().filter(|name| !name.as_str().contains('@'));
        match authority {
            Some(authority) if plain && uri.query().is_none() => Ok(Self {
                origin: format!("https://{authority}"),
                host: authority.host().trim_matches(['[', ']']).to_owned(),
                port: authority.port_u16().unwrap_or(443),
                ca,
                account,
            }),
            _ => Err(expected.into()),
        }
    }
}

/// What became of a probe.
pub struct Report {
    /// Those that were tried.
    pub steps: Vec<Step>,
    /// When the certificate expires, in seconds since 1970, where one was shown.
    pub certificate_expires: Option<i64>,
}

/// What became of a step.
pub struct Step {
    /// What it is called in the metrics.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub failed: Option<Cause>,
}

impl Report {
    /// The steps that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &Cause)> {
        self.steps
            .iter()
            .filter_map(|step| Some((step.name, step.failed.as_ref()?)))
    }
}

/// Takes all steps.
pub async fn probe(site: &Arc<Site>) -> Report {
    let began = Instant::now();
    let (certificate_expires, valid) = match authorities::read("--ca", &site.ca) {
        Ok(known) => certificate::check(&site.host, site.port, &known, TIMEOUT).await,
        Err(error) => (None, Err(error.into())),
    };
    let mut steps = vec![Step::ended("certificate", began, valid)];
    let others = Arc::clone(site);
    match tokio::task::spawn_blocking(move || ask(&others)).await {
        Ok(asked) => steps.extend(asked),
        Err(error) => steps.push(Step::ended("answer", began, Err(error.into()))),
    }
    Report {
        steps,
        certificate_expires,
    }
}

impl Step {
    fn ended(name: &'static str, began: Instant, result: Result<(), Cause>) -> Self {
        Self {
            name,
            took: began.elapsed(),
            failed: result.err(),
        }
    }
}

/// The steps that speak HTTP.
fn ask(site: &Site) -> Vec<Step> {
    let mut steps = Vec::new();
    // New each time: a connection that is kept would tell nothing of those that others begin.
    let agent = |timeout| -> Result<Agent, Cause> {
        let known = authorities::read("--ca", &site.ca)?;
        let client = authorities::client(known, timeout);
        // Neither to a place that an answer names nor by way of another: the password is for this one alone.
        Ok(client
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .http_status_as_error(false)
            .build()
            .into())
    };
    let began = Instant::now();
    let answer = agent(TIMEOUT).and_then(|agent| answers(&agent, site));
    steps.push(Step::ended("answer", began, answer));
    if let Some(account) = &site.account {
        let began = Instant::now();
        let logged_in =
            agent(LOG_IN_TIMEOUT).and_then(|agent| log_in_and_out(&agent, site, account));
        steps.push(Step::ended("log_in", began, logged_in));
    }
    steps
}

fn answers(agent: &Agent, site: &Site) -> Result<(), Cause> {
    let answer = agent.get(format!("{}/healthz", site.origin)).call()?;
    match answer.status().as_u16() {
        200 => Ok(()),
        status => Err(format!("/healthz answers {status}").into()),
    }
}

/// The log-out belongs to it: sessions would pile up.
fn log_in_and_out(agent: &Agent, site: &Site, account: &Account) -> Result<(), Cause> {
    let password = Zeroizing::new(read_password(Some(&account.password_file))?);
    let variables = json!({ "email": account.email, "password": *password });
    let data = graphql(agent, site, None, LOG_IN, variables)?;
    let token = data["logIn"]["accessToken"].as_str();
    let token = token.ok_or("logIn answers without a token")?;
    let bearer = Zeroizing::new(format!("Bearer {token}"));
    let data = graphql(agent, site, Some(&bearer), LOG_OUT, json!({}))
        .map_err(|error| format!("the log-out after it: {error}"))?;
    match data["logOut"]["message"].as_str() {
        Some(_) => Ok(()),
        None => Err("the log-out after it answers nothing".into()),
    }
}

/// The data of an answer. Nothing else of it is told: it may repeat what was sent.
fn graphql(
    agent: &Agent,
    site: &Site,
    authorization: Option<&str>,
    query: &str,
    variables: Value,
) -> Result<Value, Cause> {
    let body = json!({ "query": query, "variables": variables });
    let body = Zeroizing::new(body.to_string());
    let mut request = agent
        .post(format!("{}/graphql", site.origin))
        .content_type("application/json");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let mut answer = request.send(body.as_str())?;
    let status = answer.status().as_u16();
    let text = answer
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER)
        .read_to_string()?;
    let mut said: Value = serde_json::from_str(&text).unwrap_or_default();
    match code(&said) {
        Some(code) => Err(format!("refused with {code}").into()),
        None if status == 200 => Ok(said["data"].take()),
        None => Err(format!("the answer is {status}").into()),
    }
}

/// The code of the first error, of those that look like one of ours.
fn code(said: &Value) -> Option<&str> {
    let error = said["errors"].as_array()?.first()?;
    let code = error["extensions"]["code"].as_str().unwrap_or_default();
    let ours = (1..=40).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    Some(if ours { code } else { "an unknown code" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_https_url_of_a_host_is_probed() {
        let site = |url: &str| Site::new(url, PathBuf::new(), None);
        for (url, host, port) in [
            ("https://auth.example.org", "auth.example.org", 443),
            ("https://auth.example.org:8443/", "auth.example.org", 8443),
            ("https://[fd00::1]:8443", "fd00::1", 8443),
        ] {
            let site = site(url).ok().unwrap();
            assert_eq!((site.host.as_str(), site.port), (host, port), "{url}");
        }
        for url in [
            "http://auth.example.org",
            "auth.example.org",
            "https://",
            "https://ann:secret@auth.example.org",
            "https://auth.example.org/path",
            "https://auth.example.org?a=secret",
        ] {
            let error = site(url).err().expect(url).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn of_an_error_only_a_code_that_can_be_ours_is_told() {
        let with = |code: Value| json!({ "errors": [{ "extensions": { "code": code } }] });
        assert_eq!(code(&with(json!("RATE_LIMITED"))), Some("RATE_LIMITED"));
        for other in [
            json!("correct horse"),
            json!("A".repeat(41)),
            json!(7),
            json!(""),
        ] {
            assert_eq!(code(&with(other)), Some("an unknown code"));
        }
        assert_eq!(code(&json!({ "errors": [7] })), Some("an unknown code"));
        assert_eq!(code(&json!({ "data": {} })), None);
    }
}
