//! What a probe found, in Prometheus' text format. `docs/reference/metrics.md` has the metrics.

use std::fmt::Write as _;

use super::steps::Report;

/// The media type of the text.
pub const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    begin(
        &mut text,
        "auth_probe_success",
        "Whether the step succeeded: 1 or 0.",
    );
    for step in &report.steps {
        let success = u8::from(step.failed.is_none());
        let _ = writeln!(
            text,
            "auth_probe_success{{step=\"{}\"}} {success}",
            step.name
        );
    }
    begin(
        &mut text,
        "auth_probe_seconds",
        "How long the step took, whatever it came to.",
    );
    for step in &report.steps {
        let seconds = step.took.as_secs_f64();
        let _ = writeln!(
            text,
            "auth_probe_seconds{{step=\"{}\"}} {seconds}",
            step.name
        );
    }
    if let Some(expires) = report.certificate_expires {
        let name = "auth_probe_certificate_expires_timestamp_seconds";
        begin(
            &mut text,
            name,
            "When the certificate that is shown expires, in seconds since 1970, whether it is valid or not.",
        );
        let _ = writeln!(text, "{name} {expires}");
    }
    text
}

fn begin(text: &mut String, name: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}
