//! What was done to the service while it was under load, and the phases that follow from it.
//!
//! Whoever breaks the service appends a line to a file when it begins and when it ends:
//! `{"at": 1790000000.25, "name": "auth1 is killed", "phase": "begin"}`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The largest file of events that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Seconds since the Unix epoch.
    at: f64,
    name: String,
    phase: Edge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Edge {
    Begin,
    End,
}

/// Something that was done to the service, in seconds from the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What was done.
    pub name: String,
    /// When it began.
    pub begin: f64,
    /// When it ended; `null` when the run ended first.
    pub end: Option<f64>,
}

/// Where a request lies: see [`Phase::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It was answered before the first fault began.
    Before,
    /// A fault lasted while it was under way, if only for a moment.
    During,
    /// All others: it was sent after a fault had ended.
    After,
}

impl Phase {
    /// All phases, in their order.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];

    /// The name in rules and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        }
    }

    /// The phase of a request that was under way between two times, in seconds from the start.
    pub(crate) fn of(faults: &[Fault], began: f64, ended: f64) -> Self {
        let lasts =
            |fault: &Fault| ended >= fault.begin && fault.end.is_none_or(|end| began <= end);
        if faults.iter().any(lasts) {
            Self::During
        } else if faults.iter().all(|fault| ended < fault.begin) {
            Self::Before
        } else {
            Self::After
        }
    }
}

/// Reads the file of a run that started at `started_at`, in seconds since the Unix epoch.
///
/// # Errors
/// A text that says what is wrong with the file.
pub(crate) fn read(file: &Path, started_at: f64) -> Result<Vec<Fault>> {
    let mut text = String::new();
    let what = || format!("the file of events {} cannot be read", file.display());
    let length = File::open(file)
        .with_context(what)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)
        .with_context(what)? as u64;
    ensure!(
        length <= LARGEST_FILE,
        "the file of events {} is larger than 1 MiB",
        file.display()
    );
    parse(&text, started_at).with_context(what)
}

fn parse(text: &str, started_at: f64) -> Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let number = number + 1;
        let line: Line = serde_json::from_str(line).with_context(|| format!("line {number}"))?;
        let at = ((line.at - started_at) * 1000.0).round() / 1000.0;
        let open = faults
            .iter_mut()
            .rfind(|fault| fault.name == line.name && fault.end.is_none());
        match (line.phase, open) {
            (Edge::Begin, None) => faults.push(Fault {
                name: line.name,
                begin: at,
                end: None,
            }),
            (Edge::End, Some(fault)) => fault.end = Some(at),
            (Edge::Begin, Some(_)) => {
                anyhow::bail!("line {number}: {:?} has begun already", line.name)
            }
            (Edge::End, None) => anyhow::bail!("line {number}: {:?} has not begun", line.name),
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILL: &str = r#"{"at": 1012.5, "name": "kill", "phase": "begin"}
{"at": 1015, "name": "kill", "phase": "end"}
"#;

    #[test]
    fn a_fault_lasts_from_its_begin_to_its_end_or_to_that_of_the_run() {
        let more = r#"{"at": 1020, "name": "pause", "phase": "begin"}"#;
        let faults = parse(&format!("{KILL}\n{more}"), 1000.0).unwrap();
        assert_eq!(
            faults,
            [
                Fault {
                    name: "kill".into(),
                    begin: 12.5,
                    end: Some(15.0)
                },
                Fault {
                    name: "pause".into(),
                    begin: 20.0,
                    end: None
                },
            ]
        );
    }

    #[test]
    fn what_a_fault_touched_is_during_it() {
        let faults = parse(KILL, 1000.0).unwrap();
        for (began, ended, phase) in [
            (0.0, 12.0, Phase::Before),
            (12.0, 13.0, Phase::During),
            (13.0, 14.0, Phase::During),
            (12.0, 16.0, Phase::During),
            (14.9, 20.0, Phase::During),
            (15.1, 20.0, Phase::After),
        ] {
            assert_eq!(Phase::of(&faults, began, ended), phase, "{began} {ended}");
        }
        assert_eq!(Phase::of(&[], 0.0, 1.0), Phase::Before);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for (text, expected) in [
            ("x", "line 1"),
            (&format!("{KILL}{KILL}x"), "line 5"),
            (
                r#"{"at": 1, "name": "kill", "phase": "end"}"#,
                "line 1: \"kill\" has not begun",
            ),
        ] {
            let error = format!("{:#}", parse(text, 0.0).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
