//! Publications that outlast an invocation: they stop in time, remember the artifacts that the OCI registry has, and another
//! invocation continues.
//!
//! A large first release is tens of thousands of calls to the OCI registry, and registries limit their rate. An object of the
//! bucket names the artifacts that were pushed, and the publication that an invocation works on. It is advice: without it the
//! registry is asked for each artifact, and two invocations may do the same work.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, INDEX_REPOSITORY, stack_repository};
use super::invocation::{Invocation, PublicationProgress};
use super::publisher::Publisher;
use crate::cache::{Bucket, Expect, PROGRESS_KEY};
use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::Registry;
use crate::release::{PublishedVersion, Release};
use crate::source::Source;
use crate::timestamp::Timestamp;

/// Time in seconds for which a publication is kept for the invocation that continues it.
const HANDOVER_SECONDS: i64 = 60;

/// Time in seconds after which the registry is asked again for artifacts that were pushed.
const KNOWN_SECONDS: i64 = 24 * 60 * 60;

/// Most new artifacts of a publication that is not remembered before it is stopped: asking for them takes seconds. Unit tests have
/// small publications, and remember them all the same.
const UNRECORDED_ARTIFACTS: usize = if cfg!(test) { 2 } else { 128 };

/// The artifacts that the OCI registry is known to have, as `REPOSITORY:TAG` and, where only the manifest is there, as `REPOSITORY@DIGEST`.
#[derive(Debug, Default)]
pub(super) struct PushedArtifacts {
    before: BTreeMap<String, Digest>,
    since: Mutex<BTreeMap<String, Digest>>,
}

/// A publication under way.
#[derive(Debug, Default)]
pub(super) struct Publication {
    invocation: Option<Invocation>,
    pub(super) pushed: PushedArtifacts,
}

/// The claim on the publication of the head.
#[derive(Debug)]
pub(super) enum Claim {
    /// This invocation has it.
    Own(Publication),
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
        ["@", ":"].into_iter().any(|end| {
            let begin = format!("{repository}{end}");
            let mut range = self.before.range::<str, _>((Bound::Included(begin.as_str()), Bound::Unbounded));
            range.next().is_some_and(|(name, _)| name.starts_with(&begin))
        })
    }

    pub(super) fn add_tag(&self, repository: &str, tag: &str, digest: Digest) {
        self.since().insert(format!("{repository}:{tag}"), digest);
    }

    pub(super) fn add_manifest(&self, repository: &str, digest: Digest) {
        self.since().insert(format!("{repository}@{digest}"), digest);
    }

    fn get(&self, name: &str) -> Option<Digest> {
        self.since().get(name).or_else(|| self.before.get(name)).copied()
    }

    fn since(&self) -> MutexGuard<'_, BTreeMap<String, Digest>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> BTreeMap<String, Digest> {
        let mut all = self.before.clone();
        all.extend(self.since().iter().map(|(name, digest)| (name.clone(), *digest)));
        all
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
    /// Returns the claim of an invocation. Without a limit of its time it needs none.
    pub(super) async fn claim_publication(&self, invocation: Option<Invocation>) -> Result<Claim, PublishError> {
        let Some(invocation) = invocation else { return Ok(Claim::Own(Publication::default())) };
        let object = self.bucket.get(PROGRESS_KEY, limits::PROGRESS_BYTES).await?;
        let stored = object
            .and_then(|object| serde_json::from_slice::<ProgressDocument>(&object.bytes).ok())
            .unwrap_or_default();
        let now = (self.clock)().instant();
        let held = stored.claimed_until.map_or(i64::MIN, |until| until.instant().as_second() - now.as_second());
        if stored.publication != invocation.publication && held > 0 {
            return Ok(Claim::Foreign(stored.progress));
        }
        let is_known = stored.registry == self.registry.address() && held > -KNOWN_SECONDS;
        let before = if is_known { stored.artifacts } else { BTreeMap::new() };
        let pushed = PushedArtifacts { before, since: Mutex::default() };
        Ok(Claim::Own(Publication { invocation: Some(invocation), pushed }))
    }

    /// Pushes new artifacts until the invocation must stop, and remembers then which are there.
    ///
    /// # Errors
    /// [`PublishError::Unfinished`] when another invocation can continue.
    pub(super) async fn within_invocation<T>(
        &self,
        publication: &Publication,
        new: &NewArtifacts<'_>,
        push: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        let Some(invocation) = publication.invocation else { return push.await };
        if new.total() > UNRECORDED_ARTIFACTS {
            let left = invocation.until.saturating_duration_since(Instant::now()).as_secs() as i64;
            self.remember(publication, new, left + HANDOVER_SECONDS).await;
        }
        let failure = match timeout_at(invocation.until, push).await {
            Ok(Ok(pushed)) => return Ok(pushed),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        let may_continue = match &failure {
            None => true,
            Some(PublishError::Registry(error)) => error.is_rate_limited(),
            Some(_) => false,
        };
        let continues = may_continue && !publication.pushed.since().is_empty();
        if continues || new.total() > UNRECORDED_ARTIFACTS {
            self.remember(publication, new, if continues { HANDOVER_SECONDS } else { 0 }).await;
        }
        let progress = new.progress(&publication.pushed);
        Err(match failure {
            _ if continues => PublishError::Unfinished(progress),
            Some(error) => error,
            None => PublishError::Stalled(progress),
        })
    }

    /// Runs the checks after a publication went live, as far as the invocation has time; returns `None` when it has not.
    pub(super) async fn in_time<T>(&self, publication: &Publication, check: impl Future<Output = T>) -> Option<T> {
        match publication.invocation {
            Some(invocation) => timeout_at(invocation.until, check).await.ok(),
            None => Some(check.await),
        }
    }

    /// Forgets a publication that is live.
    pub(super) async fn forget(&self, publication: &Publication, new: &NewArtifacts<'_>) {
        if publication.invocation.is_some()
            && (new.total() > UNRECORDED_ARTIFACTS || !publication.pushed.before.is_empty())
        {
            self.store(&ProgressDocument::default()).await;
        }
    }

    /// Stores the artifacts that were pushed, and keeps the publication for an invocation for so many seconds.
    async fn remember(&self, publication: &Publication, new: &NewArtifacts<'_>, held_seconds: i64) {
        let now = (self.clock)();
        let until = now.instant().checked_add(SignedDuration::from_secs(held_seconds));
        let stored = ProgressDocument {
            registry: self.registry.address(),
            publication: publication.invocation.map_or(0, |invocation| invocation.publication),
            claimed_until: Some(until.map_or(now, Timestamp::from_instant)),
            progress: new.progress(&publication.pushed),
            artifacts: publication.pushed.all(),
        };
        self.store(&stored).await;
    }

    async fn store(&self, stored: &ProgressDocument) {
        let bytes = to_compact_json(stored);
        if bytes.len() as u64 > limits::PROGRESS_BYTES {
            tracing::warn!(bytes = bytes.len(), "the pushed artifacts are too many to be remembered");
            return;
        }
        if let Err(error) = self.bucket.put_if(PROGRESS_KEY, bytes.into(), Expect::Anything).await {
            tracing::warn!(%error, "the pushed artifacts are not remembered; the OCI registry is asked for them again");
        }
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
        let pushed = PushedArtifacts { before: before.into(), since: Mutex::default() };
        assert!(pushed.had_repository("devfile-catalog/go-lang") && pushed.had_repository("devfile-catalog/java"));
        assert!(!pushed.had_repository("devfile-catalog/go") && !pushed.had_repository("devfile-catalog/rust"));
        pushed.add_tag("devfile-catalog/go", "1.0.0", digest);
        assert!(!pushed.had_repository("devfile-catalog/go"), "this invocation knows its own pushes");
        assert!(pushed.has_tag("devfile-catalog/go", "1.0.0", digest));
        assert!(!pushed.has_tag("devfile-catalog/go", "1.0.0", Digest::of(b"b")));
        assert!(pushed.has_tag("devfile-catalog/go-lang", "1.0.0", digest));
        assert_eq!(pushed.all().len(), 3);
    }
}
