//! The bucket, rebuilt from the OCI registry alone.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::index_artifact::LATEST;
use super::large::by_size;
use super::live::Loaded;
use super::recover::groups;
use super::upload::each;
use super::{Outcome, PublishError, Publisher, Report, Timings};
use crate::artifact;
use crate::cache::{Bucket, Expect, INDEX_KEY, blob_key, release_key};
use crate::digest::Digest;
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
        let object = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?;
        let live = object.as_ref().and_then(|object| LiveIndex::from_bytes(&object.bytes).ok());
        let intact = match &live {
            Some(live) => self.release(live).await?.map(|loaded| (live.clone(), loaded)),
            None => None,
        };
        let (index, loaded) = match intact {
            Some(intact) => intact,
            None => self.recorded(LATEST).await?.ok_or_else(|| {
                let advice = "nothing was published to it yet; run refresh".to_owned();
                PublishError::NoSuchRelease { name: LATEST.to_owned(), advice }
            })?,
        };
        let mut report = Report::nothing_new(&index, None, Timings::default());
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
                return Err(PublishError::Races);
            }
            report.repaired.push(format!("bucket: {INDEX_KEY}"));
            report.outcome = Outcome::Published;
        }
        report.writes.bucket = report.repaired.len() as u64;
        Ok(report)
    }

    /// Blobs of a release that the bucket does not have, or in another length.
    pub(super) async fn lacking(&self, release: &Release) -> Result<BTreeSet<Digest>, PublishError> {
        let stored = self.bucket.list(crate::cache::BLOBS).await?;
        let is_there = |digest: Digest, size: u64| stored.get(&blob_key(digest)).is_some_and(|stat| stat.size == size);
        Ok(release
            .blobs()
            .into_iter()
            .filter(|(digest, size)| !is_there(*digest, *size))
            .map(|(digest, _)| digest)
            .collect())
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
                None if self.bucket.stat(&blob_key(*blob)).await?.is_some() => {}
                None => return Err(PublishError::MissingBlob(*blob)),
            }
        }
        Ok(())
    }
}
