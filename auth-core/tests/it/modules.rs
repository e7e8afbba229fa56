//! The modules of the crate know each other in one direction: none knows one that knows it. So it is at the root, and within each folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Each module of a folder, a file or a folder, with those of its siblings that it names.
fn modules(folder: &Path) -> Graph {
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let modules: BTreeMap<String, PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // The root of the folder; the roots of the crate, and what belongs to the program alone.
        .filter(|path| !["mod", "lib", "main", "allocator"].contains(&name(path).as_str()))
        .map(|path| (name(&path), path))
        .collect();
    let names: BTreeSet<String> = modules.keys().cloned().collect();
    let reexported = reexported(folder, &names);
    modules
        .into_iter()
        .map(|(module, path)| {
            let mut known = BTreeSet::new();
            named_in(&path, folder, &mut known);
            let mut siblings: BTreeSet<String> = known
                .iter()
                .filter_map(|item| names.get(item).or_else(|| reexported.get(item)))
                .cloned()
                .collect();
            siblings.remove(&module);
            (module, siblings)
        })
        .collect()
}

/// What a folder's root shows of its modules, `pub use MODULE::ITEM`, by item.
fn reexported(folder: &Path, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let root = ["mod.rs", "lib.rs"].map(|root| folder.join(root));
    let root = root.iter().find(|root| root.exists()).unwrap();
    let mut items = BTreeMap::new();
    for statement in code(root).split(';') {
        let Some((_, path)) = statement.split_once("use ") else {
            continue;
        };
        for path in paths(path) {
            let path = path.iter().filter(|word| *word != "crate");
            if let [module, .., item] = path.cloned().collect::<Vec<_>>().as_slice()
                && modules.contains(module)
            {
                items.insert(item.clone(), module.clone());
            }
        }
    }
    items
}

/// What a module names in the folder that it is in: the first word after the way there.
fn named_in(path: &Path, folder: &Path, known: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            named_in(&entry.unwrap().path(), folder, known);
        }
        return;
    }
    let of_crate: Vec<_> = folder.strip_prefix("src").unwrap().iter().collect();
    // From a file of the folder one up is the folder itself.
    let within = path.strip_prefix(folder).unwrap();
    let up = within.iter().count() - usize::from(within.ends_with("mod.rs"));
    let text = code(path);
    for (start, _) in text
        .match_indices("crate::")
        .chain(text.match_indices("super::"))
    {
        let before = text[..start].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == ':') {
            continue;
        }
        for path in paths(&text[start..]) {
            let ups = path.iter().take_while(|word| *word == "super").count();
            let named = if ups > 0 {
                (ups == up).then(|| path.get(ups)).flatten()
            } else {
                let mut way = path[1..].iter();
                let leads_there = of_crate
                    .iter()
                    .all(|step| way.next().is_some_and(|word| *step == word.as_str()));
                leads_there.then(|| way.next()).flatten()
            };
            known.extend(named.cloned());
        }
    }
}

/// The paths that a path stands for, with what is in its braces: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let end = list.find(|letter| {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                depth == 0
            });
            let mut depth = 0;
            let items = list[..end.unwrap_or(list.len())].split(|letter| {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                letter == ',' && depth == 0
            });
            return items
                .flat_map(paths)
                .map(|path| [words.clone(), path].concat())
                .collect();
        }
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        if word.is_empty() {
            return vec![words];
        }
        words.push(word.to_owned());
        match after.strip_prefix("::") {
            Some(further) => rest = further,
            None => return vec![words],
        }
    }
}

/// The text of a file without its comments and tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is left when all are taken away that know nobody, again and again: a circle, and what leads to it.
fn circle(mut modules: Graph) -> Graph {
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
    modules
}

#[test]
fn no_module_knows_one_that_knows_it() {
    let root = modules(Path::new("src"));
    assert!(root["http"].contains("graphql") && root["graphql"].contains("accounts"));
    let store = modules(Path::new("src/store"));
    // By the item that the folder shows of it, and by its own name.
    assert!(store["copy"].contains("connect") && store["sessions"].contains("audit"));

    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        let circle = circle(modules(&folder));
        assert!(circle.is_empty(), "{}: {circle:#?}", folder.display());
        let entries = fs::read_dir(&folder).unwrap();
        folders.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_dir()),
        );
    }
}

#[test]
fn paths_are_read_with_all_that_their_braces_hold() {
    let read = paths("crate::{a::{b, c::d}, e};");
    let read: Vec<_> = read.iter().map(|path| path.join("::")).collect();
    assert_eq!(read, ["crate::a::b", "crate::a::c::d", "crate::e"]);
}
