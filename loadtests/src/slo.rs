//! Rules on phases: goose's `--threshold` with a phase before it, such as `during: p99<1s`.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use goose::GooseError;
use goose::threshold::Threshold;

use crate::events::{Fault, Phase};
use crate::graphql::Operation;
use crate::report::Verdict;
use crate::samples::{Figures, Samples};

/// One rule on what a phase's requests did.
#[derive(Debug, Clone)]
pub struct PhaseRule {
    phase: Phase,
    text: String,
    metric: Metric,
    /// `<`, `<=`, `>` or `>=`.
    operator: String,
    /// In milliseconds, or in percent.
    limit: f64,
    /// Whose requests alone, as goose names them: `POST logIn`.
    request: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Metric {
    Percentile(f64),
    Average,
    Maximum,
    ErrorRate,
}

/// The phase that a rule begins with, and the rest.
fn split(text: &str) -> Option<(Phase, &str)> {
    let (phase, rule) = text.split_once(':')?;
    let phase = Phase::ALL.into_iter().find(|one| one.name() == phase)?;
    Some((phase, rule.trim()))
}

/// Takes the rules on phases out of `rules`; what is left is for goose.
///
/// # Errors
/// When one of them is no rule.
pub fn take(rules: &mut Vec<String>) -> Result<Vec<PhaseRule>> {
    let (ours, rest): (Vec<_>, Vec<_>) = std::mem::take(rules)
        .into_iter()
        .partition(|rule| split(rule).is_some());
    for rule in &rest {
        check(rule, rule)?;
    }
    *rules = rest;
    ours.iter().map(|rule| rule.parse()).collect()
}

/// Lets goose say what is wrong with the rule in the option `text`.
fn check(text: &str, rule: &str) -> Result<()> {
    match rule.parse::<Threshold>() {
        Ok(_) => Ok(()),
        Err(GooseError::InvalidOption { detail, .. }) => bail!("--threshold {text:?}: {detail}"),
        Err(error) => bail!("--threshold {text:?}: {error}"),
    }
}

/// Whether a rule says how many requests may fail.
pub(crate) fn is_error_rate(rule: &str) -> bool {
    split(rule)
        .map_or(rule, |(_, rule)| rule)
        .trim_start()
        .starts_with("error-rate")
}

impl FromStr for PhaseRule {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (phase, rule) = split(text).context("no phase")?;
        // goose says what is wrong with a rule; what it takes is easy to take apart.
        check(text, rule)?;
        let (compared, request) = match rule.split_once(" for ") {
            Some((compared, request)) => (compared, Some(request.trim().to_owned())),
            None => (rule, None),
        };
        let known = |name: &str| {
            Operation::ALL
                .iter()
                .any(|one| format!("{} {}", one.method(), one.name()) == name)
        };
        if let Some(request) = request.as_deref().filter(|request| !known(request)) {
            bail!("--threshold {text:?}: there is no request {request:?}; one is \"POST logIn\"");
        }
        let at = compared.find(['<', '>']).context("no operator")?;
        let value = compared[at..].trim_start_matches(['<', '>', '=']);
        let operator = compared[at..compared.len() - value.len()].to_owned();
        let metric = match compared[..at].trim() {
            "avg" => Metric::Average,
            "max" => Metric::Maximum,
            "error-rate" => Metric::ErrorRate,
            "rps" => bail!("--threshold {text:?}: a phase has no rps"),
            percentile => Metric::Percentile(percentile.trim_start_matches('p').parse()?),
        };
        let value = value.trim();
        let (number, unit) = value.split_at(
            value
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(value.len()),
        );
        let scale = match unit {
            "us" => 0.001,
            "s" => 1000.0,
            _ => 1.0,
        };
        Ok(Self {
            phase,
            text: text.to_owned(),
            metric,
            operator,
            limit: number.parse::<f64>()? * scale,
            request,
        })
    }
}

impl PhaseRule {
    /// Judges the requests of the rule's phase. Without any, the rule fails.
    pub(crate) fn judge(&self, samples: &Samples, faults: &[Fault]) -> Verdict {
        let is_meant = |operation: Operation| {
            let name = format!("{} {}", operation.method(), operation.name());
            self.request.as_ref().is_none_or(|request| *request == name)
        };
        let mut figures: Figures = (samples.all.iter().copied())
            .filter(|sample| {
                Phase::of(faults, sample.began(), sample.ended()) == self.phase
                    && is_meant(sample.operation())
            })
            .collect();
        let observed = match self.metric {
            Metric::Percentile(percent) => figures.percentile_ms(percent),
            Metric::Average => figures.average_ms(),
            Metric::Maximum => figures.percentile_ms(100.0),
            Metric::ErrorRate => (figures.requests > 0)
                .then(|| figures.failed as f64 * 100.0 / figures.requests as f64),
        };
        let passes = |observed: f64| match self.operator.as_str() {
            "<" => observed < self.limit,
            "<=" => observed <= self.limit,
            ">" => observed > self.limit,
            _ => observed >= self.limit,
        };
        let unit = match self.metric {
            Metric::ErrorRate => "%",
            _ => "ms",
        };
        Verdict {
            rule: self.text.clone(),
            observed: observed.map_or("no samples".into(), |value| format!("{value:.1}{unit}")),
            passed: observed.is_some_and(passes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::samples::tests::{cut_off, succeeded};

    /// A request of 10 ms each second, but of 500 ms from 4 s to 6 s, when one is cut off, too.
    fn samples() -> (Samples, Vec<Fault>) {
        let mut samples = Samples::default();
        for second in 0..10 {
            let ms = if (4..=6).contains(&second) { 500 } else { 10 };
            samples.add(
                Duration::from_secs(second),
                succeeded(Operation::VerifyToken, ms),
            );
        }
        samples.add(Duration::from_secs(5), cut_off());
        let fault = Fault {
            name: "pause".into(),
            begin: 3.5,
            end: Some(6.0),
        };
        (samples, vec![fault])
    }

    fn judged(rule: &str) -> (bool, String) {
        let (samples, faults) = samples();
        let verdict = rule.parse::<PhaseRule>().unwrap().judge(&samples, &faults);
        assert_eq!(verdict.rule, rule);
        (verdict.passed, verdict.observed)
    }

    #[test]
    fn a_rule_judges_its_phase_alone() {
        for (rule, passes, observed) in [
            ("before: p99<50ms", true, "10.0ms"),
            ("during: p99<50ms", false, "500.0ms"),
            ("during: p99<=0.5s for POST verifyToken", true, "500.0ms"),
            ("during: max>400", true, "500.0ms"),
            ("during: error-rate<=25%", true, "25.0%"),
            ("during: error-rate<25", false, "25.0%"),
            ("after: avg<10001us", true, "10.0ms"),
            ("after: error-rate<1%", true, "0.0%"),
            ("after: p50<1s for POST logIn", false, "no samples"),
        ] {
            assert_eq!(judged(rule), (passes, observed.into()), "{rule}");
        }
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused_with_what_to_write() {
        for (rule, expected) in [
            ("during: p99", "no operator"),
            ("during: p100<1s", "less than 100"),
            ("during: p99<1h", "is not a time"),
            ("during: rps>5", "a phase has no rps"),
            ("during: p99<1s for logIn", "one is \"POST logIn\""),
        ] {
            let error = format!("{:#}", rule.parse::<PhaseRule>().unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rules_without_a_phase_are_left_for_goose() {
        let mut rules = vec!["p99<1s".to_owned(), "after: p99<1s".to_owned()];
        assert_eq!(take(&mut rules).unwrap().len(), 1);
        assert_eq!(rules, ["p99<1s"]);
        assert!(is_error_rate("error-rate<1%") && is_error_rate("during: error-rate<1%"));
        assert!(!is_error_rate("p99<1s"));
    }
}
