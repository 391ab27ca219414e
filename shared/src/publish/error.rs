//! Errors of all actions.

use super::invocation::{INVOCATIONS, PublicationProgress};
use crate::cache::CacheError;
use crate::digest::{CommitSha, Digest};
use crate::registry::RegistryError;
use crate::release::{InvalidDocument, LiveIndex};
use crate::source::SourceError;

/// Lost races after which a refresh gives up. Every lost race means that another refresh went through.
pub(super) const RACES: usize = 8;

/// Why a refresh did not come to an end. The release that was live before still is, or a newer one.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There are no previews here.
    #[error("previews are off; set PREVIEWS to members or labelled")]
    PreviewsOff,
    /// The registry repository could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The OCI registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The cache bucket failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// `index.json` in the bucket is not one.
    #[error("index.json in the store is damaged; run reconcile to restore it: {0}")]
    DamagedIndex(InvalidDocument),
    /// The live release was made by other software.
    #[error("the live release {0} cannot be read: {1}")]
    ForeignRelease(Digest, InvalidDocument),
    /// Content that should be there is not.
    #[error("the blob {0} is neither in the repository nor in the store")]
    MissingBlob(Digest),
    /// The OCI registry keeps a damaged blob.
    #[error(
        "cannot repair the blob {0} in the OCI registry: its length is wrong even after an upload; remove its data from the registry's storage, then run reconcile"
    )]
    StuckBlob(String),
    /// The release is too large to be read again.
    #[error("the release cannot be published: {0}")]
    Unreadable(InvalidDocument),
    /// The repository has no stacks, and nobody said that this is meant.
    #[error(
        "the registry repository has no stacks at commit {0}; nothing is published; invoke refresh with \"remove_all\": true to remove every stack"
    )]
    NoStacks(CommitSha),
    /// There is no room for large content.
    #[error("the temporary folder failed: {0}")]
    Temporary(std::io::Error),
    /// There is nothing to go back to.
    #[error("the store has no release {name}; {advice}")]
    NoSuchRelease {
        /// The commit or tag.
        name: String,
        /// Names that exist.
        advice: String,
    },
    /// The OCI registry has other content under a name than was pushed.
    #[error("the artifact {name} in the store cannot be used: {reason}")]
    DamagedArtifact {
        /// Repository and tag or digest.
        name: String,
        /// The reason.
        reason: String,
    },
    /// Nothing is published yet.
    #[error("nothing is live yet; run refresh to publish the registry repository")]
    NothingLive,
    /// The invocation ended before the publication.
    #[error(
        "{} of {} artifacts are in the OCI registry after {INVOCATIONS} invocations; the next trigger or the schedule continues", .0.artifacts, .0.total
    )]
    Unfinished(PublicationProgress),
    /// The invocation ended without any progress of the publication.
    #[error(
        "the OCI registry took no artifact in the time of an invocation; {} of {} are there; the next trigger or the schedule continues", .0.artifacts, .0.total
    )]
    Stalled(PublicationProgress),
    /// The invocation ended before the comparison with the stores.
    #[error(
        "cannot compare the OCI registry and the bucket with the live release: that takes longer than an invocation; the schedule compares a slice each time"
    )]
    ComparisonStopped,
    /// Other refreshes were always faster.
    #[error("{RACES} other refreshes finished first, one after the other; the next trigger or the schedule catches up")]
    Races,
}

impl PublishError {
    /// Returns the error of a live release that neither store has.
    pub(super) fn live_release_missing(index: &LiveIndex) -> Self {
        let advice = "the live release is gone from both stores; run reconcile, which builds it again".to_owned();
        Self::NoSuchRelease { name: index.commit_hash.to_string(), advice }
    }
}
