//! The bucket, rebuilt from the OCI registry alone.

use std::collections::BTreeSet;
use std::str::FromStr;

use bytes::Bytes;

use super::each::each;
use super::error::{PublishError, RACES};
use super::index_artifact::LATEST;
use super::large::by_size;
use super::live::{Live, Loaded};
use super::publisher::Publisher;
use super::recover::groups;
use super::report::{Outcome, Report, Timings};
use crate::artifact;
use crate::cache::{Bucket, Expect, INDEX_KEY, Object, blob_key, release_key};
use crate::digest::{CommitSha, Digest};
use crate::limits;
use crate::registry::Registry;
use crate::release::{LiveIndex, Release};
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Puts back what the bucket lacks, and what does not have its digest. When its `index.json` is gone or damaged, the newest release of the OCI registry goes live.
    ///
    /// # Errors
    /// [`PublishError::MissingBlob`] when the OCI registry lacks content, too.
    pub async fn restore(&self) -> Result<Report, PublishError> {
        for _ in 0..RACES {
            if let Some(report) = self.restore_once().await? {
                return Ok(report);
            }
        }
        Err(PublishError::Races)
    }

    /// The same; none when something else went live meanwhile.
    async fn restore_once(&self) -> Result<Option<Report>, PublishError> {
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
        let mut wrong = self.lacking(&loaded.release).await?;
        let kept: Vec<Digest> = loaded.release.blobs().into_keys().filter(|blob| !wrong.contains(blob)).collect();
        let read = |blob: &Digest| {
            let blob = *blob;
            async move { Ok(self.verify_object(blob).await?.map(|_| blob)) }
        };
        wrong.extend(each(&kept, read).await?.into_iter().flatten());
        report.repaired = self.mend_bucket(&index, &loaded, &wrong).await?;
        if live.as_ref() != Some(&index) {
            let expect = Expect::unchanged(object.as_ref());
            if !self.commit(index.to_bytes(), expect).await? {
                return Ok(None);
            }
            report.repaired.push(format!("bucket: {INDEX_KEY}"));
            report.outcome = Outcome::Published;
        }
        report.writes.bucket = report.repaired.len() as u64;
        Ok(Some(report))
    }

    /// Returns the live release. Restores a missing or damaged `index.json` first, and adds the written objects to `repaired`.
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
                let advice = "index.json in the cache bucket is damaged; remove it and run refresh to publish the head of the branch".to_owned();
                let lost = |_| Err(PublishError::NoSuchRelease { name: LATEST.to_owned(), advice });
                return damage.map_or(Ok(None), lost);
            };
            // Everything that it names comes before it (invariant 2), and stays.
            self.wait_for_prune().await?;
            let lacking = self.lacking(&loaded.release).await?;
            let mut written = self.mend_bucket(&index, &loaded, &lacking).await?;
            if self.commit(index.to_bytes(), Expect::unchanged(found.as_ref())).await? {
                written.push(format!("bucket: {INDEX_KEY}"));
                let reason = damage.map_or("it was missing".to_owned(), |damage| damage.to_string());
                tracing::warn!(reason, commit = %index.commit_hash, "index.json was restored from the OCI registry");
            }
            repaired.append(&mut written);
            found = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?;
        }
        Err(PublishError::Races)
    }

    /// Returns the live release as the OCI registry recorded it, or `None` when it recorded none.
    ///
    /// The commit and release that a damaged `index.json` still names decide. `latest` may belong to a publication that was killed
    /// before its commit point.
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

    /// Writes some blobs of a release anew, and the release object if it is not as it should be, and names them.
    pub(super) async fn mend_bucket(
        &self,
        index: &LiveIndex,
        loaded: &Loaded,
        missing: &BTreeSet<Digest>,
    ) -> Result<Vec<String>, PublishError> {
        let written = self.put_back(&loaded.release, missing).await?;
        let lost: BTreeSet<Digest> = missing.difference(&written).copied().collect();
        if !lost.is_empty() {
            self.put_back_from_source(index, &lost).await?;
        }
        let mut repaired: Vec<String> = missing.iter().map(|blob| format!("bucket: {}", blob_key(*blob))).collect();
        // What readers cannot do without is compared byte by byte.
        let documents = loaded.release.read_from().keys().filter(|document| !missing.contains(document));
        let wrong =
            each(documents, |document| async move { Ok(self.verify_object(*document).await?.map(|_| *document)) });
        let wrong: BTreeSet<Digest> = wrong.await?.into_iter().flatten().collect();
        self.put_back(&loaded.release, &wrong).await?;
        repaired.extend(wrong.iter().map(|document| format!("bucket: {}", blob_key(*document))));
        let key = release_key(index.release);
        let kept = self.bucket.get(&key, limits::RELEASE_BYTES).await?;
        if kept.is_none_or(|object| Digest::of(&object.bytes) != index.release) {
            self.bucket.put(&key, loaded.bytes.clone()).await?;
            repaired.push(format!("bucket: {key}"));
        }
        Ok(repaired)
    }

    /// Copies blobs from the OCI registry to the bucket, and says which were there.
    pub(super) async fn put_back(
        &self,
        release: &Release,
        missing: &BTreeSet<Digest>,
    ) -> Result<BTreeSet<Digest>, PublishError> {
        let large = by_size(release).large;
        let (large, small): (BTreeSet<Digest>, _) = missing.iter().partition(|blob| large.contains(blob));
        let groups = groups(release, &small);
        let copied = each(&groups, |group| async {
            let contents = self.fetch(group).await?;
            self.put_blobs(contents).await
        });
        let mut written: BTreeSet<Digest> = copied.await?.into_iter().flatten().collect();
        for blob in large {
            if let Some(file) = self.large_of_registry(blob).await? {
                self.bucket.put_file(&blob_key(blob), file.path()).await?;
                written.insert(blob);
            }
        }
        let constant = missing.iter().filter_map(|blob| Some((*blob, artifact::known(*blob)?))).collect();
        written.extend(self.put_blobs(constant).await?);
        Ok(written)
    }

    async fn put_blobs(&self, contents: Vec<(Digest, Bytes)>) -> Result<Vec<Digest>, PublishError> {
        let mut written = Vec::new();
        for (digest, content) in contents {
            self.bucket.put(&blob_key(digest), content).await?;
            written.push(digest);
        }
        Ok(written)
    }

    /// What neither store has can still be in the repository, at the commit of the release.
    async fn put_back_from_source(&self, index: &LiveIndex, lost: &BTreeSet<Digest>) -> Result<(), PublishError> {
        let contents = self.contents_of(&index.commit_hash).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the repository cannot help");
            Default::default()
        });
        for blob in lost {
            match contents.get(blob) {
                Some(content) => self.bucket.put(&blob_key(*blob), content.clone()).await?,
                // What was fetched anew from other hosts is there by now, if it is the same.
                None if self.large_of_bucket(*blob).await?.is_some() => {}
                None => return Err(PublishError::MissingBlob(*blob)),
            }
        }
        Ok(())
    }
}

/// Finds a text field in damaged JSON.
fn field<T: FromStr>(bytes: &[u8], name: &str) -> Option<T> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"')?.0.parse().ok()
}
