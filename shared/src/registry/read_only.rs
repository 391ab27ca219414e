//! A registry that is read and never written, for releases that never become live.

use std::path::Path;

use bytes::Bytes;

use super::{Name, Registry, RegistryError};
use crate::digest::Digest;

/// Another registry, whose content stays as it is: every upload succeeds and does nothing.
#[derive(Debug, Clone)]
pub struct ReadOnly<R>(pub R);

impl<R: Registry> Registry for ReadOnly<R> {
    fn address(&self) -> String {
        self.0.address()
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        self.0.manifest_digest(repository, name).await
    }

    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        self.0.manifest(repository, name).await
    }

    async fn blob(&self, repository: &str, blob: Digest, limit: u64) -> Result<Option<Bytes>, RegistryError> {
        self.0.blob(repository, blob, limit).await
    }

    async fn has_blob(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        self.0.has_blob(repository, blob, size).await
    }

    async fn is_intact(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        self.0.is_intact(repository, blob, size).await
    }

    async fn blob_to_file(
        &self,
        repository: &str,
        blob: Digest,
        limit: u64,
        into: &Path,
    ) -> Result<bool, RegistryError> {
        self.0.blob_to_file(repository, blob, limit, into).await
    }

    async fn push_blob(&self, _repository: &str, _blob: Digest, _content: Bytes) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn push_file(&self, _repository: &str, _blob: Digest, _file: &Path) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn push_manifest(&self, _repository: &str, _name: Name<'_>, _manifest: Bytes) -> Result<(), RegistryError> {
        Ok(())
    }
}
