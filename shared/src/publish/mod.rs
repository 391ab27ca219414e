//! Publishing: from the registry repository to the live release.
//!
//! The order of the steps is what keeps readers safe (invariant 3): blobs (and the artifacts of documents, which nothing names
//! yet), manifests, tags, index artifact, release object, and last `index.json`, whose conditional write is the only commit point
//! (invariant 2). Whatever stops in between leaves the old release live and whole; running again finishes the work, because every
//! step before the last only adds.
//!
//! - `target`: the commit that should be live; `pending`: the times of further attempts
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
mod pending;
mod prune;
mod reconcile;
mod record;
mod recover;
mod report;
mod restore;
mod rollback;
mod target;
mod upload;
mod verify;

pub use reconcile::Extent;
pub use record::{LastRefresh, PublicReason};
pub use report::{Outcome, Report, Timings, Writes};
pub use verify::{Checked, Verification};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures_util::future::try_join;

use self::live::{Live, Loaded, Stored};
use self::target::Target;
use crate::cache::{Bucket, CacheError};
use crate::digest::{CommitSha, Digest};
use crate::limits;
use crate::outside::Outside;
use crate::outside::offline::Known;
use crate::registry::{Registry, RegistryError};
use crate::release::{Built, Draft, InvalidDocument, LiveIndex, Pin, Plan, RULES};
use crate::source::{Listing, Scope, Source, SourceError};
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
    /// The repository has no stacks, and nobody said that this is meant.
    #[error(
        "the registry repository has no stacks at commit {0}; nothing is published; invoke refresh with \"remove_all\": true to remove every stack"
    )]
    NoStacks(CommitSha),
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

/// A release that was made, as much of the one before as it needed, and how it was made.
#[derive(Debug)]
struct Made {
    built: Built,
    previous: Option<Loaded>,
    plan: Plan,
}

/// Whether a repository without stacks is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Emptiness {
    /// It is a mistake, unless nothing was published before either.
    #[default]
    Refused,
    /// It is meant.
    Meant,
}

/// The cause of a refresh.
#[derive(Debug, Clone, Copy)]
struct Cause<'a> {
    requested: Option<&'a CommitSha>,
    known: Known,
    emptiness: Emptiness,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Makes the head of the repository live, if it is not and no release is pinned.
    ///
    /// `requested` is the commit that the caller knows of. The head is followed, which is that commit or descends from it.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails; a second run completes the work.
    pub async fn refresh(&self, requested: Option<&CommitSha>) -> Result<Report, PublishError> {
        self.follow(Cause { requested, known: Known::Kept, emptiness: Emptiness::Refused }).await
    }

    /// The same, and a repository without stacks removes all stacks.
    ///
    /// # Errors
    /// As [`Publisher::refresh`].
    pub async fn refresh_or_remove_all(&self, requested: Option<&CommitSha>) -> Result<Report, PublishError> {
        self.follow(Cause { requested, known: Known::Kept, emptiness: Emptiness::Meant }).await
    }

    /// The same as [`Publisher::refresh`], and content of other hosts for [offline](crate::outside::offline) stacks is fetched in the
    /// state that it has now.
    ///
    /// # Errors
    /// As [`Publisher::refresh`].
    pub async fn refetch(&self) -> Result<Report, PublishError> {
        self.follow(Cause { requested: None, known: Known::FetchedAgain, emptiness: Emptiness::Refused }).await
    }

    async fn follow(&self, cause: Cause<'_>) -> Result<Report, PublishError> {
        let mut repaired = Vec::new();
        let report = self.follow_head(cause, &mut repaired).await?;
        Ok(Report { repaired, ..report })
    }

    async fn follow_head(&self, cause: Cause<'_>, repaired: &mut Vec<String>) -> Result<Report, PublishError> {
        let requested = cause.requested;
        for _ in 0..RACES {
            let mut timings = Timings::default();
            let started = Instant::now();
            let (live, head) = match self.target(requested, repaired).await? {
                Target::Pinned(live) => return Ok(Report::pinned(&live.index, requested)),
                Target::At { live, head } => (live, head),
            };
            timings.look = started.elapsed();
            let is_live = |live: &&Live| live.index.commit_hash == head && self.is_settled(&live.index);
            let mut due = None;
            if let Some(live) = live.as_ref().filter(|live| cause.known == Known::Kept && is_live(live)) {
                let subjects = self.due(&live.index, None).await?;
                if subjects.is_empty() {
                    return Ok(Report::nothing_new(&live.index, requested, timings));
                }
                due = Some(subjects);
            }
            let outline = async {
                match &live {
                    Some(live) => self.outline(&live.index).await,
                    None => Ok(None),
                }
            };
            let (is_confirmed, before) = try_join(self.is_confirmed(live.as_ref(), &head), outline).await?;
            timings.look = started.elapsed();
            if !is_confirmed {
                continue;
            }
            let before = live.as_ref().zip(before).map(|(live, stored)| Before { live, stored, known: cause.known });
            let due = match (due, &before) {
                (Some(due), _) => due,
                (None, Some(before)) => self.due(&before.live.index, Some(&before.stored)).await?,
                (None, None) => BTreeSet::new(),
            };
            let made = self.build(&head, before.as_ref(), &due, cause.emptiness, &mut timings).await?;
            let Made { built, previous, plan } = made;
            if let Some(live) = live.as_ref().filter(|live| live.index.release == built.name) {
                self.record_attempts(built.name, &built.release.outline, &plan).await;
                return Ok(Report::nothing_new(&live.index, requested, timings));
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
                self.record_attempts(built.name, &built.release.outline, &plan).await;
                report.timings_ms = timings;
                return Ok(report);
            }
            tracing::info!(commit = %head, "another refresh was first; reading the head again");
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
            (Some(has), Some(wanted)) => has.settings == *wanted,
            (has, wanted) => has.is_none() && wanted.is_none(),
        }
    }

    /// Whether a release is not to be published, because something in it is not as it stands in the repository.
    fn rejects(&self, built: &Built) -> bool {
        self.strictness == Strictness::Strict && !built.release.outline.quarantined.is_empty()
    }

    /// Builds the release of a commit. Of the release before, it takes over everything that did not change; `due` are pending subjects
    /// that are tried again.
    async fn build(
        &self,
        commit: &CommitSha,
        before: Option<&Before<'_>>,
        due: &BTreeSet<String>,
        emptiness: Emptiness,
        timings: &mut Timings,
    ) -> Result<Made, PublishError> {
        let fetching = Instant::now();
        let listing = self.source.listing(commit).await?;
        let removes_nothing = before.is_some_and(|before| before.stored.outline.stacks.is_empty());
        if listing.stacks.is_empty() && !removes_nothing && emptiness == Emptiness::Refused {
            return Err(PublishError::NoStacks(commit.clone()));
        }
        let mut plan = self.plan(listing, before, due);
        loop {
            let files = async { Ok(self.source.files(commit, plan.scope()).await?) };
            let previous = async {
                match before {
                    Some(before) => self.load_found(&before.stored, plan.documents(&before.stored.outline)).await,
                    None => Ok(None),
                }
            };
            let (tree, previous) = try_join(files, previous).await?;
            timings.fetch += fetching.elapsed();
            let is_whole = |(loaded, before): (&Loaded, &Before<'_>)| {
                plan.documents(&before.stored.outline)
                    .iter()
                    .all(|document| loaded.release.read_from().contains_key(document))
            };
            if *plan.scope() != Scope::All && !previous.as_ref().zip(before).is_some_and(is_whole) {
                // Without its documents, the stacks of the release before cannot be taken over.
                plan = Plan::everything(plan.listing().clone());
                continue;
            }
            let building = Instant::now();
            let release = previous.as_ref().map(|previous| previous.release.as_ref());
            let mut complete = self.outside.complete(tree, release).await;
            let wider = release.and_then(|release| plan.widened(&complete.tree, &complete.repository, release));
            if let Some(wider) = wider {
                plan = wider;
                continue;
            }
            let known = release.zip(before.map(|before| before.known));
            self.outside.take_offline(&mut complete, &plan, known, self).await?;
            let taken_over: u64 = match before {
                Some(before) => plan.taken_over_bytes(&before.stored.outline),
                None => 0,
            };
            complete.repository.hold_largest(limits::DEVFILES_BYTES.saturating_sub(taken_over));
            let entries = before.map(|before| &before.live.index.stacks);
            let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, release, &plan);
            let undated = draft.undated();
            let history = match undated.as_slice() {
                [] => BTreeMap::new(),
                undated => self.source.last_modified(commit, undated).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the history of the repository cannot be read");
                    BTreeMap::new()
                }),
            };
            let built = draft.finish(commit.clone(), self.source.url(), &history, entries);
            timings.build += building.elapsed();
            return Ok(Made { built, previous, plan });
        }
    }

    /// Plans a release: upon the release before, where that was made in the same way and its index is whole.
    fn plan(&self, listing: Listing, before: Option<&Before<'_>>, due: &BTreeSet<String>) -> Plan {
        let Some(before) = before.filter(|before| before.known == Known::Kept) else {
            return Plan::everything(listing);
        };
        let outline = &before.stored.outline;
        if outline.offline.as_ref().map(|offline| &offline.settings) != self.outside.offline_settings() {
            return Plan::everything(listing);
        }
        if before.live.index.stacks.digest() != outline.entries {
            tracing::warn!("the entries of index.json are not those of the live release; all are made anew");
            return Plan::everything(listing);
        }
        Plan::upon(outline, listing, due)
    }
}
