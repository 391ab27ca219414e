//! Repair of the bucket: writes the objects of a release again, from the OCI registry or else from the repository.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::content::groups;
use super::each::each;
use super::error::PublishError;
use super::live::Loaded;
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::{Bucket, blob_key, release_key};
use crate::digest::Digest;
use crate::registry::Registry;
use crate::release::{LiveIndex, Release};
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Writes missing blobs of a release, its damaged documents, and its release object if that is
    /// damaged. Returns their keys.
    pub(super) async fn repair_bucket(
        &self,
        index: &LiveIndex,
        loaded: &Loaded,
        missing: &BTreeSet<Digest>,
    ) -> Result<Vec<String>, PublishError> {
        let written = self.restore_blobs(&loaded.release, missing).await?;
        let lost: BTreeSet<Digest> = missing.difference(&written).copied().collect();
        if !lost.is_empty() {
            self.restore_from_source(index, &lost).await?;
        }
        let mut repaired: Vec<String> = missing.iter().map(|blob| format!("bucket: {}", blob_key(*blob))).collect();
        // Readers need every document, so each is compared byte by byte.
        let documents = loaded.release.read_from().keys().filter(|document| !missing.contains(document));
        let wrong = each(documents, |document| async move {
            Ok(self.verify_object(blob_key(*document), *document).await?.map(|_| *document))
        });
        let wrong: BTreeSet<Digest> = wrong.await?.into_iter().flatten().collect();
        self.restore_blobs(&loaded.release, &wrong).await?;
        repaired.extend(wrong.iter().map(|document| format!("bucket: {}", blob_key(*document))));
        let key = release_key(index.release);
        if self.verify_object(key.clone(), index.release).await?.is_some() {
            self.bucket.put(&key, loaded.bytes.clone()).await?;
            repaired.push(format!("bucket: {key}"));
        }
        Ok(repaired)
    }

    /// Copies blobs from the OCI registry to the bucket, and returns those that the registry had.
    pub(super) async fn restore_blobs(
        &self,
        release: &Release,
        missing: &BTreeSet<Digest>,
    ) -> Result<BTreeSet<Digest>, PublishError> {
        let file_backed = release.file_backed();
        let (file_backed, in_memory): (BTreeSet<Digest>, _) =
            missing.iter().partition(|blob| file_backed.contains(blob));
        let groups = groups(release, &in_memory);
        let copied = each(&groups, |group| async {
            let contents = self.fetch(group).await?;
            self.put_blobs(contents).await
        });
        let mut written: BTreeSet<Digest> = copied.await?.into_iter().flatten().collect();
        for blob in file_backed {
            if let Some(file) = self.file_from_registry(blob).await? {
                self.bucket.put_file(&blob_key(blob), file.path()).await?;
                written.insert(blob);
            }
        }
        let constant = missing.iter().filter_map(|blob| Some((*blob, artifact::known(*blob)?))).collect();
        written.extend(self.put_blobs(constant).await?);
        Ok(written)
    }

    /// Restores blobs that neither store has from the repository, at the commit of the release.
    async fn restore_from_source(&self, index: &LiveIndex, lost: &BTreeSet<Digest>) -> Result<(), PublishError> {
        let contents = self.contents_of(&index.commit_hash).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "lost blobs cannot be restored from the repository");
            Default::default()
        });
        for blob in lost {
            match contents.get(blob) {
                Some(content) => self.bucket.put(&blob_key(*blob), content.clone()).await?,
                // The build stored the fetched content of other hosts; a blob that is unchanged there is restored.
                None if self.file_from_bucket(*blob).await?.is_some() => {}
                None => return Err(PublishError::MissingBlob(*blob)),
            }
        }
        Ok(())
    }

    async fn put_blobs(&self, contents: Vec<(Digest, Bytes)>) -> Result<Vec<Digest>, PublishError> {
        let mut written = Vec::new();
        for (digest, content) in contents {
            self.bucket.put(&blob_key(digest), content).await?;
            written.push(digest);
        }
        Ok(written)
    }
}
