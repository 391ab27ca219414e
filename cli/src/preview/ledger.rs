//! The record of a preview: the names and digests of the published artifacts, without the content. Only a restore reads content from a
//! record, and a preview ends with its process.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use devfile_registry::digest::Digest;
use devfile_registry::registry::{Name, Registry, RegistryError};

/// A registry that records the pushes to it.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    manifests: HashMap<(String, String), Digest>,
    blobs: HashSet<(String, Digest)>,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic while holding it leaves a consistent value behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(name: Name<'_>) -> String {
    match name {
        Name::Tag(tag) => tag.to_owned(),
        Name::Digest(digest) => digest.to_string(),
    }
}

impl Registry for Ledger {
    fn address(&self) -> String {
        "preview".to_owned()
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        Ok(self.entries().manifests.get(&(repository.to_owned(), text(name))).copied())
    }

    async fn manifest(&self, _: &str, _: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        Ok(None)
    }

    async fn blob(&self, _: &str, _: Digest, _: u64) -> Result<Option<Bytes>, RegistryError> {
        Ok(None)
    }

    async fn has_blob(&self, repository: &str, blob: Digest, _: u64) -> Result<bool, RegistryError> {
        Ok(self.entries().blobs.contains(&(repository.to_owned(), blob)))
    }

    async fn push_blob(&self, repository: &str, blob: Digest, _: Bytes) -> Result<(), RegistryError> {
        self.entries().blobs.insert((repository.to_owned(), blob));
        Ok(())
    }

    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        let digest = Digest::of(&manifest);
        let mut entries = self.entries();
        for name in [text(name), digest.to_string()] {
            entries.manifests.insert((repository.to_owned(), name), digest);
        }
        Ok(())
    }
}
