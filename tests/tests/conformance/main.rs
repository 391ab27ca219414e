//! The recorded answers of the reference, asked of the registries that they were recorded for.
//!
//! 400 cases of a made registry are part of this repository: `fixtures/conformance/registry.tar.gz` is the registry, and
//! `cases.jsonl.gz` has the path, the statuses and the digest of the answer of each case. The digest is that of the JSON with the
//! members of each object sorted and without white space.
//!
//! 535 cases of the community registry, and the registry itself, are not. The build script looks for them beside the repository;
//! the tests in [`community`] exist where it finds them. `docs/contributors/conformance.md` names the cases that the Lambda emulator alters; the
//! list is exact.

#[cfg(community)]
mod community;

use std::collections::BTreeMap;

use flate2::read::GzDecoder;
use registry_tests::registry::{Serving, TestRegistry};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The number of cases recorded for the made registry.
const CASES: usize = 400;

/// A request with GET, with the answer of the reference, or of this software where it differs on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    path: String,
    status: Vec<u16>,
    json_sha256: String,
}

#[tokio::test]
async fn made_registry_is_answered_like_by_the_reference() {
    let made = tempfile::tempdir().unwrap();
    let archive = GzDecoder::new(&include_bytes!("../../fixtures/conformance/registry.tar.gz")[..]);
    tar::Archive::new(archive).unpack(made.path()).unwrap();
    let registry = TestRegistry::of(made.path()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let cases = cases();
    assert_eq!(cases.len(), CASES);
    let mut failed = Vec::new();
    for case in &cases {
        if let Some(problem) = problem(&serve, case).await {
            failed.push(format!("{} {}: {problem}", case.id, case.path));
        }
    }
    assert!(failed.is_empty(), "{} of {CASES} cases fail:\n{}", failed.len(), failed.join("\n"));
}

fn cases() -> Vec<Case> {
    let recorded = GzDecoder::new(&include_bytes!("../../fixtures/conformance/cases.jsonl.gz")[..]);
    let text = std::io::read_to_string(recorded).expect("the recording is text");
    text.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
}

async fn problem(serve: &Serving, case: &Case) -> Option<String> {
    let answer = serve.ask("GET", &case.path, &[]).await;
    if !case.status.contains(&answer.status) {
        return Some(format!("status {}, want {:?}", answer.status, case.status));
    }
    let document: Value = match serde_json::from_slice(&answer.body) {
        Ok(document) => document,
        Err(error) => return Some(format!("not one JSON document: {error}")),
    };
    let digest = hex::encode(Sha256::digest(canonical(&document).to_string()));
    (digest != case.json_sha256).then(|| format!("another document: {}", names(&document)))
}

/// With the members of every object sorted.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// The entries and versions of an index, to compare them.
fn names(document: &Value) -> String {
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let entry = |entry: &Value| {
        let versions = entry["versions"].as_array().into_iter().flatten();
        format!(
            "{}@{}",
            text(entry, "name"),
            versions.map(|version| text(version, "version")).collect::<Vec<_>>().join(",")
        )
    };
    document.as_array().map_or_else(|| document.to_string(), |all| all.iter().map(entry).collect::<Vec<_>>().join(" "))
}
