//! Publishing: from the registry repository to the live release.
//!
//! The order of the steps is what keeps readers safe (invariant 3): blobs, manifests, tags, index artifact, release object, and
//! last `index.json`, whose conditional write is the only commit point (invariant 2). Whatever stops in between leaves the
//! old release live and whole; running again finishes the work, because every step before the last only adds.

#[cfg(test)]
mod model;
mod report;
mod upload;

pub use report::{Outcome, Report, Timings, Writes};

use std::sync::Arc;
use std::time::Instant;

use crate::cache::{Bucket, CacheError, Expect, INDEX_KEY, Object, Written, release_key};
use crate::digest::CommitSha;
use crate::limits;
use crate::outside::{Complete, Outside};
use crate::registry::{Registry, RegistryError};
use crate::release::{Built, Draft, InvalidDocument, LiveIndex, Release};
use crate::source::{Source, SourceError};
use crate::timestamp::Timestamp;

/// Lost races after which a refresh gives up. Every lost race means that another refresh went through.
const RACES: usize = 8;

/// What to do with a repository that has errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Publish the rest; what is wrong keeps its last published state.
    Quarantine,
    /// Publish nothing.
    Strict,
}

/// Publishes a registry repository.
#[derive(Debug)]
pub struct Publisher<S, R, B> {
    /// Where the repository comes from.
    pub source: S,
    /// The record.
    pub registry: R,
    /// What readers see.
    pub bucket: B,
    /// What the repository takes from elsewhere.
    pub outside: Outside,
    /// What errors do.
    pub strictness: Strictness,
    /// Time for `generated_at`, the only wall time in a publication.
    pub clock: fn() -> Timestamp,
}

/// Why a refresh did not come to an end. The release that was live before still is, or a newer one.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
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
    #[error("index.json in the cache bucket is damaged, so what is live is not known: {0}")]
    DamagedIndex(InvalidDocument),
    /// Content that should be there is not.
    #[error("the blob {0} is neither in the repository nor in the cache bucket")]
    MissingBlob(crate::digest::Digest),
    /// Other refreshes were always faster.
    #[error("{RACES} other refreshes finished first, one after the other; the next trigger or the schedule catches up")]
    Races,
}

/// What is live in the bucket.
struct Live {
    index: LiveIndex,
    object: Object,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Makes the head of the repository live, if it is not.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails; a second run completes the work.
    pub async fn refresh(&self) -> Result<Report, PublishError> {
        for _ in 0..RACES {
            let mut timings = Timings::default();
            let started = Instant::now();
            // The order matters: whoever made this release live read a head that is not newer than the one read next.
            let live = self.live().await?;
            let head = self.source.head().await?;
            timings.look = started.elapsed();
            if let Some(live) = live.as_ref().filter(|live| live.index.commit_hash == head) {
                let previous = live.index.commit_hash.clone();
                return Ok(Report::unchanged(head, Some(previous), timings));
            }
            let previous = match &live {
                Some(live) => self.release(&live.index).await?,
                None => None,
            };
            let built = self.build(&head, previous.as_deref(), &mut timings).await?;
            let mut report = Report::new(
                Outcome::Published,
                live.as_ref().map(|l| l.index.commit_hash.clone()),
                &built,
                previous.as_deref(),
            );
            if self.strictness == Strictness::Strict && !built.release.quarantined.is_empty() {
                report.outcome = Outcome::Rejected;
                report.timings_ms = timings;
                return Ok(report);
            }
            let uploading = Instant::now();
            let index = LiveIndex::of(&built.release, built.name, (self.clock)());
            report.writes = self.upload(&built, previous.as_deref(), &index).await?;
            timings.upload = uploading.elapsed();
            let expect = Expect::unchanged(live.as_ref().map(|live| &live.object));
            let committing = Instant::now();
            match self.bucket.put_if(INDEX_KEY, index.to_bytes(), expect).await? {
                Written::Done(_) => {
                    timings.commit = committing.elapsed();
                    report.writes.bucket += 1;
                    report.timings_ms = timings;
                    return Ok(report);
                }
                Written::Lost => tracing::info!(commit = %head, "another refresh was first; looking again"),
            }
        }
        Err(PublishError::Races)
    }

    async fn live(&self) -> Result<Option<Live>, PublishError> {
        let Some(object) = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await? else { return Ok(None) };
        let index = LiveIndex::from_bytes(&object.bytes).map_err(PublishError::DamagedIndex)?;
        Ok(Some(Live { index, object }))
    }

    /// The live release; none when it is gone or unreadable, which costs its quarantined versions and nothing else.
    async fn release(&self, index: &LiveIndex) -> Result<Option<Arc<Release>>, PublishError> {
        let Some(object) = self.bucket.get(&release_key(index.release), limits::RELEASE_BYTES).await? else {
            tracing::warn!(release = %index.release, "the live release is not in the bucket; publishing as if for the first time");
            return Ok(None);
        };
        match Release::from_bytes(index.release, &object.bytes) {
            Ok(release) => Ok(Some(Arc::new(release))),
            Err(reason) => {
                tracing::warn!(release = %index.release, %reason, "the live release cannot be used; publishing as if for the first time");
                Ok(None)
            }
        }
    }

    async fn build(
        &self,
        commit: &CommitSha,
        previous: Option<&Release>,
        timings: &mut Timings,
    ) -> Result<Built, PublishError> {
        let fetching = Instant::now();
        let tree = self.source.tree(commit).await?;
        timings.fetch = fetching.elapsed();
        let building = Instant::now();
        let Complete { tree, repository } = self.outside.complete(tree, previous).await;
        let draft = Draft::new(&repository, &tree, previous);
        let undated = draft.undated();
        let history =
            if undated.is_empty() { Default::default() } else { self.source.last_modified(commit, &undated).await? };
        let built = draft.finish(commit.clone(), self.source.url(), &history);
        timings.build = building.elapsed();
        Ok(built)
    }
}
