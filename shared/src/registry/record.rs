//! The record of a registry, wherever it is: at an OCI registry, or in a directory.

use std::path::Path;

use bytes::Bytes;

use super::{ImageLayouts, Name, OciRegistry, Registry, RegistryError};
use crate::digest::Digest;

/// A store of artifacts.
#[derive(Debug, Clone)]
pub enum Record {
    /// An OCI registry.
    Oci(OciRegistry),
    /// OCI image layouts in a directory.
    Layouts(ImageLayouts),
}

/// Calls the same method of the registry that it is.
macro_rules! delegate {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Record::Oci(registry) => registry.$method($($argument),*).await,
            Record::Layouts(registry) => registry.$method($($argument),*).await,
        }
    };
}

impl Registry for Record {
    fn address(&self) -> String {
        match self {
            Self::Oci(registry) => registry.address(),
            Self::Layouts(registry) => registry.address(),
        }
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        delegate!(self.manifest_digest(repository, name))
    }

    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        delegate!(self.manifest(repository, name))
    }

    async fn blob(&self, repository: &str, blob: Digest, limit: u64) -> Result<Option<Bytes>, RegistryError> {
        delegate!(self.blob(repository, blob, limit))
    }

    async fn has_blob(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        delegate!(self.has_blob(repository, blob, size))
    }

    async fn is_intact(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        delegate!(self.is_intact(repository, blob, size))
    }

    async fn push_blob(&self, repository: &str, blob: Digest, content: Bytes) -> Result<(), RegistryError> {
        delegate!(self.push_blob(repository, blob, content))
    }

    async fn blob_to_file(
        &self,
        repository: &str,
        blob: Digest,
        limit: u64,
        into: &Path,
    ) -> Result<bool, RegistryError> {
        delegate!(self.blob_to_file(repository, blob, limit, into))
    }

    async fn push_file(&self, repository: &str, blob: Digest, file: &Path) -> Result<(), RegistryError> {
        delegate!(self.push_file(repository, blob, file))
    }

    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        delegate!(self.push_manifest(repository, name, manifest))
    }
}
