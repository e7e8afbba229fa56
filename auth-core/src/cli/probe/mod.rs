//! `auth-core probe`: the service as its clients see it, for Prometheus: black-box monitoring.
//!
//! Each scrape asks the public name over TLS, as a client does. What the other metrics cannot tell is seen here: a certificate that
//! ends, a name that leads nowhere, a firewall, a log-in that fails although every part says that it is well.

mod certificate;
mod metrics;
mod steps;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};

use super::authorities;
use super::user::read_password;
use crate::error::Cause;
use steps::{Account, Site};

/// Who may ask at a time. Others wait until one has gone.
const CONNECTIONS: usize = 16;

/// How long a client may take to send its head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);

/// What is asked, and who may know.
#[derive(Args)]
pub struct ProbeArgs {
    /// The public name, such as https://auth.example.org
    url: String,
    /// Where Prometheus asks, at /metrics: keep it on loopback, as each scrape may cost a log-in
    #[arg(long, default_value = "127.0.0.1:9412")]
    listen: SocketAddr,
    /// PEM file with the authorities by which the certificate is known
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt"
    )]
    ca: PathBuf,
    /// Account that is logged in and out again, one that is for this alone
    #[arg(long, requires = "password_file")]
    email: Option<String>,
    /// File with its password
    #[arg(long, value_name = "FILE", requires = "email")]
    password_file: Option<PathBuf>,
}

/// Answers Prometheus until the process is ended.
///
/// # Errors
/// A URL that cannot be meant, a file that cannot be read, an address that is taken.
pub fn run(args: ProbeArgs) -> Result<(), Cause> {
    let account = args.email.zip(args.password_file);
    let account = account.map(|(email, password_file)| Account {
        email,
        password_file,
    });
    let site = Site::new(&args.url, args.ca, account)?;
    // So that whoever starts it hears of what is missing. Each probe reads both again: they are renewed.
    authorities::read("--ca", &site.ca)?;
    if let Some(account) = &site.account {
        read_password(Some(&account.password_file))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args.listen, site))
}

async fn serve(listen: SocketAddr, site: Site) -> Result<(), Cause> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    println!("listening on {}", listener.local_addr()?);
    let prober = Arc::new(Prober {
        site: Arc::new(site),
        last: Mutex::new(None),
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let Ok((stream, _)) = listener.accept().await else {
            // Mostly too many open files; some will be closed soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let prober = Arc::clone(&prober);
        let service = service_fn(move |request| {
            let prober = Arc::clone(&prober);
            async move { Ok::<_, Infallible>(prober.answer(&request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // Whoever goes away early is of no interest.
            let _ = connection.await;
            drop(place);
        });
    }
}

/// One probe at a time, and the last result.
struct Prober {
    site: Arc<Site>,
    last: Mutex<Option<(Instant, String)>>,
}

impl Prober {
    async fn answer(self: &Arc<Self>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, text) = match request.uri().path() {
            "/metrics" => match self.metrics().await {
                Some(text) => (StatusCode::OK, text),
                None => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            },
            "/" => (StatusCode::OK, "see /metrics\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, String::new()),
        };
        let mut answer = Response::new(Full::new(text.into()));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(metrics::FORMAT));
        answer
    }

    /// Probes, or waits for the probe that runs and takes its result. `None` if it panicked.
    async fn metrics(self: &Arc<Self>) -> Option<String> {
        let asked = Instant::now();
        let prober = Arc::clone(self);
        // A task of its own: it goes on when whoever asked has gone, and so none begins beside it.
        let task = tokio::spawn(async move {
            let mut last = prober.last.lock().await;
            if let Some((ended, text)) = &*last
                && *ended >= asked
            {
                return text.clone();
            }
            let report = steps::probe(&prober.site).await;
            for (step, why) in report.failures() {
                eprintln!("{step}: {why}");
            }
            let text = metrics::text(&report);
            *last = Some((Instant::now(), text.clone()));
            text
        });
        task.await.ok()
    }
}
