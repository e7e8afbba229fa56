//! Finds the programs that the stack is made of; says how to install one that is missing.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

/// The table that `./dev` installs from, so that the two never disagree.
const DEBIAN_PACKAGES: &str = include_str!("../debian-packages");

/// The folder into which `./dev` unpacks the version of Zipkin's server that it fetches.
const UNPACKED_ZIPKIN: &str = "zipkin-server-3.5.1";

/// The programs of this workspace that the stack runs.
const OURS: &[&str] = &["auth-core", "sample-service"];

/// The variable that names a copy of Zipkin's server to use in its place.
const OWN_ZIPKIN_JAR: &str = "AUTHSTACK_ZIPKIN_JAR";

/// Zipkin's server among the programs that a part needs.
const ZIPKIN: &str = "zipkin-server";

/// The path of every program of the table that is installed, by its name, of those of this workspace, and (where there is one) of `grafana`.
///
/// # Errors
/// When one of the `needed` programs is missing: the message names it and the command that installs it.
pub fn find(needed: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for (program, _) in debian_packages() {
        if let Some(path) = of_machine(program) {
            found.insert(program.to_owned(), path);
        }
    }
    if let Some(path) = on_path("grafana") {
        // Its own files are found from where it really is.
        found.insert("grafana".to_owned(), path.canonicalize()?);
    }
    for program in OURS {
        if let Some(path) = built(program) {
            found.insert((*program).to_owned(), path);
        }
    }
    let lacking: Vec<_> = needed
        .iter()
        .filter(|program| !found.contains_key(**program))
        .collect();
    if !lacking.is_empty() {
        bail!(missing(&lacking));
    }
    Ok(found)
}

/// Zipkin's server: the jar that `AUTHSTACK_ZIPKIN_JAR` names, or the folder into which `./dev` unpacks it; `None` when it is not there.
pub fn zipkin_server() -> Option<PathBuf> {
    zipkin_place().filter(|place| place.exists())
}

/// What to tell of programs that are missing: what each is, and how to get it. `zipkin-server` is the server of Zipkin.
pub fn missing(programs: &[impl AsRef<str>]) -> String {
    let said: Vec<_> = programs
        .iter()
        .map(|program| match program.as_ref() {
            ours if OURS.contains(&ours) => {
                format!("{ours} is not built. `cargo build --workspace` builds it, `./dev` does so by itself")
            }
            ZIPKIN => missing_zipkin(),
            program => missing_program(program),
        })
        .collect();
    said.join("; ")
}

fn missing_program(program: &str) -> String {
    let package = debian_packages()
        .find(|(name, _)| *name == program)
        .map_or(program, |(_, package)| package);
    format!(
        "the program {program} is missing: `apt-get install {package}` installs it, `./dev install` everything"
    )
}

fn missing_zipkin() -> String {
    match (env::var_os(OWN_ZIPKIN_JAR), zipkin_place()) {
        (Some(named), _) => format!(
            "{OWN_ZIPKIN_JAR} names {}, and there is no such file",
            Path::new(&named).display()
        ),
        (None, Some(place)) => format!(
            "Zipkin's server is missing. `./dev install` fetches it to {}; {OWN_ZIPKIN_JAR} can name a copy of your own",
            place.display()
        ),
        (None, None) => format!(
            "Zipkin's server is missing: {OWN_ZIPKIN_JAR}, XDG_CACHE_HOME or HOME would say where it is, and none of them is set"
        ),
    }
}

fn zipkin_place() -> Option<PathBuf> {
    if let Some(named) = env::var_os(OWN_ZIPKIN_JAR) {
        return std::path::absolute(named).ok();
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))?;
    Some(cache.join("authstack").join(UNPACKED_ZIPKIN))
}

/// A program of this workspace: beside the running one (tests run one folder deeper), else on PATH.
pub fn built(name: &str) -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .or_else(|| on_path(name))
}

/// Each program of the table with the package that has it.
fn debian_packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEBIAN_PACKAGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.nth(1)?))
        })
}

/// A program of the machine, or of its PostgreSQL.
pub(crate) fn of_machine(program: &str) -> Option<PathBuf> {
    on_path(program).or_else(|| in_postgres(program))
}

/// A program of the machine.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Daemons live in sbin, which Debian leaves out of the PATH of ordinary users.
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Debian keeps PostgreSQL's programs out of PATH, by version.
fn in_postgres(program: &str) -> Option<PathBuf> {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .map(|version| version.path().join("bin").join(program))
        .filter(|file| file.is_file())
        .collect();
    versions.sort();
    versions.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_installs_it() {
        assert_eq!(
            missing(&["pg_isready"]),
            "the program pg_isready is missing: `apt-get install postgresql` installs it, `./dev install` everything"
        );
    }

    #[test]
    fn a_needed_program_that_is_not_there_is_an_error() {
        let error = find(&["no-such-program"]).expect_err("there is no such program");
        assert!(
            error.to_string().contains("no-such-program is missing"),
            "{error}"
        );
    }
}
