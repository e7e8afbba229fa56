//! Finds the programs that the stack is made of; says how to install one that is missing.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The table that `./dev` installs from, so that the two never disagree.
const DEBIAN_PACKAGES: &str = include_str!("../debian-packages");

/// The version of Zipkin's server that `./dev` fetches.
const ZIPKIN_JAR: &str = "zipkin-server-3.5.1-exec.jar";

/// The programs of this workspace that the stack runs.
const OURS: &[&str] = &["auth-core", "sample-service"];

/// The path of every program of the table that is installed, by its name, of those of this workspace, and (where there is one) of `grafana`.
///
/// # Errors
/// When one of the `needed` programs is missing: the message names it and the command that installs it.
pub fn find(needed: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for (program, _) in debian_packages() {
        if let Some(path) = on_path(program).or_else(|| in_postgres(program)) {
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
    for program in needed {
        if !found.contains_key(*program) {
            bail!("{}", missing(program));
        }
    }
    Ok(found)
}

/// Zipkin's server, where `./dev` or a package puts it.
///
/// # Errors
/// When it is not there.
pub fn zipkin_jar() -> Result<PathBuf> {
    if let Some(path) = env::var_os("AUTHSTACK_ZIPKIN_JAR") {
        return Ok(path.into());
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("neither HOME nor XDG_CACHE_HOME is set: cannot tell where Zipkin's jar is")?;
    let jar = cache.join("authstack").join(ZIPKIN_JAR);
    if !jar.exists() {
        bail!(
            "Zipkin's server is missing. `./dev install` fetches it to {}",
            jar.display()
        );
    }
    Ok(jar)
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

fn missing(program: &str) -> String {
    if OURS.contains(&program) {
        return format!(
            "{program} is not built. `cargo build --workspace` builds it, `./dev` does so by itself"
        );
    }
    let package = debian_packages()
        .find(|(name, _)| *name == program)
        .map_or(program, |(_, package)| package);
    format!(
        "the program {program} is missing. Install it with `apt-get install {package}`, or everything at once with `./dev install`"
    )
}

fn debian_packages() -> impl Iterator<Item = (&'static str, &'static str)> {
    DEBIAN_PACKAGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
}

fn on_path(program: &str) -> Option<PathBuf> {
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
            missing("pg_isready"),
            "the program pg_isready is missing. Install it with `apt-get install postgresql`, \
             or everything at once with `./dev install`"
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
