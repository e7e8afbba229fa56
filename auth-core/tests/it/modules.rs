//! The modules of the crate know each other in one direction: none knows one that knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each module of the crate's root, a file or a folder, with those that it names.
fn modules() -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for entry in fs::read_dir("src").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // The roots, and what belongs to the program alone.
        if ["lib", "main", "memory"].contains(&name.as_str()) {
            continue;
        }
        let mut known = BTreeSet::new();
        read(&path, &mut known);
        known.remove(&name);
        modules.insert(name, known);
    }
    modules
}

fn read(path: &Path, known: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            read(&entry.unwrap().path(), known);
        }
        return;
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    for line in text.lines().filter(|line| !line.trim().starts_with("//")) {
        for named in line.split("crate::").skip(1) {
            match named
                .strip_prefix('{')
                .and_then(|list| list.split('}').next())
            {
                Some(list) => known.extend(list.split(',').map(|item| first_word(item.trim()))),
                None => {
                    known.insert(first_word(named));
                }
            }
        }
    }
}

fn first_word(path: &str) -> String {
    path.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

#[test]
fn no_module_knows_one_that_knows_it() {
    let mut modules = modules();
    for (name, known) in &modules {
        for other in known {
            assert!(
                modules.contains_key(other),
                "{name} names crate::{other}, which is no module"
            );
        }
    }
    assert!(modules["http"].contains("graphql") && modules["graphql"].contains("accounts"));
    // Whoever knows nobody can be left out; what is left in the end is a circle, and what leads to it.
    while let Some(leaf) = modules
        .iter()
        .find(|(_, known)| known.is_empty())
        .map(|(name, _)| name.clone())
    {
        modules.remove(&leaf);
        for known in modules.values_mut() {
            known.remove(&leaf);
        }
    }
    assert!(modules.is_empty(), "{modules:#?}");
}
