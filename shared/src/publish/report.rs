//! What a refresh did, as its caller, the log and `/status` are told.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::digest::CommitSha;
use crate::release::{Built, Release};
use crate::repository::Quarantined;

/// How a refresh ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A new release is live.
    Published,
    /// The commit was live already.
    Unchanged,
    /// A newer commit is live or on its way.
    Superseded,
    /// The repository has errors, and it is configured to publish nothing then.
    Rejected,
}

/// The result of a refresh.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The commit that was looked at.
    pub commit_hash: CommitSha,
    /// The commit that was live before.
    pub previous: Option<CommitSha>,
    /// Folders of versions, stacks and samples that are new or different.
    pub changed: BTreeSet<String>,
    /// Those that are gone.
    pub removed: BTreeSet<String>,
    /// What is not published as it stands in the repository, and why.
    pub quarantined: Vec<Quarantined>,
    /// What was written where.
    pub writes: Writes,
    /// How long the steps took.
    pub timings_ms: Timings,
}

/// How much was written: in proportion to what changed, whatever the size of the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Writes {
    /// Objects in the cache bucket.
    pub bucket: u64,
    /// Blobs, manifests and tags in the OCI registry.
    pub registry: u64,
}

/// Durations of the steps, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Timings {
    /// Reading what is live and what should be.
    #[serde(serialize_with = "milliseconds")]
    pub look: Duration,
    /// Reading the tree.
    #[serde(serialize_with = "milliseconds")]
    pub fetch: Duration,
    /// Parsing, checking, building.
    #[serde(serialize_with = "milliseconds")]
    pub build: Duration,
    /// Uploading what is new.
    #[serde(serialize_with = "milliseconds")]
    pub upload: Duration,
    /// Writing `index.json`.
    #[serde(serialize_with = "milliseconds")]
    pub commit: Duration,
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis() as u64)
}

impl Report {
    pub(super) fn new(outcome: Outcome, before: Option<CommitSha>, built: &Built, previous: Option<&Release>) -> Self {
        let changes = built.release.changes_since(previous);
        Self {
            outcome,
            commit_hash: built.release.commit_hash.clone(),
            previous: before,
            changed: changes.changed,
            removed: changes.removed,
            quarantined: built.release.quarantined.clone(),
            writes: Writes::default(),
            timings_ms: Timings::default(),
        }
    }

    pub(super) fn unchanged(commit_hash: CommitSha, previous: Option<CommitSha>, timings_ms: Timings) -> Self {
        Self {
            outcome: Outcome::Unchanged,
            commit_hash,
            previous,
            changed: BTreeSet::new(),
            removed: BTreeSet::new(),
            quarantined: Vec::new(),
            writes: Writes::default(),
            timings_ms,
        }
    }
}
