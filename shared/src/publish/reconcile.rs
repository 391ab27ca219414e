//! The live release against both stores (invariant 8): what lags is repaired, from whatever has the content.

use std::collections::BTreeSet;

use super::artifact_blobs::{NamedBlob, blobs_of, blobs_of_index};
use super::build::{Before, Emptiness};
use super::each::each;
use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, IndexArtifact, REPOSITORY};
use super::live::{Live, Loaded};
use super::publisher::Publisher;
use super::report::{Outcome, Report, Timings};
use super::upload::repository;
use crate::cache::{Bucket, INDEX_KEY};
use crate::digest::CommitSha;
use crate::limits::{COMPARED_BLOBS, COMPARED_VERSIONS};
use crate::outside::offline::Known;
use crate::registry::{Name, Registry};
use crate::release::{Built, Pin, PublishedVersion};
use crate::source::{Source, SourceError};

/// How much of the OCI registry is compared with the live release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The index artifact, all documents, and those versions and blobs whose turn it is, [`COMPARED_VERSIONS`] and
    /// [`COMPARED_BLOBS`] at most. The turns follow from the clock, so nobody has to remember them. It compares the blobs of the
    /// bucket that `bucket_blobs` chooses.
    Turn,
}

/// Length of a turn in seconds, the usual time between two runs of the schedule.
const TURN_SECONDS: i64 = 300;

impl Extent {
    fn of<T>(self, all: &[T], most: usize, now: jiff::Timestamp) -> &[T] {
        let turns = all.len().div_ceil(most);
        if self == Self::Whole || turns <= 1 {
            return all;
        }
        all.chunks(most).nth(turn(turns, now)).unwrap_or(all)
    }
}

/// Returns the number of the turn, of so many.
pub(super) fn turn(turns: usize, now: jiff::Timestamp) -> usize {
    (now.as_second() / TURN_SECONDS).rem_euclid(turns as i64) as usize
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Compares the live release with the OCI registry and the bucket, repairs what lags, and says what that was.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails, or content is gone from everywhere.
    pub async fn repair(&self, extent: Extent) -> Result<Report, PublishError> {
        let mut restored = Vec::new();
        let live = self.live_or_restored(&mut restored).await?.ok_or(PublishError::NothingLive)?;
        let mut report = self.repair_live(&live, extent).await?;
        report.repaired.splice(0..0, restored);
        Ok(report)
    }

    async fn repair_live(&self, live: &Live, extent: Extent) -> Result<Report, PublishError> {
        let Some(loaded) = self.release(&live.index).await? else { return self.build_again(live).await };
        if let Err(reason) = live.index.check(&loaded.release.outline) {
            tracing::warn!(%reason, "index.json is not that of its release");
            return self.correct_index(live, &loaded).await;
        }
        let mut report = Report::nothing_new(&live.index, None, Timings::default());
        let wrong = self.wrong(&loaded.release, extent).await?;
        report.repaired = self.mend_bucket(&live.index, &loaded, &wrong).await?;
        report.writes.bucket = report.repaired.len() as u64;
        let now = (self.clock)().instant();
        let versions = &loaded.release.content.versions;
        let versions: Vec<_> = extent.of(versions, COMPARED_VERSIONS, now).iter().collect();
        let mut to_registry = self.mend_blobs(live, &loaded, extent, now).await?;
        let tags = self.mend_registry(live, &loaded, versions.iter().copied()).await?;
        if !tags.is_empty() {
            // Something else may have gone live since, and its tags be put back.
            self.settle(Some(live.object.etag.clone()), &versions).await?;
        }
        to_registry.extend(tags);
        report.writes.registry = to_registry.len() as u64;
        report.repaired.extend(to_registry);
        for repaired in &report.repaired {
            tracing::warn!(repaired, "repaired");
        }
        Ok(report)
    }

    /// Tags of some versions, and of the index artifact, that do not name what the live release says are set anew, with the blobs
    /// and manifests that they need.
    pub(super) async fn mend_registry(
        &self,
        live: &Live,
        loaded: &Loaded,
        versions: impl IntoIterator<Item = &PublishedVersion>,
    ) -> Result<Vec<String>, PublishError> {
        let built = loaded.as_built(live.index.release);
        let mended = each(versions, |version| self.mend_version(&built, version)).await?;
        let mut repaired: Vec<String> = mended.into_iter().flatten().collect();
        let documents = DocumentArtifact::all(&loaded.release);
        self.index_config().await?;
        let (mended, _) = self.push_documents(&built, &documents, &BTreeSet::new()).await?;
        repaired.extend(mended.into_iter().map(|artifact| format!("registry: {REPOSITORY}:{}", artifact.tag)));
        let artifact = IndexArtifact::new(&live.index, &live.object.bytes, &loaded.release.outline, &loaded.bytes);
        let mut lagging = Vec::new();
        for tag in artifact.tags {
            if self.registry.manifest_digest(REPOSITORY, Name::Tag(tag)).await? != Some(artifact.digest) {
                lagging.push(format!("registry: {REPOSITORY}:{tag}"));
            }
        }
        if !lagging.is_empty() {
            self.index_blobs(&artifact).await?;
            self.tag_index(&artifact).await?;
        }
        repaired.extend(lagging);
        Ok(repaired)
    }

    /// Blobs that the OCI registry lacks or has in another length, although tags name them, are pushed again.
    async fn mend_blobs(
        &self,
        live: &Live,
        loaded: &Loaded,
        extent: Extent,
        now: jiff::Timestamp,
    ) -> Result<Vec<String>, PublishError> {
        let mut built = loaded.as_built(live.index.release);
        let mut blobs = blobs_of(&loaded.release);
        for (blob, content) in blobs_of_index(live, loaded) {
            built.contents.insert(blob.digest, content);
            blobs.push(blob);
        }
        let repaired = self.repair_blobs(&built, extent.of(&blobs, COMPARED_BLOBS, now)).await?;
        Ok(repaired.into_iter().map(|blob: &NamedBlob| format!("registry: {blob}")).collect())
    }

    async fn mend_version(&self, built: &Built, version: &PublishedVersion) -> Result<Option<String>, PublishError> {
        if self.artifact_blobs(built, version).await?.is_none() {
            return Ok(None);
        }
        self.manifest(version, Name::Digest(version.manifest)).await?;
        self.manifest(version, Name::Tag(&version.version)).await?;
        Ok(Some(format!("registry: {}:{}", repository(version), version.version)))
    }

    /// The entries of `index.json` are not those of its release: it is written anew.
    async fn correct_index(&self, live: &Live, loaded: &Loaded) -> Result<Report, PublishError> {
        let built = loaded.as_built(live.index.release);
        let mut report = Report::new(Some(live), &built, Some(loaded));
        let mut timings = Timings::default();
        if !self.make_live(&built, Some(live), Some(loaded), live.index.pinned, &mut report, &mut timings).await? {
            return Err(PublishError::Races);
        }
        report.outcome = Outcome::Unchanged;
        report.repaired = vec![format!("bucket: {INDEX_KEY}")];
        report.timings_ms = timings;
        Ok(report)
    }

    /// Neither store has the live release any more: it is made again from the repository at its commit, or at the head when that
    /// commit is gone, as after a forced push.
    async fn build_again(&self, live: &Live) -> Result<Report, PublishError> {
        let mut timings = Timings::default();
        let stored = self.outline(&live.index).await?;
        let before = stored.map(|stored| Before { live, stored, known: Known::Kept });
        let (due, before) = (BTreeSet::new(), before.as_ref());
        let build = async |commit: &CommitSha, timings: &mut Timings| {
            self.build(commit, before, &due, Emptiness::Refused, timings).await
        };
        let made = match build(&live.index.commit_hash, &mut timings).await {
            Err(PublishError::Source(SourceError::NotFound(what))) if live.index.pinned == Pin::Following => {
                tracing::warn!(what, "the commit of the live release is gone; the head is published instead");
                build(&self.source.head().await?, &mut timings).await?
            }
            made => made?,
        };
        let built = made.built;
        let mut report = Report::new(Some(live), &built, None);
        if self.rejects(&built) {
            report.outcome = Outcome::Rejected;
        } else if self.make_live(&built, Some(live), None, live.index.pinned, &mut report, &mut timings).await? {
            report.repaired = vec![format!("bucket: the release of {}", report.commit_hash)];
        } else {
            return Err(PublishError::Races);
        }
        report.timings_ms = timings;
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn every_version_has_its_turn() {
        let version = |number: usize| PublishedVersion {
            name: "go".into(),
            stack: "go".into(),
            version: number.to_string(),
            folder: format!("stacks/go/{number}"),
            facts: Default::default(),
            manifest: Digest::of(b""),
            layers: Vec::new(),
            devfile: String::new(),
            fetched_from: None,
            fetched_at: None,
            offline: None,
        };
        let versions: Vec<_> = (0..2 * COMPARED_VERSIONS + 1).map(version).collect();
        let mut compared = std::collections::BTreeSet::new();
        for run in 0..3 {
            let now = jiff::Timestamp::from_second(1_000_000_007 + run * TURN_SECONDS).unwrap();
            let turn = Extent::Turn.of(&versions, COMPARED_VERSIONS, now);
            assert!(turn.len() <= COMPARED_VERSIONS);
            compared.extend(turn.iter().map(|version| &version.version));
            assert_eq!(Extent::Whole.of(&versions, COMPARED_VERSIONS, now).len(), versions.len());
        }
        assert_eq!(compared.len(), versions.len());
        let (few, now) = (&versions[..COMPARED_VERSIONS], jiff::Timestamp::now());
        assert_eq!(Extent::Turn.of(few, COMPARED_VERSIONS, now).len(), COMPARED_VERSIONS);
    }
}
