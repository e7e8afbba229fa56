//! Where the load goes and how it gets there: the URL, whom to trust, and which addresses to come from.

use std::error::Error;
use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ipnet::Ipv4Net;
use reqwest::{Certificate, Client, Url, redirect};
use serde_json::json;

/// How long a request may take unless `--timeout` says otherwise; one that takes longer has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// An idle connection is closed after this long, before the gateway does so: who uses one at the very moment when it is closed gets no
/// answer, and nothing is wrong with the service.
const IDLE: Duration = Duration::from_secs(5);

/// So many addresses keep a client with its connections.
const MOST_KEPT: usize = 1024;

/// The service under load, and the HTTP clients of the virtual users.
pub struct Target {
    url: String,
    timeout: Duration,
    roots: Option<Vec<Certificate>>,
    range: Option<Ipv4Net>,
    /// A client for each user, or for each of the first addresses of the range. Each keeps its connections.
    kept: Vec<OnceLock<Client>>,
    iterations: AtomicUsize,
}

/// Who begins an iteration of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Somebody new: a connection of their own, from the next address.
    New,
    /// Somebody who has been here before: from the next address, on the connection that is open there.
    Known,
    /// The same one again and again, from one address.
    Same,
}

impl Target {
    /// A target at `url` (`https://host:port`) for `users` virtual users, trusting only the certificates in the PEM
    /// file `ca` (`None`: the system's roots). Iterations come from the addresses of the range `from`, if given; all of
    /// them must be this machine's. A request may take `timeout` (`None`: 10 s).
    ///
    /// # Errors
    /// A text that says what to change, when the URL, the file or the range cannot be used.
    pub fn new(
        url: &str,
        users: usize,
        ca: Option<&Path>,
        from: Option<Ipv4Net>,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| {
            format!("--url {url:?} is not a URL; write it as https://HOST:PORT")
        })?;
        ensure!(
            parsed.username().is_empty() && parsed.password().is_none(),
            "--url must hold no user name or password"
        );
        ensure!(
            matches!(parsed.scheme(), "https" | "http"),
            "--url {url:?} is not an HTTP address; write it as https://HOST:PORT"
        );
        ensure!(
            parsed.query().is_none() && parsed.fragment().is_none(),
            "--url {url:?} must end with the host, the port or a path; `/graphql` is added to it"
        );
        let roots = ca.map(read_roots).transpose()?;
        if let Some(range) = from {
            check_range(range, users)?;
        }
        let kept = from.map_or(users, |range| range.hosts().count().min(MOST_KEPT));
        let target = Self {
            url: parsed.as_str().trim_end_matches('/').to_owned(),
            timeout: timeout.unwrap_or(TIMEOUT),
            roots,
            range: from,
            kept: (0..kept).map(|_| OnceLock::new()).collect(),
            iterations: AtomicUsize::new(0),
        };
        // So that one that cannot be built is known before the run.
        target.build(None)?;
        Ok(target)
    }

    /// The base URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where GraphQL is answered.
    pub(crate) fn endpoint(&self) -> String {
        format!("{}/graphql", self.url)
    }

    /// The client with which a user begins an iteration.
    pub(crate) fn client(&self, user: usize, visitor: Visitor) -> Client {
        let Some(range) = self.range else {
            return self.kept(user);
        };
        let next = || self.iterations.fetch_add(1, Ordering::Relaxed);
        match visitor {
            Visitor::New => {
                let source = range.hosts().nth(next() % range.hosts().count());
                self.build(source.map(IpAddr::from))
                    .expect("one like those before")
            }
            Visitor::Known => self.kept(next()),
            Visitor::Same => self.kept(user),
        }
    }

    fn kept(&self, number: usize) -> Client {
        let number = number % self.kept.len();
        let client = self.kept[number].get_or_init(|| {
            let source = self.range.and_then(|range| range.hosts().nth(number));
            self.build(source.map(IpAddr::from))
                .expect("one like those before")
        });
        client.clone()
    }

    fn build(&self, source: Option<IpAddr>) -> Result<Client> {
        let mut builder = Client::builder()
            .user_agent(concat!("authload/", env!("CARGO_PKG_VERSION")))
            .timeout(self.timeout)
            .pool_idle_timeout(IDLE)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .local_address(source);
        if let Some(roots) = &self.roots {
            builder = builder.tls_certs_only(roots.clone());
        }
        builder.build().context("cannot set up the HTTP client")
    }

    /// Asks whether anybody is there, so that a wrong address or certificate is one clear error before the run and
    /// not a thousand in it. Any HTTP answer will do.
    ///
    /// # Errors
    /// A text that says why there was no answer and what to look at.
    pub async fn reach(&self) -> Result<()> {
        let question = json!({ "query": "query Reach { __typename }", "operationName": "Reach" });
        let client = self.client(0, Visitor::New);
        let asked = client.post(self.endpoint()).json(&question);
        let Err(error) = asked.send().await else {
            return Ok(());
        };
        let cause = root_cause(&error);
        let hint = if cause.contains("certificate") {
            "name the CA's certificate with --ca FILE, and in --url a host that the certificate is for"
        } else {
            "is the service running, and is --url right?"
        };
        bail!("cannot reach {}: {cause}\n{hint}", self.endpoint())
    }
}

/// Checks that `range` has an address for each user, and that its addresses are this machine's.
fn check_range(range: Ipv4Net, users: usize) -> Result<()> {
    let size = range.hosts().count();
    ensure!(
        size >= users,
        "--from {range} has {size} addresses for {users} users; take a larger range or fewer --users",
    );
    for source in [range.hosts().next(), range.hosts().last()]
        .into_iter()
        .flatten()
    {
        TcpListener::bind((source, 0)).with_context(|| {
            format!(
                "--from {range}: {source} is not an address of this machine; take a loopback range like 127.9.8.0/24, \
                 or make the range local by `ip route add local {range} dev lo`"
            )
        })?;
    }
    Ok(())
}

fn read_roots(file: &Path) -> Result<Vec<Certificate>> {
    let pem =
        fs::read(file).with_context(|| format!("cannot read the --ca file {}", file.display()))?;
    let roots = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    ensure!(
        !roots.is_empty(),
        "the --ca file {} holds no certificate; it must hold PEM (`-----BEGIN CERTIFICATE-----`)",
        file.display()
    );
    Ok(roots)
}

/// Why a request got no answer, without the URL and the layers in between.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, from: Option<&str>) -> Result<Target> {
        Target::new(url, 7, None, from.map(|range| range.parse().unwrap()), None)
    }

    fn refusal(url: &str, from: Option<&str>) -> String {
        let refused = target(url, from).err();
        refused.expect("it is refused").to_string()
    }

    #[test]
    fn the_endpoint_is_below_the_url() {
        for url in ["https://auth.example:8443", "https://auth.example:8443/"] {
            let endpoint = target(url, None).unwrap().endpoint();
            assert_eq!(endpoint, "https://auth.example:8443/graphql");
        }
        let below = target("http://auth.example/auth/", None).unwrap();
        assert_eq!(below.endpoint(), "http://auth.example/auth/graphql");
    }

    #[test]
    fn an_unusable_url_is_refused_with_what_to_write() {
        assert!(refusal("127.0.0.1:8443", None).contains("https://HOST:PORT"));
        assert!(refusal("ftp://auth.example", None).contains("https://HOST:PORT"));
        let with_secret = refusal("https://a:secret@auth.example", None);
        assert!(with_secret.contains("no user name") && !with_secret.contains("secret"));
        assert!(refusal("https://auth.example/?x=1", None).contains("`/graphql` is added"));
    }

    #[test]
    fn source_addresses_are_this_machines_own_and_no_fewer_than_users() {
        let url = "http://127.0.0.1";
        // A range for documentation (RFC 5737), which no machine has.
        assert!(refusal(url, Some("192.0.2.0/24")).contains("not an address of this machine"));
        assert!(refusal(url, Some("127.9.8.0/29")).contains("6 addresses for 7 users"));
        assert!(target(url, Some("127.9.8.0/28")).is_ok());
    }
}
