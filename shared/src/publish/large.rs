//! Content that is too large for memory, which is starter projects that were fetched along: it goes through files, one at a time.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::NamedTempFile;

use super::error::PublishError;
use super::publisher::Publisher;
use super::repositories::INDEX_REPOSITORY;
use super::retention::Placed;
use crate::cache::{Bucket, blob_key};
use crate::digest::Digest;
use crate::limits;
use crate::outside::offline::Keep;
use crate::registry::Registry;
use crate::release::{Place, Release};
use crate::source::Source;

/// The blobs of a release by how they are moved.
#[derive(Debug, Default)]
pub(super) struct BySize {
    /// In memory, several at a time.
    pub(super) small: BTreeSet<Digest>,
    /// In files, one at a time.
    pub(super) large: BTreeSet<Digest>,
}

/// Tells large blobs from small ones. No file of a repository is large, no layer is made of anything else, and documents are in
/// memory anyway.
pub(super) fn by_size(release: &Release) -> BySize {
    let places = release.places();
    let mut sorted = BySize::default();
    for (blob, size) in release.blobs() {
        let is_file = places.get(&blob) == Some(&Place::Index) && !release.read_from().contains_key(&blob);
        if is_file && size > limits::FILE_BYTES {
            sorted.large.insert(blob);
        } else {
            sorted.small.insert(blob);
        }
    }
    sorted
}

impl<S: Source, R: Registry, B: Bucket> Keep for Publisher<S, R, B> {
    type Error = PublishError;

    async fn keep(&self, digest: Digest, file: &Path) -> Result<(), PublishError> {
        let key = blob_key(digest);
        if self.placing(&key).await? != Placed::Kept {
            self.bucket.put_file(&key, file).await?;
        }
        let size = file.metadata().map_err(PublishError::Temporary)?.len();
        if !self.registry.has_blob(INDEX_REPOSITORY, digest, size).await? {
            self.registry.push_file(INDEX_REPOSITORY, digest, file).await?;
        }
        Ok(())
    }
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Writes a large blob to the bucket unless it stays there, from wherever it is.
    pub(super) async fn bucket_large(&self, blob: Digest) -> Result<Placed, PublishError> {
        let key = blob_key(blob);
        let placing = self.placing(&key).await?;
        if placing != Placed::Kept {
            let file = self.large(blob).await?.ok_or(PublishError::MissingBlob(blob))?;
            self.bucket.put_file(&key, file.path()).await?;
        }
        Ok(placing)
    }

    /// Writes a large blob to the OCI registry unless it is there; says how many were written.
    pub(super) async fn push_large(&self, blob: Digest, size: u64) -> Result<u64, PublishError> {
        if self.registry.has_blob(INDEX_REPOSITORY, blob, size).await? {
            return Ok(0);
        }
        self.push_file_again(blob).await?;
        Ok(1)
    }

    /// Writes a large blob from the bucket to the OCI registry, whether or not it is there.
    pub(super) async fn push_file_again(&self, blob: Digest) -> Result<(), PublishError> {
        let file = self.large_of_bucket(blob).await?.ok_or(PublishError::MissingBlob(blob))?;
        Ok(self.registry.push_file(INDEX_REPOSITORY, blob, file.path()).await?)
    }

    /// A large blob from the bucket or else from the OCI registry.
    async fn large(&self, blob: Digest) -> Result<Option<NamedTempFile>, PublishError> {
        match self.large_of_bucket(blob).await? {
            Some(file) => Ok(Some(file)),
            None => self.large_of_registry(blob).await,
        }
    }

    /// A large blob from the bucket; none when it is not there as it should be.
    pub(super) async fn large_of_bucket(&self, blob: Digest) -> Result<Option<NamedTempFile>, PublishError> {
        let file = NamedTempFile::new().map_err(PublishError::Temporary)?;
        if !self.bucket.get_file(&blob_key(blob), limits::TREE_BYTES, file.path()).await? {
            return Ok(None);
        }
        let digest = Digest::of_file(file.path()).await.map_err(PublishError::Temporary)?;
        Ok((digest == blob).then_some(file))
    }

    /// A large blob from the OCI registry; none when it is not there.
    pub(super) async fn large_of_registry(&self, blob: Digest) -> Result<Option<NamedTempFile>, PublishError> {
        let file = NamedTempFile::new().map_err(PublishError::Temporary)?;
        if !self.registry.blob_to_file(INDEX_REPOSITORY, blob, limits::TREE_BYTES, file.path()).await? {
            return Ok(None);
        }
        Ok(Some(file))
    }
}
