//! The dashboards are what Grafana takes, by its own types from the npm package `@grafana/schema`.

use std::{fs, path::Path, process::Command};

use lab::programs;
use serde_json::Value;

use crate::npm;

#[tokio::test]
async fn dashboards_are_of_grafanas_own_types_with_the_options_of_each_kind_of_panel() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grafana-schema");
    let folder = npm::installed(&sources, &["dashboard.ts", "tsconfig.json"]).await;
    let mut checked = "import type { Checked } from \"./dashboard\";\n".to_owned();
    for (name, dashboard) in rendered().as_object().unwrap() {
        let name = name.trim_end_matches(".json");
        let dashboard = serde_json::to_string_pretty(dashboard).unwrap();
        checked += &format!("export const {name}: Checked = {dashboard};\n");
    }
    fs::write(folder.join("dashboards.ts"), checked).unwrap();
    npm::run(
        &mut tokio::process::Command::new("node_modules/.bin/tsc"),
        &folder,
    )
    .await;
}

/// `{ NAME = dashboard; }`, of a fleet with a database of its own.
fn rendered() -> Value {
    const DASHBOARDS: &str = "{ render }: import (render + \"/dashboards\") {
        inherit ((import (render + \"/defaults.nix\")).monitoring) runbooks slo;
        clustered = true;
    }";
    let render = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nixos-modules/render");
    let program = &programs::find(&["nix-instantiate"]).unwrap()["nix-instantiate"];
    let output = Command::new(program)
        .args(["--eval", "--strict", "--json", "--store", "dummy://"])
        .arg("--arg")
        .arg("render")
        .arg(render)
        .args(["--expr", DASHBOARDS])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
