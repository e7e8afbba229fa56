//! What the reference in `docs/` promises is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new("..").join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The crates that a manifest names, our own left out.
fn dependencies(member: &str) -> Vec<String> {
    let manifest = read(&format!("{member}/Cargo.toml"));
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            // Tables of one dependency are spelled `[dependencies.NAME]`, which this reader does not know.
            assert!(!line.contains("dependencies."), "{member}: {line}");
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && !line.starts_with([' ', '#'])
            && !value.contains("path = ")
        {
            names.push(name.trim().to_owned());
        }
    }
    names
}

#[test]
fn every_dependency_has_a_line_that_says_why_and_every_line_a_dependency() {
    let workspace = read("Cargo.toml");
    let (_, members) = workspace.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let mut used: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for member in members.split(',').map(|name| name.trim().trim_matches('"')) {
        for name in dependencies(member) {
            used.entry(name).or_default().insert(member);
        }
    }
    let page = read("docs/dependencies.md");
    let told: BTreeMap<String, BTreeSet<&str>> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            let members = cells.next()?.split(", ").collect();
            let why = cells.all(|cell| cell.trim_matches([' ', '|']).len() > 10);
            assert!(why, "{name}: say why, and what was weighed");
            Some((name, members))
        })
        .collect();
    assert!(used.len() > 40, "{used:?}");
    assert_eq!(told, used, "docs/dependencies.md and the manifests differ");
}

/// Cells of a table's last column that name no test.
fn rows_without_test(page: &str) -> Vec<String> {
    let text = read(page);
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let mut wrong = Vec::new();
    for row in rows {
        let last = row
            .trim_end_matches('|')
            .rsplit('|')
            .next()
            .unwrap_or_default()
            .trim();
        if row.split('|').count() < 5
            || last == "test"
            || last.starts_with("--")
            || last.starts_with("none: ")
        {
            continue;
        }
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("{page}: a row without test: {row}"));
        }
        for name in names {
            let (file, test) = name.split_once("::").unwrap_or(("", name));
            let source = std::fs::read_to_string(format!("tests/it/{file}.rs")).unwrap_or_default();
            if !source.contains(&format!("fn {test}(")) {
                wrong.push(format!("{page}: there is no test {name}"));
            }
        }
    }
    wrong
}

#[test]
fn every_requirement_names_a_test_that_exists() {
    let pages = ["docs/reference/passwords.md", "docs/reference/tokens.md"];
    let wrong = pages.map(rows_without_test).concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
