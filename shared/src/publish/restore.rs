//! Restoration: rebuilds the bucket from the OCI registry alone.

use std::str::FromStr;

use super::compare_scope::CompareScope;
use super::error::{PublishError, RACES};
use super::index_artifact::LATEST;
use super::live::{Live, Loaded};
use super::publisher::Publisher;
use super::report::{Outcome, Report, Timings};
use crate::cache::{Bucket, Expect, INDEX_KEY, Object};
use crate::digest::{CommitSha, Digest};
use crate::limits;
use crate::registry::Registry;
use crate::release::LiveIndex;
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Restores missing and damaged objects of the bucket.
    ///
    /// When `index.json` is missing or damaged, the newest release of the OCI registry goes live.
    ///
    /// # Errors
    /// [`PublishError::MissingBlob`] when the OCI registry lacks content, too.
    pub async fn restore(&self) -> Result<Report, PublishError> {
        for _ in 0..RACES {
            let object = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?;
            let live = object.as_ref().and_then(|object| LiveIndex::from_bytes(&object.bytes).ok());
            let intact = match &live {
                Some(live) => self.release(live).await?.map(|loaded| (live.clone(), loaded)),
                None => None,
            };
            let intact = intact.filter(|(index, loaded)| index.check(&loaded.release.outline).is_ok());
            let (index, loaded) = match intact {
                Some(intact) => intact,
                None => self.recorded_of(object.as_ref()).await?.ok_or_else(|| {
                    let advice = "nothing was published to it yet; run refresh".to_owned();
                    PublishError::NoSuchRelease { name: LATEST.to_owned(), advice }
                })?,
            };
            let mut report = Report::nothing_new(&index, None, Timings::default());
            self.wait_for_prune().await?;
            let wrong = self.missing_or_damaged_blobs(&loaded.release, CompareScope::All).await?;
            report.repaired = self.repair_bucket(&index, &loaded, &wrong).await?;
            if live.as_ref() != Some(&index) {
                let expect = Expect::unchanged(object.as_ref());
                if !self.commit(index.to_bytes(), expect).await? {
                    continue;
                }
                report.repaired.push(format!("bucket: {INDEX_KEY}"));
                report.outcome = Outcome::Published;
            }
            report.writes.bucket = report.repaired.len() as u64;
            return Ok(report);
        }
        Err(PublishError::Races)
    }

    /// Returns the live release. Restores a missing or damaged `index.json` first, and adds the
    /// written objects to `repaired`.
    ///
    /// # Errors
    /// [`PublishError::NoSuchRelease`] when it is damaged and the OCI registry has no index artifact.
    pub(super) async fn live_or_restored(&self, repaired: &mut Vec<String>) -> Result<Option<Live>, PublishError> {
        let found = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?;
        self.read_or_restore(found, repaired).await
    }

    /// The same as [`Publisher::live_or_restored`], from a read `index.json`.
    pub(super) async fn read_or_restore(
        &self,
        mut found: Option<Object>,
        repaired: &mut Vec<String>,
    ) -> Result<Option<Live>, PublishError> {
        for _ in 0..RACES {
            let damage = match found.clone().map(Live::read) {
                Some(Ok(live)) => return Ok(Some(live)),
                Some(Err(damage)) => Some(damage),
                None => None,
            };
            let Some((index, loaded)) = self.recorded_of(found.as_ref()).await? else {
                let advice =
                    "index.json is damaged; remove it and run refresh to publish the head of the branch".to_owned();
                let lost = |_| Err(PublishError::NoSuchRelease { name: LATEST.to_owned(), advice });
                return damage.map_or(Ok(None), lost);
            };
            // Everything that it names comes before it (invariant 2), and stays.
            self.wait_for_prune().await?;
            let missing = self.missing_blobs(&loaded.release).await?;
            let mut written = self.repair_bucket(&index, &loaded, &missing).await?;
            if self.commit(index.to_bytes(), Expect::unchanged(found.as_ref())).await? {
                written.push(format!("bucket: {INDEX_KEY}"));
                let reason = damage.map_or("it was missing".to_owned(), |damage| damage.to_string());
                tracing::warn!(reason, commit = %index.commit_hash, "index.json was restored from its index artifact");
            }
            repaired.append(&mut written);
            found = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?;
        }
        Err(PublishError::Races)
    }

    /// Returns the live release as the OCI registry recorded it, or `None` when it recorded none.
    ///
    /// The commit and release that a damaged `index.json` still names decide. `latest` may belong
    /// to a publication that was killed before its commit point.
    async fn recorded_of(&self, damaged: Option<&Object>) -> Result<Option<(LiveIndex, Loaded)>, PublishError> {
        let named = damaged.and_then(|object| {
            let commit: CommitSha = field(&object.bytes, "commit_hash")?;
            Some((commit, field::<Digest>(&object.bytes, "release")?))
        });
        if let Some((commit, release)) = named
            && let Some(recorded) = self.recorded_if_whole(commit.as_str()).await?
            && recorded.0.release == release
        {
            return Ok(Some(recorded));
        }
        self.recorded_if_whole(LATEST).await
    }

    async fn recorded_if_whole(&self, tag: &str) -> Result<Option<(LiveIndex, Loaded)>, PublishError> {
        match self.recorded(tag).await {
            Err(error @ PublishError::DamagedArtifact { .. }) => {
                tracing::warn!(%error, "cannot restore from this index artifact");
                Ok(None)
            }
            recorded => recorded,
        }
    }
}

/// Finds a text field in damaged JSON.
fn field<T: FromStr>(bytes: &[u8], name: &str) -> Option<T> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"')?.0.parse().ok()
}
