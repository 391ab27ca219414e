//! File-backed blobs: starter projects of offline stacks are too large for memory, so they go
//! through files, one at a time.

use std::path::Path;

use tempfile::NamedTempFile;

use super::error::PublishError;
use super::index_artifact::INDEX_REPOSITORY;
use super::publisher::Publisher;
use super::retention::Placed;
use crate::cache::{Bucket, blob_key};
use crate::digest::Digest;
use crate::limits;
use crate::registry::Registry;
use crate::source::Source;
use crate::upstream::offline::Keep;

impl<S: Source, R: Registry, B: Bucket> Keep for Publisher<S, R, B> {
    type Error = PublishError;

    async fn keep(&self, digest: Digest, file: &Path) -> Result<(), PublishError> {
        let key = blob_key(digest);
        if self.placing(&key).await? != Placed::Present {
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
    /// Writes a file-backed blob from either store to the bucket, unless the blob stays there.
    pub(super) async fn write_file_backed(&self, blob: Digest) -> Result<Placed, PublishError> {
        let key = blob_key(blob);
        let placing = self.placing(&key).await?;
        if placing != Placed::Present {
            let file = self.file_backed(blob).await?.ok_or(PublishError::MissingBlob(blob))?;
            self.bucket.put_file(&key, file.path()).await?;
        }
        Ok(placing)
    }

    /// Pushes a file-backed blob unless the OCI registry has it, and returns the number of pushed blobs.
    pub(super) async fn push_missing_file_backed(&self, blob: Digest, size: u64) -> Result<u64, PublishError> {
        if self.registry.has_blob(INDEX_REPOSITORY, blob, size).await? {
            return Ok(0);
        }
        self.push_file_backed(blob).await?;
        Ok(1)
    }

    /// Pushes a file-backed blob from the bucket to the OCI registry, even if the registry has it.
    pub(super) async fn push_file_backed(&self, blob: Digest) -> Result<(), PublishError> {
        let file = self.file_from_bucket(blob).await?.ok_or(PublishError::MissingBlob(blob))?;
        Ok(self.registry.push_file(INDEX_REPOSITORY, blob, file.path()).await?)
    }

    /// Copies a blob from the bucket, or else from the OCI registry, to a file.
    async fn file_backed(&self, blob: Digest) -> Result<Option<NamedTempFile>, PublishError> {
        match self.file_from_bucket(blob).await? {
            Some(file) => Ok(Some(file)),
            None => self.file_from_registry(blob).await,
        }
    }

    /// Copies a blob from the bucket to a file; returns `None` when the bucket lacks it or it does
    /// not match its digest.
    pub(super) async fn file_from_bucket(&self, blob: Digest) -> Result<Option<NamedTempFile>, PublishError> {
        let file = NamedTempFile::new().map_err(PublishError::Temporary)?;
        if !self.bucket.get_file(&blob_key(blob), limits::TREE_BYTES, file.path()).await? {
            return Ok(None);
        }
        let digest = Digest::of_file(file.path()).await.map_err(PublishError::Temporary)?;
        Ok((digest == blob).then_some(file))
    }

    /// Copies a blob from the OCI registry to a file; returns `None` when the registry lacks it.
    pub(super) async fn file_from_registry(&self, blob: Digest) -> Result<Option<NamedTempFile>, PublishError> {
        let file = NamedTempFile::new().map_err(PublishError::Temporary)?;
        if !self.registry.blob_to_file(INDEX_REPOSITORY, blob, limits::TREE_BYTES, file.path()).await? {
            return Ok(None);
        }
        Ok(Some(file))
    }
}
