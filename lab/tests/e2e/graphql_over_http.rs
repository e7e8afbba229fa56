//! The GraphQL-over-HTTP specification, by the audits of the npm package `graphql-http`, which are not ours and run unchanged.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::npm;
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
    let folder = npm::installed(&sources, &["audit.mjs"]).await;
    let audited = npm::run(
        Command::new("node")
            .arg("audit.mjs")
            .arg(stack.url("gateway") + "/graphql")
            .env("NODE_EXTRA_CA_CERTS", stack.stack.ca()),
        &folder,
    )
    .await;

    let audits: Vec<Value> = audited
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{audited}")))
        .collect();
    let failed: Vec<_> = audits
        .iter()
        .filter(|audit| audit["status"] != "ok")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(audits.len(), 61);
}
