//! Publications that outlast an invocation: they stop in time, remember the artifacts that the OCI registry has, and another
//! invocation continues.
//!
//! A large first release is tens of thousands of calls to the OCI registry, and registries limit their rate. An object of the
//! bucket names the artifacts that were pushed, and the publication that an invocation has claimed. It is advice: without it the
//! registry is asked for each artifact, and two invocations may do the same work.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, stack_repository};
use super::invocation::{Budget, Invocation, PublicationProgress};
use super::publisher::Publisher;
use crate::cache::{Bucket, Expect, PROGRESS_KEY};
use crate::digest::{CommitSha, Digest};
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::Registry;
use crate::release::{PublishedVersion, Release};
use crate::source::Source;
use crate::timestamp::Timestamp;

/// Time in seconds for which a publication stays claimed for the invocation that continues it.
const HANDOVER_SECONDS: i64 = 60;

/// Time in seconds after which the registry is asked again for artifacts that were pushed.
const KNOWN_SECONDS: i64 = 24 * 60 * 60;

/// Most new artifacts of a publication that is not recorded before it is stopped: asking for them takes seconds. Unit tests have
/// small publications, and record them all the same.
const UNRECORDED_ARTIFACTS: usize = if cfg!(test) { 2 } else { 128 };

/// Artifacts and blobs that the OCI registry took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Taken {
    /// Artifacts as `REPOSITORY:TAG` and, where only the manifest is there, as `REPOSITORY@DIGEST`.
    artifacts: BTreeMap<String, Digest>,
    /// Repositories with blobs, whose artifacts may not be there yet.
    repositories: BTreeSet<String>,
}

/// The content of a publication that the OCI registry is known to have.
#[derive(Debug, Default)]
pub(super) struct PushedArtifacts {
    before: Taken,
    since: Mutex<Taken>,
}

/// A publication under way.
#[derive(Debug, Default)]
pub(super) struct Publication {
    invocation: Option<Invocation>,
    pub(super) pushed: PushedArtifacts,
    /// Whether the bucket has a claim or artifacts to forget at its end.
    is_recorded: AtomicBool,
}

/// The claim on the publication of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// This invocation has it.
    Own,
    /// Another one has it.
    Foreign(PublicationProgress),
}

/// The artifacts that a release has and the one before does not.
#[derive(Debug)]
pub(super) struct NewArtifacts<'r> {
    pub(super) versions: Vec<&'r PublishedVersion>,
    pub(super) documents: Vec<DocumentArtifact>,
}

/// The object in the bucket.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ProgressDocument {
    /// The OCI registry that has the artifacts.
    registry: String,
    publication: u64,
    /// The end of the claim.
    claimed_until: Option<Timestamp>,
    progress: PublicationProgress,
    artifacts: BTreeMap<String, Digest>,
    #[serde(default)]
    repositories: BTreeSet<String>,
}

impl PushedArtifacts {
    /// Returns whether a tag names an artifact.
    pub(super) fn has_tag(&self, repository: &str, tag: &str, digest: Digest) -> bool {
        self.get(&format!("{repository}:{tag}")) == Some(digest)
    }

    /// Returns whether a manifest is there, if only by its digest.
    pub(super) fn has_manifest(&self, repository: &str, digest: Digest) -> bool {
        self.get(&format!("{repository}@{digest}")).is_some()
    }

    /// Returns whether an earlier invocation pushed something to a repository.
    pub(super) fn had_repository(&self, repository: &str) -> bool {
        self.before.repositories.contains(repository)
            || ["@", ":"].into_iter().any(|end| {
                let begin = format!("{repository}{end}");
                let mut range =
                    self.before.artifacts.range::<str, _>((Bound::Included(begin.as_str()), Bound::Unbounded));
                range.next().is_some_and(|(name, _)| name.starts_with(&begin))
            })
    }

    pub(super) fn add_tag(&self, repository: &str, tag: &str, digest: Digest) {
        self.since().artifacts.insert(format!("{repository}:{tag}"), digest);
    }

    pub(super) fn add_manifest(&self, repository: &str, digest: Digest) {
        self.since().artifacts.insert(format!("{repository}@{digest}"), digest);
    }

    /// Adds so many blobs. The artifacts of a batch may have more of them than an invocation has time for, so they are progress, too.
    pub(super) fn add_blobs(&self, repository: &str, count: u64) {
        let mut since = self.since();
        if count > 0 && !since.repositories.contains(repository) {
            since.repositories.insert(repository.to_owned());
        }
    }

    fn get(&self, name: &str) -> Option<Digest> {
        self.since().artifacts.get(name).or_else(|| self.before.artifacts.get(name)).copied()
    }

    fn since(&self) -> MutexGuard<'_, Taken> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether this invocation made progress.
    fn has_grown(&self) -> bool {
        *self.since() != Taken::default()
    }

    fn all(&self) -> Taken {
        let (mut all, since) = (self.before.clone(), self.since());
        all.artifacts.extend(since.artifacts.iter().map(|(name, digest)| (name.clone(), *digest)));
        all.repositories.extend(since.repositories.iter().cloned());
        all
    }
}

impl Publication {
    /// Returns the publication of an invocation; without one, its time is not limited.
    pub(super) fn of(invocation: Option<Invocation>) -> Self {
        let is_continued = invocation.is_some_and(|invocation| invocation.number > 1);
        Self { invocation, pushed: PushedArtifacts::default(), is_recorded: is_continued.into() }
    }

    /// Returns the end of the time for pushes.
    pub(super) fn until(&self) -> Option<Instant> {
        self.invocation.map(|invocation| invocation.until)
    }

    /// Returns the end of the time for a check that begins now.
    pub(super) fn check_deadline(&self) -> Option<Instant> {
        self.invocation.as_ref().map(Invocation::check_deadline)
    }
}

impl ProgressDocument {
    /// Returns for how many seconds a publication is claimed; the negative time since then when it no longer is.
    fn claimed_seconds(&self, now: &Timestamp) -> i64 {
        self.claimed_until.as_ref().map_or(i64::MIN, |until| until.instant().as_second() - now.instant().as_second())
    }

    /// Returns whether another publication than that of an invocation is claimed.
    fn is_foreign(&self, invocation: Invocation, now: &Timestamp) -> bool {
        self.publication != invocation.publication && self.claimed_seconds(now) > 0
    }
}

impl<'r> NewArtifacts<'r> {
    pub(super) fn of(release: &'r Release, previous: Option<&Release>) -> Self {
        let mut documents = DocumentArtifact::all(release);
        documents.retain(|artifact| previous.is_none_or(|before| !artifact.is_of(before)));
        Self { versions: new_versions(release, previous), documents }
    }

    fn total(&self) -> usize {
        self.versions.len() + self.documents.len()
    }

    fn progress(&self, pushed: &PushedArtifacts) -> PublicationProgress {
        let has_version = |version: &&&PublishedVersion| {
            let repository = stack_repository(&version.stack);
            pushed.has_tag(&repository, &version.version, version.manifest)
                || pushed.has_manifest(&repository, version.manifest)
        };
        let has_document =
            |artifact: &&DocumentArtifact| pushed.has_tag(INDEX_REPOSITORY, &artifact.tag, artifact.digest);
        let versions = self.versions.iter().filter(has_version).count();
        PublicationProgress {
            artifacts: versions + self.documents.iter().filter(has_document).count(),
            total: self.total(),
        }
    }
}

/// Returns the versions of a release that the release before does not have in the same state.
fn new_versions<'r>(release: &'r Release, previous: Option<&Release>) -> Vec<&'r PublishedVersion> {
    fn key(version: &PublishedVersion) -> (&str, &str, Digest) {
        (&version.stack, &version.version, version.manifest)
    }
    let had: HashSet<_> = previous.iter().flat_map(|release| &release.content.versions).map(key).collect();
    release.content.versions.iter().filter(|version| !had.contains(&key(version))).collect()
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Claims the publication of an invocation, and reads the artifacts that are there. Without a limit of its time there is
    /// nothing to claim.
    pub(super) async fn claim_publication(&self, publication: &mut Publication) -> Claim {
        let Some(invocation) = publication.invocation else { return Claim::Own };
        let document = self.progress_document().await;
        let now = (self.clock)();
        if document.is_foreign(invocation, &now) {
            return Claim::Foreign(document.progress);
        }
        let is_known = document.registry == self.registry.address() && document.claimed_seconds(&now) > -KNOWN_SECONDS;
        if !document.artifacts.is_empty() {
            *publication.is_recorded.get_mut() = true;
        }
        let known = Taken { artifacts: document.artifacts, repositories: document.repositories };
        let before = if is_known { known } else { Taken::default() };
        publication.pushed = PushedArtifacts { before, since: Mutex::default() };
        Claim::Own
    }

    /// Reads the object, or its default when it cannot be read, since it is advice.
    async fn progress_document(&self) -> ProgressDocument {
        let read = match self.bucket.get(PROGRESS_KEY, limits::PROGRESS_BYTES).await {
            Ok(None) => return ProgressDocument::default(),
            Ok(Some(object)) => serde_json::from_slice(&object.bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        read.unwrap_or_else(|reason| {
            tracing::warn!(reason, "cannot read {PROGRESS_KEY}; the OCI registry is asked for all artifacts");
            ProgressDocument::default()
        })
    }

    /// Pushes new artifacts until the invocation must stop, and records then which are there.
    ///
    /// # Errors
    /// [`PublishError::Unfinished`] when another invocation can continue, [`PublishError::Stalled`] when the OCI registry took
    /// nothing although there was time.
    pub(super) async fn within_invocation<T>(
        &self,
        publication: &Publication,
        new: &NewArtifacts<'_>,
        push: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        let Some(invocation) = publication.invocation else { return push.await };
        let left = || invocation.until.saturating_duration_since(Instant::now());
        if new.total() > UNRECORDED_ARTIFACTS {
            self.record_progress(publication, new, left().as_secs() as i64 + HANDOVER_SECONDS).await;
        }
        let time = left();
        let failure = match timeout_at(invocation.until, push).await {
            Ok(Ok(pushed)) => return Ok(pushed),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let progress = new.progress(&publication.pushed);
        let has_moved = invocation.budget == Budget::Request || publication.pushed.has_grown();
        let continues = match &failure {
            // With all artifacts there, it is the bucket or the index artifact that takes long.
            None => has_moved || time < limits::STALL_TIME || progress.artifacts == progress.total,
            Some(PublishError::Registry(error)) => has_moved && error.is_rate_limited(),
            Some(_) => false,
        };
        if continues || new.total() > UNRECORDED_ARTIFACTS {
            let claimed = if continues && !invocation.is_last() { HANDOVER_SECONDS } else { 0 };
            self.record_progress(publication, new, claimed).await;
        }
        Err(match failure {
            _ if continues => PublishError::Unfinished(progress),
            Some(error) => error,
            None => PublishError::Stalled(progress),
        })
    }

    /// Ends a publication: removes its progress, and returns the head if that is no longer the commit. Triggers of that
    /// head may have left it to this publication.
    pub(super) async fn end_publication(&self, publication: &Publication, commit: &CommitSha) -> Option<CommitSha> {
        let invocation = publication.invocation.filter(|_| publication.is_recorded.load(Ordering::Relaxed))?;
        let end = async {
            if !self.progress_document().await.is_foreign(invocation, &(self.clock)()) {
                self.store_progress(&ProgressDocument::default()).await;
            }
            self.source.head().await
        };
        match timeout_at(invocation.check_deadline(), end).await {
            Ok(Ok(head)) => (head != *commit).then_some(head),
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read the head after a long publication; the schedule publishes newer commits");
                None
            }
            Err(_) => {
                tracing::warn!("cannot end a long publication in time; the schedule publishes newer commits");
                None
            }
        }
    }

    /// Stores the artifacts that were pushed, and claims the publication for an invocation for so many seconds.
    async fn record_progress(&self, publication: &Publication, new: &NewArtifacts<'_>, claimed_seconds: i64) {
        publication.is_recorded.store(true, Ordering::Relaxed);
        let now = (self.clock)();
        let until = now.instant().checked_add(SignedDuration::from_secs(claimed_seconds));
        let Taken { artifacts, repositories } = publication.pushed.all();
        let document = ProgressDocument {
            registry: self.registry.address(),
            publication: publication.invocation.map_or(0, |invocation| invocation.publication),
            claimed_until: Some(until.map_or(now, Timestamp::from_instant)),
            progress: new.progress(&publication.pushed),
            artifacts,
            repositories,
        };
        self.store_progress(&document).await;
    }

    async fn store_progress(&self, document: &ProgressDocument) {
        let bytes = to_compact_json(document);
        if bytes.len() as u64 > limits::PROGRESS_BYTES {
            tracing::warn!(bytes = bytes.len(), "cannot store {PROGRESS_KEY}: the pushed artifacts are too many");
            return;
        }
        if let Err(error) = self.bucket.put_if(PROGRESS_KEY, bytes.into(), Expect::Anything).await {
            tracing::warn!(%error, "the pushed artifacts are not recorded; the OCI registry is asked for them again");
        }
    }
}

/// Runs a future until a time, if there is one; returns `None` when it has not ended by then.
pub(super) async fn run_until<T>(until: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, future).await.ok(),
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_is_known_by_its_whole_name() {
        let digest = Digest::of(b"a");
        let before =
            ["devfile-catalog/go-lang:1.0.0", "devfile-catalog/java@sha256:0"].map(|name| (name.to_owned(), digest));
        let before = Taken { artifacts: before.into(), repositories: ["devfile-catalog/kiln".to_owned()].into() };
        let pushed = PushedArtifacts { before, since: Mutex::default() };
        for name in ["go-lang", "java", "kiln"] {
            assert!(pushed.had_repository(&format!("devfile-catalog/{name}")), "{name}");
        }
        assert!(!pushed.had_repository("devfile-catalog/go") && !pushed.had_repository("devfile-catalog/rust"));
        pushed.add_tag("devfile-catalog/go", "1.0.0", digest);
        assert!(!pushed.had_repository("devfile-catalog/go"), "this invocation knows its own pushes");
        assert!(pushed.has_tag("devfile-catalog/go", "1.0.0", digest));
        assert!(!pushed.has_tag("devfile-catalog/go", "1.0.0", Digest::of(b"b")));
        assert!(pushed.has_tag("devfile-catalog/go-lang", "1.0.0", digest));
        pushed.add_blobs("devfile-catalog/rust", 1);
        assert!(!pushed.had_repository("devfile-catalog/rust"), "nor its own blobs");
        assert_eq!((pushed.all().artifacts.len(), pushed.all().repositories.len()), (3, 2));
    }
}
