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
