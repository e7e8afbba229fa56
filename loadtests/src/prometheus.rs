//! What Prometheus saw of the run: asked once, after it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;
/// Points of a line at most; more would be finer than the report's axis.
const POINTS: f64 = 120.0;
/// Lines of a panel at most.
const LINES: usize = 12;

/// The panels: title, query, and the label that names a line. The window of `rate` is the shortest that has two scrapes
/// in it at the interval that the modules set.
const PANELS: &[(&str, &str, &str)] = &[
    (
        "gateway: answers per second",
        "sum by (code) (rate(haproxy_frontend_http_responses_total[WINDOW])) > 0",
        "code",
    ),
    (
        "gateway: retries and redispatches per second",
        "label_replace(sum(rate(haproxy_backend_retry_warnings_total[WINDOW])), \"what\", \"retries\", \"\", \"\") \
         or label_replace(sum(rate(haproxy_backend_redispatch_warnings_total[WINDOW])), \"what\", \"redispatches\", \"\", \"\")",
        "what",
    ),
    (
        "gateway: healthy nodes",
        "haproxy_backend_active_servers{proxy=\"auth-core\"}",
        "instance",
    ),
    (
        "Prometheus: alerts that fire",
        "count by (alertname) (ALERTS{alertstate=\"firing\"})",
        "alertname",
    ),
];

/// What Prometheus answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Monitoring {
    /// The panels that have lines.
    pub panels: Vec<Panel>,
    /// Versions that run: of the core by `auth_build_info`, of HAProxy by `haproxy_process_build_info`.
    pub versions: BTreeMap<String, Vec<String>>,
    /// What could not be asked, and why. It does not fail the run.
    pub errors: Vec<String>,
}

/// Lines that have an axis in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// What is shown.
    pub title: String,
    /// By name: points of seconds from the start, and a value.
    pub lines: BTreeMap<String, Vec<(f64, f64)>>,
}

/// Asks Prometheus at `url` about the `seconds` from `start`, in seconds since the Unix epoch.
pub(crate) async fn ask(url: &str, start: f64, seconds: f64) -> Monitoring {
    let mut monitoring = Monitoring::default();
    let client = match Client::builder().timeout(PATIENCE).no_proxy().build() {
        Ok(client) => client,
        Err(error) => {
            monitoring.errors.push(error.to_string());
            return monitoring;
        }
    };
    let step = (seconds / POINTS).max(1.0).ceil();
    // At least four scrapes of the lab (1 s) in it, and two of the modules' (15 s) in a run that is long enough for them.
    let window = if seconds > 300.0 { "45s" } else { "5s" };
    let range = [
        ("start", start.to_string()),
        ("end", (start + seconds).to_string()),
        ("step", step.to_string()),
    ];
    for (title, query, label) in PANELS {
        let query = query.replace("WINDOW", window);
        let parameters: Vec<_> = std::iter::once(("query", query))
            .chain(range.iter().cloned())
            .collect();
        match lines(&client, url, &parameters, label, start).await {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => monitoring.panels.push(Panel {
                title: (*title).into(),
                lines,
            }),
            Err(error) => monitoring.errors.push(format!("{title}: {error:#}")),
        }
    }
    for (what, metric) in [
        ("auth-core", "auth_build_info"),
        ("HAProxy", "haproxy_process_build_info"),
    ] {
        match versions(&client, url, metric).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => {
                monitoring.versions.insert(what.into(), found);
            }
            Err(error) => monitoring.errors.push(format!("{metric}: {error:#}")),
        }
    }
    monitoring
}

async fn lines(
    client: &Client,
    url: &str,
    parameters: &[(&str, String)],
    label: &str,
    start: f64,
) -> Result<BTreeMap<String, Vec<(f64, f64)>>> {
    let series = result(client, url, "query_range", parameters).await?;
    let named = series.iter().take(LINES).map(|series| {
        let name = series["metric"][label].as_str().unwrap_or("all");
        let values = series["values"].as_array().into_iter().flatten();
        let points = values.filter_map(|pair| {
            let value: f64 = pair[1].as_str()?.parse().ok()?;
            let at = pair[0].as_f64()? - start;
            value
                .is_finite()
                .then_some(((at * 1e3).round() / 1e3, value))
        });
        (crate::graphql::printable(name), points.collect())
    });
    Ok(named.collect())
}

async fn versions(client: &Client, url: &str, metric: &str) -> Result<Vec<String>> {
    let query = format!("group by (version) ({metric})");
    let series = result(client, url, "query", &[("query", query)]).await?;
    let mut found: Vec<_> = series
        .iter()
        .take(LINES)
        .filter_map(|series| series["metric"]["version"].as_str())
        .map(crate::graphql::printable)
        .collect();
    found.sort();
    Ok(found)
}

/// The series that Prometheus answers with.
async fn result(
    client: &Client,
    url: &str,
    what: &str,
    parameters: &[(&str, String)],
) -> Result<Vec<Value>> {
    let address = format!("{}/api/v1/{what}", url.trim_end_matches('/'));
    let url = Url::parse_with_params(&address, parameters)
        .with_context(|| format!("--prometheus {url:?} is not a URL"))?;
    let mut answer = client.get(url).send().await.map_err(|error| {
        // Without the URL, which has the whole query in it.
        anyhow::anyhow!("no answer: {}", crate::target::root_cause(&error))
    })?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
        ensure!(
            body.len() + chunk.len() <= LARGEST_ANSWER,
            "the answer is larger than 4 MiB"
        );
        body.extend_from_slice(&chunk);
    }
    let mut body: Value =
        serde_json::from_slice(&body).with_context(|| format!("HTTP {status} without JSON"))?;
    ensure!(
        body["status"] == "success",
        "HTTP {status}: {}",
        crate::graphql::printable(body["error"].as_str().unwrap_or("no reason"))
    );
    match body["data"]["result"].take() {
        Value::Array(series) => Ok(series),
        _ => Ok(Vec::new()),
    }
}
