//! `/status` and `/health`: what is served, and how fresh it is.

use serde_json::{Value, json};

use crate::live::Freshness;
use crate::snapshot::Snapshot;

/// What `/status` answers.
pub(crate) fn document(snapshot: Option<&Snapshot>, freshness: &Freshness, name: &str) -> Value {
    json!({
        "name": name,
        "software": concat!("devfile-registry/", env!("CARGO_PKG_VERSION")),
        "live": snapshot.map(|snapshot| &snapshot.about),
        "snapshot": {
            "checked_seconds_ago": freshness.checked.as_secs(),
            "stale": freshness.failure.is_some(),
            "failure": freshness.failure,
        },
    })
}

/// The schema of [`document`].
pub(crate) fn schema() -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer", "minimum": 0});
    let live = json!({
        "type": ["object", "null"],
        "description": "The live release; null while there is none",
        "required": ["commit_hash", "source", "release", "generated_at", "stacks", "samples", "versions", "quarantined", "warnings"],
        "properties": {
            "commit_hash": {"$ref": "#/components/schemas/CommitSha"},
            "source": text,
            "release": {"$ref": "#/components/schemas/Digest"},
            "generated_at": {"$ref": "#/components/schemas/Timestamp"},
            "stacks": count, "samples": count, "versions": count, "warnings": count,
            "quarantined": {"type": "array", "items": {
                "type": "object",
                "description": "A part of the repository that stays as it was published last",
                "required": ["part", "problems"],
                "properties": {"part": text, "problems": {"type": "array", "items": {
                    "type": "object",
                    "required": ["path", "severity", "rule", "message"],
                    "properties": {"path": text, "severity": text, "rule": text, "message": text, "hint": text, "line": count, "column": count},
                }}},
            }},
        },
    });
    json!({
        "type": "object",
        "required": ["name", "software", "live", "snapshot"],
        "properties": {
            "name": text,
            "software": text,
            "live": live,
            "snapshot": {
                "type": "object",
                "required": ["checked_seconds_ago", "stale", "failure"],
                "properties": {"checked_seconds_ago": count, "stale": {"type": "boolean"}, "failure": {"type": ["string", "null"]}},
            },
        },
    })
}
