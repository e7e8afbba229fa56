//! What documents show of commands is what they print.

use std::{fs, path::Path, process::Command};

use lab::programs;

#[test]
fn the_page_on_scale_shows_what_capacity_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explanation/scale.md");
    let page = fs::read_to_string(page).unwrap();
    let shown = page.split("```console\n").nth(1).unwrap();
    let (command, shown) = shown.split_once('\n').unwrap();
    let words: Vec<_> = command.split(' ').collect();
    assert_eq!(words[..2], ["$", "auth-core"], "{command}");
    let output = Command::new(programs::built("auth-core").unwrap())
        .args(&words[2..])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown.split("```").next(), Some(printed.as_str()));
}
