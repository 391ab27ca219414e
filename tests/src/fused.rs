//! A store on this machine whose writes end with a fuse, as those to a server end with that of its proxy.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use devfile_registry::cache::{Bucket, CacheError, Expect, Opened, Stat, Written};
use devfile_registry::digest::Digest;
use devfile_registry::registry::{Name, Registry, RegistryError};

use crate::proxy::Fuse;

/// A bucket or a registry with a fuse.
#[derive(Debug)]
pub struct Fused<S> {
    /// The store.
    pub store: S,
    /// Its fuse; several stores may share one.
    pub fuse: Fuse,
}

impl<B: Bucket> Bucket for Fused<B> {
    async fn open(&self, key: &str, limit: u64) -> Result<Option<Opened<'_>>, CacheError> {
        self.store.open(key, limit).await
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>, CacheError> {
        self.store.stat(key).await
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Stat>, CacheError> {
        self.store.list(prefix).await
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.fuse.pass().await;
        self.store.delete(key).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), CacheError> {
        self.fuse.pass().await;
        self.store.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), CacheError> {
        self.fuse.pass().await;
        self.store.put_file(key, file).await
    }

    async fn get_file(&self, key: &str, limit: u64, into: &Path) -> Result<bool, CacheError> {
        self.store.get_file(key, limit, into).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, expect: Expect) -> Result<Written, CacheError> {
        self.fuse.pass().await;
        self.store.put_if(key, bytes, expect).await
    }
}

impl<R: Registry> Registry for Fused<R> {
    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        self.store.manifest_digest(repository, name).await
    }

    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        self.store.manifest(repository, name).await
    }

    async fn blob(&self, repository: &str, blob: Digest, limit: u64) -> Result<Option<Bytes>, RegistryError> {
        self.store.blob(repository, blob, limit).await
    }

    async fn has_blob(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        self.store.has_blob(repository, blob, size).await
    }

    async fn push_blob(&self, repository: &str, blob: Digest, content: Bytes) -> Result<(), RegistryError> {
        self.fuse.pass().await;
        self.store.push_blob(repository, blob, content).await
    }

    async fn blob_to_file(
        &self,
        repository: &str,
        blob: Digest,
        limit: u64,
        into: &Path,
    ) -> Result<bool, RegistryError> {
        self.store.blob_to_file(repository, blob, limit, into).await
    }

    async fn push_file(&self, repository: &str, blob: Digest, file: &Path) -> Result<(), RegistryError> {
        self.fuse.pass().await;
        self.store.push_file(repository, blob, file).await
    }

    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        self.fuse.pass().await;
        self.store.push_manifest(repository, name, manifest).await
    }

    fn address(&self) -> String {
        self.store.address()
    }
}
