//! The result of a refresh, for its caller, the log and `/status`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::invocation::{Invocation, PublicationProgress};
use super::live::{Live, Loaded};
use crate::diagnostic::Diagnostic;
use crate::digest::CommitSha;
use crate::release::{Built, LiveIndex, OFFLINE_RULES, Pin};
use crate::repository::Quarantined;
use crate::timestamp::Timestamp;

/// The end of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A new release is live.
    Published,
    /// The release is not live yet; another invocation continues its publication.
    Continuing,
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
    /// The outcome.
    pub outcome: Outcome,
    /// The commit of the report.
    pub commit_hash: CommitSha,
    /// The commit that was live before.
    pub previous: Option<CommitSha>,
    /// Folders of versions, stacks and samples that are new or different.
    pub changed: BTreeSet<String>,
    /// Those of the changed that the release before did not have.
    #[serde(skip)]
    pub added: BTreeSet<String>,
    /// Those that are gone.
    pub removed: BTreeSet<String>,
    /// The units that are not published as they stand in the repository, with the reasons.
    pub quarantined: Vec<Quarantined>,
    /// References to other hosts that remain in stacks of the setting `OFFLINE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<Diagnostic>,
    /// Whether a chosen release stays live until `unpin`, independent of the branch.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// The repaired differences of the OCI registry and the bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repaired: Vec<String>,
    /// The number of removed objects that nobody needs any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub pruned: usize,
    /// Whether the comparison with the stores did not end in the time of the invocation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uncompared: bool,
    /// The progress of a publication that continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<PublicationProgress>,
    /// The invocation whose publication another one is to continue.
    #[serde(skip)]
    pub unfinished: Option<Invocation>,
    /// The head after a publication that other triggers were left to, if it has moved.
    #[serde(skip)]
    pub newer_head: Option<CommitSha>,
    /// When the release that was live before was generated.
    #[serde(skip)]
    pub previous_generated_at: Option<Timestamp>,
    /// The writes to each store.
    pub writes: Writes,
    /// The times of the steps.
    pub timings_ms: Timings,
}

/// The number of writes: in proportion to the changes, not to the size of the registry.
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
    /// Reading the live release and the branch.
    #[serde(serialize_with = "milliseconds")]
    pub poll: Duration,
    /// Reading the tree.
    #[serde(serialize_with = "milliseconds")]
    pub fetch: Duration,
    /// Parsing, checking, building.
    #[serde(serialize_with = "milliseconds")]
    pub build: Duration,
    /// Uploading new content.
    #[serde(serialize_with = "milliseconds")]
    pub upload: Duration,
    /// Writing `index.json`.
    #[serde(serialize_with = "milliseconds")]
    pub commit: Duration,
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis() as u64)
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Report {
    /// Returns the report of a refresh that changed nothing.
    fn empty(outcome: Outcome, commit: CommitSha) -> Self {
        Self {
            outcome,
            commit_hash: commit,
            previous: None,
            changed: BTreeSet::new(),
            added: BTreeSet::new(),
            removed: BTreeSet::new(),
            quarantined: Vec::new(),
            upstream: Vec::new(),
            pinned: false,
            repaired: Vec::new(),
            pruned: 0,
            uncompared: false,
            progress: None,
            unfinished: None,
            newer_head: None,
            previous_generated_at: None,
            writes: Writes::default(),
            timings_ms: Timings::default(),
        }
    }

    /// Returns the same report after a release that was live.
    fn after(self, index: Option<&LiveIndex>) -> Self {
        let previous = index.map(|index| index.commit_hash.clone());
        Self { previous, previous_generated_at: index.map(|index| index.generated_at.clone()), ..self }
    }

    /// Returns the report of a release that is about to be published.
    pub(super) fn new(live: Option<&Live>, built: &Built, previous: Option<&Loaded>) -> Self {
        let changes = built.release.changes_since(previous.map(|previous| previous.release.as_ref()));
        let outline = &built.release.outline;
        let upstream = outline.warnings.iter().filter(|warning| warning.rule.starts_with(OFFLINE_RULES));
        Self {
            changed: changes.changed,
            added: changes.added,
            removed: changes.removed,
            quarantined: outline.quarantined.clone(),
            upstream: upstream.cloned().collect(),
            ..Self::empty(Outcome::Published, outline.commit_hash.clone()).after(live.map(|live| &live.index))
        }
    }

    /// Returns the report of a publication that continues, in another invocation after this one if this one is given.
    pub(super) fn continuing(
        commit: &CommitSha,
        live: Option<&Live>,
        progress: PublicationProgress,
        unfinished: Option<Invocation>,
    ) -> Self {
        Self {
            progress: Some(progress),
            unfinished,
            ..Self::empty(Outcome::Continuing, commit.clone()).after(live.map(|live| &live.index))
        }
    }

    /// Returns the report of a head that is live already. It supersedes a different requested commit.
    pub(super) fn nothing_new(index: &LiveIndex, requested: Option<&CommitSha>, timings_ms: Timings) -> Self {
        let late = requested.is_some_and(|requested| *requested != index.commit_hash);
        let outcome = if late { Outcome::Superseded } else { Outcome::Unchanged };
        Self {
            pinned: index.pinned == Pin::Pinned,
            timings_ms,
            ..Self::empty(outcome, index.commit_hash.clone()).after(Some(index))
        }
    }

    /// Returns the report of a pinned release, which stays live.
    pub(super) fn pinned(index: &LiveIndex, requested: Option<&CommitSha>) -> Self {
        let outcome = if requested == Some(&index.commit_hash) { Outcome::Unchanged } else { Outcome::Superseded };
        Self { outcome, ..Self::nothing_new(index, None, Timings::default()) }
    }
}
