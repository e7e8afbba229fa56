//! What the reference in `docs/` promises is there.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new("..").join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
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
