//! Publishing: from the registry repository to the live release.
//!
//! The order of the steps is what keeps readers safe (invariant 3): blobs (and the artifacts of documents, which nothing names
//! yet), manifests, tags, index artifact, release object, and last `index.json`, whose conditional write is the only commit point
//! (invariant 2). Whatever stops in between leaves the old release live and whole; running again finishes the work, because every
//! step before the last only adds.
//!
//! - `target`: which commit should be live; `scope`: how much of it has to be read
//! - `upload`, `index_artifact`: the steps; `live`: what is live, and the commit point
//! - `large`: content that does not fit into memory
//! - `rollback`: going back on purpose; `reconcile`, `restore`, `verify`: the stores against each other; `artifact_blobs`, `bucket_blobs`:
//!   the blobs of either store; `recover`: content from the OCI registry; `prune`: what nobody needs any more

mod artifact_blobs;
mod bucket_blobs;
mod index_artifact;
mod large;
mod live;
#[cfg(test)]
mod model;
mod prune;
mod reconcile;
mod record;
mod recover;
mod report;
mod restore;
mod rollback;
mod scope;
mod target;
mod upload;
mod verify;

pub use reconcile::Extent;
pub use record::{LastRefresh, PublicReason};
pub use report::{Outcome, Report, Timings, Writes};
pub use verify::{Checked, Verification};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::future::{try_join, try_join3};

use self::live::{Live, Loaded, Stored};
use self::target::Look;
use crate::cache::{Bucket, CacheError};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::outside::offline::{Known, Reach};
use crate::outside::{Complete, Outside};
use crate::registry::{Registry, RegistryError};
use crate::release::{Base, Built, Draft, InvalidDocument, LiveIndex, Pin, RULES, Release};
use crate::source::{Relation, Source, SourceError, TreePath};
use crate::timestamp::Timestamp;

/// Lost races after which a refresh gives up. Every lost race means that another refresh went through.
const RACES: usize = 8;

/// The rule of the one warning for all dates that could not be had. A release with it is not built upon: the whole is read, and
/// all of them are asked for again.
const UNDATED: &str = "lastModified/history";

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
    #[error("index.json in the cache bucket is damaged; reconcile restores it from the OCI registry: {0}")]
    DamagedIndex(InvalidDocument),
    /// The live release was made by other software.
    #[error("the live release {0} cannot be read: {1}")]
    ForeignRelease(Digest, InvalidDocument),
    /// Content that should be there is not.
    #[error("the blob {0} is neither in the repository, nor in the cache bucket, nor in the OCI registry")]
    MissingBlob(Digest),
    /// The OCI registry keeps a damaged blob.
    #[error(
        "cannot repair the blob {0} in the OCI registry: its length is wrong even after an upload; remove its data from the registry's storage, then run reconcile"
    )]
    StuckBlob(String),
    /// The release is too large to be read again.
    #[error("the release cannot be published: {0}")]
    Unreadable(InvalidDocument),
    /// There is no room for large content.
    #[error("the temporary folder failed: {0}")]
    Temporary(std::io::Error),
    /// There is nothing to go back to.
    #[error("the OCI registry has no release {name}; {advice}")]
    NoSuchRelease {
        /// The commit or tag.
        name: String,
        /// What there is instead.
        advice: String,
    },
    /// What the OCI registry has under a name is not what was put there.
    #[error("the artifact {name} in the OCI registry cannot be used: {reason}")]
    DamagedArtifact {
        /// Repository and tag or digest.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is published yet.
    #[error("nothing is live yet; run refresh to publish the registry repository")]
    NothingLive,
    /// Other refreshes were always faster.
    #[error("{RACES} other refreshes finished first, one after the other; the next trigger or the schedule catches up")]
    Races,
}

/// The release that is live before another is made.
#[derive(Debug)]
struct Before<'a> {
    live: &'a Live,
    stored: Stored,
    /// What becomes of what it has of other hosts.
    known: Known,
}

/// A release that was made, and as much of the one before.
#[derive(Debug)]
struct Made {
    built: Built,
    previous: Option<Loaded>,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Makes the head of the repository live, if it is not and no release is pinned.
    ///
    /// `told` is the commit that the caller knows of. It is never followed: the head is, which is that commit or a newer one.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails; a second run completes the work.
    pub async fn refresh(&self, told: Option<&CommitSha>) -> Result<Report, PublishError> {
        self.follow(told, Known::Kept).await
    }

    /// The same, and what [offline](crate::outside::offline) stacks have of other hosts is fetched in the state that it has now.
    ///
    /// # Errors
    /// As [`Publisher::refresh`].
    pub async fn refetch(&self) -> Result<Report, PublishError> {
        self.follow(None, Known::FetchedAgain).await
    }

    async fn follow(&self, told: Option<&CommitSha>, known: Known) -> Result<Report, PublishError> {
        let mut repaired = Vec::new();
        let report = self.follow_head(told, known, &mut repaired).await?;
        Ok(Report { repaired, ..report })
    }

    async fn follow_head(
        &self,
        told: Option<&CommitSha>,
        known: Known,
        repaired: &mut Vec<String>,
    ) -> Result<Report, PublishError> {
        for _ in 0..RACES {
            let mut timings = Timings::default();
            let started = Instant::now();
            let (live, head) = match self.look(told, repaired).await? {
                Look::Pinned(live) => return Ok(Report::pinned(&live.index, told)),
                Look::At { live, head } => (live, head),
            };
            timings.look = started.elapsed();
            let is_live = |live: &&Live| live.index.commit_hash == head && self.is_settled(&live.index);
            if let Some(live) = live.as_ref().filter(|live| known == Known::Kept && is_live(live)) {
                return Ok(Report::nothing_new(&live.index, told, timings));
            }
            let outline = async {
                match &live {
                    Some(live) => self.outline(&live.index).await,
                    None => Ok(None),
                }
            };
            let (changed, before) = try_join(self.changed(live.as_ref(), &head), outline).await?;
            timings.look = started.elapsed();
            let Some(changed) = changed else { continue };
            // Nothing says which stacks have something to fetch again, so all are read.
            let changed = changed.filter(|_| known == Known::Kept);
            let before = live.as_ref().zip(before).map(|(live, stored)| Before { live, stored, known });
            let Made { built, previous } = self.build(&head, before.as_ref(), changed, &mut timings).await?;
            if let Some(live) = live.as_ref().filter(|live| live.index.release == built.name) {
                return Ok(Report::nothing_new(&live.index, told, timings));
            }
            let mut report = Report::new(live.as_ref(), &built, previous.as_ref());
            if self.rejects(&built) {
                report.outcome = Outcome::Rejected;
                report.timings_ms = timings;
                return Ok(report);
            }
            if self
                .make_live(&built, live.as_ref(), previous.as_ref(), Pin::Following, &mut report, &mut timings)
                .await?
            {
                report.timings_ms = timings;
                return Ok(report);
            }
            tracing::info!(commit = %head, "another refresh was first; looking again");
        }
        Err(PublishError::Races)
    }

    /// Whether another refresh of the same commit would give the same release: these rules or newer ones made it, and it has of
    /// other hosts what is wanted of them.
    fn is_settled(&self, index: &LiveIndex) -> bool {
        if index.rules < RULES {
            return false;
        }
        match (&index.offline, self.outside.offline_settings()) {
            (Some(has), Some(wanted)) => has.settings == *wanted && has.lacking.is_empty(),
            (has, wanted) => has.is_none() && wanted.is_none(),
        }
    }

    /// Whether a release is not to be published, because something in it is not as it stands in the repository.
    fn rejects(&self, built: &Built) -> bool {
        self.strictness == Strictness::Strict && !built.release.outline.quarantined.is_empty()
    }

    /// Builds the release of a commit. `changed` are the files that differ from the live release, as far as that is known.
    async fn build(
        &self,
        commit: &CommitSha,
        before: Option<&Before<'_>>,
        changed: scope::Changed,
        timings: &mut Timings,
    ) -> Result<Made, PublishError> {
        if let (Some(before), Some(changed)) = (before, &changed)
            && let Some(made) = self.build_part(commit, before, changed, timings).await?
        {
            return Ok(made);
        }
        let previous = match before {
            Some(before) => self.load_found(&before.stored, before.stored.outline.documents().into_keys()).await?,
            None => None,
        };
        let release = previous.as_ref().map(|previous| previous.release.as_ref());
        let fetching = Instant::now();
        let tree = self.source.tree(commit).await?;
        timings.fetch += fetching.elapsed();
        let building = Instant::now();
        let mut complete = self.outside.complete(tree, release).await;
        let known = release.zip(before.map(|before| before.known));
        self.outside.take_offline(&mut complete, Reach::Whole, known, self).await?;
        let built = self.assemble(commit, &complete, release).await?;
        timings.build += building.elapsed();
        Ok(Made { built, previous })
    }

    /// The same from the stacks that changed, with what is stored together with them. None when that does not suffice.
    async fn build_part(
        &self,
        commit: &CommitSha,
        before: &Before<'_>,
        changed: &BTreeSet<TreePath>,
        timings: &mut Timings,
    ) -> Result<Option<Made>, PublishError> {
        let outline = &before.stored.outline;
        let Some(scope) = self.scope(outline, changed) else { return Ok(None) };
        let fetching = Instant::now();
        let documents = outline.documents_of(&scope.stacks);
        let reading = async { Ok(self.source.part(commit, &scope).await?) };
        // Last, so that it is found out while the others wait.
        let is_whole = async { Ok(before.live.index.stacks.digest() == outline.entries) };
        let (tree, previous, is_whole) = try_join3(reading, self.load(&before.stored, documents), is_whole).await?;
        timings.fetch += fetching.elapsed();
        if !is_whole {
            tracing::warn!("the entries of index.json are not those of the live release; all are made anew");
            return Ok(None);
        }
        let (Some(tree), Some(previous)) = (tree, previous) else { return Ok(None) };
        let building = Instant::now();
        let release = previous.release.as_ref();
        let mut complete = self.outside.complete(tree, Some(release)).await;
        if scope::reaches_out(&complete.tree, &complete.repository, release, &scope) {
            return Ok(None);
        }
        self.outside.take_offline(&mut complete, Reach::Part, Some((release, before.known)), self).await?;
        let base = Base { release, entries: &before.live.index.stacks, scope: &scope };
        let mut draft = Draft::of_part(&complete.repository, &complete.tree, base);
        let history = self.history(commit, &mut draft).await;
        let built = draft.finish_part(commit.clone(), self.source.url(), &history);
        timings.build += building.elapsed();
        Ok(built.map(|built| Made { built, previous: Some(previous) }))
    }

    /// Makes a release of a whole repository.
    async fn assemble(
        &self,
        commit: &CommitSha,
        complete: &Complete,
        previous: Option<&Release>,
    ) -> Result<Built, PublishError> {
        let mut draft = Draft::new(&complete.repository, &complete.tree, previous);
        let history = self.history(commit, &mut draft).await;
        Ok(draft.finish(commit.clone(), self.source.url(), &history))
    }

    /// The dates that only the history of the repository knows. What that does not tell is a warning of the draft.
    async fn history(&self, commit: &CommitSha, draft: &mut Draft<'_>) -> BTreeMap<String, Timestamp> {
        let undated = draft.undated();
        let history = match undated.as_slice() {
            [] => BTreeMap::new(),
            undated => self.source.last_modified(commit, undated).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the history of the repository cannot be had");
                BTreeMap::new()
            }),
        };
        let mut unknown = undated.iter().filter(|path| !history.contains_key(*path));
        if let Some(path) = unknown.next() {
            let others = unknown.count();
            let message = format!("when it last changed could not be found out; the same goes for {others} others");
            let hint = "the next commit asks again; a last_modified.json in the repository needs no asking";
            draft.warn(Diagnostic::warning(path, UNDATED, message, hint));
        }
        history
    }
}
