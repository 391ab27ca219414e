//! The recorded answers of the reference server, asked of a catalog without HTTP.
//!
//! The recordings are found in the folder that `CONFORMANCE_DIR` names, else in `shared/conformance` of one of the
//! folders above the workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use devfile_registry::index::Entry;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Catalog, IndexKind, IndexSchema, Query, fixture};
use crate::http::path::segments;

#[derive(Deserialize)]
struct Case {
    id: String,
    method: String,
    path: String,
    expect: Expectation,
}

#[derive(Deserialize)]
struct Expectation {
    #[serde(default)]
    status: Vec<u16>,
    json_sha256: Option<String>,
    entries: Option<Value>,
}

#[test]
fn recorded_answers() {
    let Some(folder) = recordings() else {
        println!("no recorded answers: set CONFORMANCE_DIR to the folder with cases.jsonl to check against them");
        return;
    };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let entries: Vec<Entry> = serde_json::from_str(&read("community-index.json")).unwrap();
    let catalog = Catalog::new(entries, &BTreeMap::new());

    let cases: Vec<Case> = read("cases.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mine = |case: &&Case| {
        let route = case.path.split(['?', '/']).nth(1);
        case.method == "GET" && matches!(route, Some("index" | "v2index"))
    };
    let (mut passed, mut failures) = (0, Vec::new());
    for case in cases.iter().filter(mine) {
        match problem(&catalog, case) {
            None => passed += 1,
            Some(problem) => failures.push(format!("{} {}: {problem}", case.id, case.path)),
        }
    }
    println!("{passed} recorded answers match");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(passed > 0, "no case is about an index route");
}

fn recordings() -> Option<PathBuf> {
    let named = std::env::var_os("CONFORMANCE_DIR").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/conformance"));
    named.into_iter().chain(above).find(|folder| folder.join("cases.jsonl").is_file())
}

fn problem(catalog: &Catalog, case: &Case) -> Option<String> {
    let (status, body) = answer(catalog, &case.path);
    if !case.expect.status.contains(&status) {
        return Some(format!("status {status}, want {:?}", case.expect.status));
    }
    let want = case.expect.json_sha256.as_ref()?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    if sha256(canonical(&body).to_string().as_bytes()) == *want {
        return None;
    }
    let entries: Vec<Entry> = serde_json::from_value(body).unwrap();
    let labels: Vec<_> = entries.iter().map(super::fixture::label).collect();
    Some(format!("got {labels:?}, want {}", case.expect.entries.as_ref().unwrap_or(&Value::Null)))
}

/// The part of the router that these cases need.
fn answer(catalog: &Catalog, path: &str) -> (u16, Vec<u8>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts = segments(path);
    let schema = if parts.next() == Some("index") { IndexSchema::V1 } else { IndexSchema::V2 };
    let kind = match parts.next() {
        None => Some(IndexKind::Stack),
        Some(part) => IndexKind::from_path(&percent_decode_str(part).decode_utf8_lossy()),
    };
    let Some(kind) = kind else { return (404, Vec::new()) };
    match Query::parse(schema, query) {
        Ok(query) => (200, fixture::answer(catalog, schema, kind, &query).body.to_vec()),
        Err(_) => (400, Vec::new()),
    }
}

/// With the fields of every object sorted, as the digests of the recordings are made.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        other => other.clone(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
