//! The GraphQL-over-HTTP specification, by the audits of the npm package `graphql-http`, which are not ours and run unchanged.

use std::{fs, path::Path};

use serde_json::Value;
use tokio::process::Command;

use crate::support::{SERVING, start};

#[tokio::test]
async fn all_audits_of_graphql_over_http_pass_with_introspection_off() {
    let stack = start(SERVING).await;
    let introspection = stack
        .ask("{ __schema { types { name } } }", Value::Null, None)
        .await;
    assert!(
        introspection["data"]["__schema"].is_null(),
        "{introspection}"
    );

    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphql-over-http");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("graphql-over-http");
    fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json", "audit.mjs"] {
        fs::copy(sources.join(file), folder.join(file)).unwrap();
    }
    let installed = run(
        Command::new("npm").args(["ci", "--no-fund", "--no-audit"]),
        &folder,
    )
    .await;
    let audited = run(
        Command::new("node")
            .arg("audit.mjs")
            .arg(stack.url("gateway") + "/graphql")
            .env("NODE_EXTRA_CA_CERTS", stack.stack.ca()),
        &folder,
    )
    .await;

    let audits: Vec<Value> = audited
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{installed}{audited}")))
        .collect();
    let failed: Vec<_> = audits
        .iter()
        .filter(|audit| audit["status"] != "ok")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(audits.len(), 61);
}

async fn run(command: &mut Command, folder: &Path) -> String {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let output = command
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| {
            panic!("cannot run {program} ({error}): `./dev install` installs it")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} fails: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
