//! `/status` and `/health`: what is served, and how fresh it is.

use std::time::Duration;

use devfile_registry::cache::{Bucket, Cache};
use devfile_registry::publish::{LAST_REFRESH_KEY, LastRefresh};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::live::Freshness;
use crate::snapshot::Snapshot;

/// Largest report of a refresh that is read, in bytes.
const REPORT_BYTES: u64 = 1 << 20;

/// Time for reading it; `/status` answers without it when the bucket is slow.
const PATIENCE: Duration = Duration::from_millis(500);

/// What `/status` answers.
pub(crate) fn document(
    snapshot: Option<&Snapshot>,
    freshness: &Freshness,
    last_refresh: Option<&LastRefresh>,
    name: &str,
) -> Value {
    let age =
        |snapshot: &Snapshot| (Timestamp::now().as_second() - snapshot.about.generated_at.instant().as_second()).max(0);
    json!({
        "name": name,
        "software": concat!("devfile-registry/", env!("CARGO_PKG_VERSION")),
        "live": snapshot.map(|snapshot| &snapshot.about),
        "age_seconds": snapshot.map(age),
        "last_refresh": last_refresh,
        "snapshot": {
            "checked_seconds_ago": freshness.checked.as_secs(),
            "stale": freshness.failure.is_some(),
            "failure": freshness.failure,
        },
    })
}

/// How the last refresh ended, which need not have made anything live. None when there is no word of it.
pub(crate) async fn last_refresh(cache: &Cache) -> Option<LastRefresh> {
    let read = tokio::time::timeout(PATIENCE, cache.get(LAST_REFRESH_KEY, REPORT_BYTES)).await;
    serde_json::from_slice(&read.ok()?.ok()??.bytes).ok()
}
