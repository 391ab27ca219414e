//! The live release against both stores (invariant 8): what lags is repaired, from whatever has the content.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::index_artifact::{self, LATEST, REPOSITORY};
use super::live::{Live, Loaded};
use super::upload::{each, repository};
use super::{Outcome, PublishError, Publisher, Report, Timings};
use crate::cache::Bucket;
use crate::digest::{CommitSha, Digest};
use crate::outside::offline::Extent;
use crate::registry::{Name, Registry};
use crate::release::{Built, Pin, PublishedVersion};
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Compares the live release with the OCI registry and the bucket, repairs what lags, and says what that was.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails, or content is gone from everywhere.
    pub async fn repair(&self) -> Result<Report, PublishError> {
        let live = self.live().await?.ok_or(PublishError::NothingLive)?;
        let Some(loaded) = self.release(&live.index).await? else { return self.build_again(&live).await };
        let mut report = Report::nothing_new(&live.index, None, Timings::default());
        report.repaired = self.mend_bucket(&live.index, &loaded).await?;
        report.writes.bucket = report.repaired.len() as u64;
        let to_registry = self.mend_registry(&live, &loaded).await?;
        report.writes.registry = to_registry.len() as u64;
        report.repaired.extend(to_registry);
        for repaired in &report.repaired {
            tracing::warn!(repaired, "repaired");
        }
        Ok(report)
    }

    /// Tags that do not name what the live release says are set anew, with the blobs and manifests that they need.
    async fn mend_registry(&self, live: &Live, loaded: &Loaded) -> Result<Vec<String>, PublishError> {
        let built = loaded.as_built(&live.index);
        let mended = each(&loaded.release.versions, |version| self.mend_version(&built, version)).await?;
        let mut repaired: Vec<String> = mended.into_iter().flatten().collect();
        let expected = index_artifact::manifest(&live.index, &live.object.bytes, &loaded.release, &loaded.bytes);
        for tag in [live.index.commit_hash.as_str(), LATEST] {
            let found = self.registry.manifest_digest(REPOSITORY, Name::Tag(tag)).await?;
            if found != Some(Digest::of(&expected)) {
                self.push_index_artifact(&live.index, &live.object.bytes, &built, None).await?;
                repaired.push(format!("registry: {REPOSITORY}:{tag}"));
            }
        }
        Ok(repaired)
    }

    async fn mend_version(&self, built: &Built, version: &PublishedVersion) -> Result<Option<String>, PublishError> {
        if self.artifact_blobs(built, version).await?.is_none() {
            return Ok(None);
        }
        self.manifest(version, Name::Digest(version.manifest)).await?;
        self.manifest(version, Name::Tag(&version.version)).await?;
        Ok(Some(format!("registry: {}:{}", repository(version), version.version)))
    }

    /// Neither store has the live release any more: it is made again from the repository.
    async fn build_again(&self, live: &Live) -> Result<Report, PublishError> {
        let commit =
            if live.index.pinned == Pin::Pinned { live.index.commit_hash.clone() } else { self.source.head().await? };
        let mut timings = Timings::default();
        let built = self.build(&commit, None, None, &mut timings).await?;
        let mut report = Report::new(Some(live), &built, None);
        if !self.make_live(&built, Some(live), None, live.index.pinned, &mut report, &mut timings).await? {
            return Err(PublishError::Races);
        }
        report.outcome = Outcome::Published;
        report.repaired = vec![format!("bucket: the release of {commit}")];
        report.timings_ms = timings;
        Ok(report)
    }

    /// All content that follows from the repository at a commit.
    pub(super) async fn contents_of(&self, commit: &CommitSha) -> Result<BTreeMap<Digest, Bytes>, PublishError> {
        let tree = self.source.tree(commit).await?;
        let mut complete = self.outside.complete(tree, None).await;
        self.outside.take_offline(&mut complete, Extent::Whole, None, self).await?;
        Ok(self.assemble(commit, &complete, None, None).await?.contents)
    }
}
