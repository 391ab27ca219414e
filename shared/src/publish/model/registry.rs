//! An OCI registry in memory, which can lose and damage blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::Fuse;
use crate::digest::Digest;
use crate::registry::{Name, Registry, RegistryError};

#[derive(Debug, Clone, Default)]
pub(super) struct MemoryRegistry {
    pub(super) blobs: Arc<Mutex<BTreeMap<(String, Digest), Bytes>>>,
    /// Manifests by repository and tag or digest.
    pub(super) manifests: Arc<Mutex<BTreeMap<(String, String), Bytes>>>,
    /// The names under which manifests of stack versions were pushed.
    pub(super) named: Arc<Mutex<Vec<String>>>,
    /// Repositories that blobs were read from.
    pub(super) read: Arc<Mutex<Vec<String>>>,
    /// Blobs that got lost, and were not pushed since.
    pub(super) lost: Arc<Mutex<BTreeSet<(String, Digest)>>>,
    /// Whether a blob that is there stays as it is, damaged or not, as in Distribution.
    pub(super) keeps_what_it_has: bool,
    pub(super) fuse: Fuse,
}

impl MemoryRegistry {
    pub(super) fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.manifests.lock().unwrap().get(&(repository.to_owned(), tag.to_owned())).map(|bytes| Digest::of(bytes))
    }

    /// The text of an index artifact's manifest.
    pub(super) fn manifest_of(&self, tag: &str) -> Option<String> {
        let name = ("devfile-index".to_owned(), tag.to_owned());
        self.manifests.lock().unwrap().get(&name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Gives a manifest a second tag.
    pub(super) fn retag(&self, repository: &str, from: &str, to: &str) {
        let name = |tag: &str| (repository.to_owned(), tag.to_owned());
        let mut manifests = self.manifests.lock().unwrap();
        let manifest = manifests[&name(from)].clone();
        manifests.insert(name(to), manifest);
    }

    /// One of the blobs gets lost, under tags that stay.
    pub(super) fn lose(&self, number: usize) {
        let mut blobs = self.blobs.lock().unwrap();
        let Some(blob) = blobs.keys().nth(number.checked_rem(blobs.len()).unwrap_or(0)).cloned() else { return };
        blobs.remove(&blob);
        self.lost.lock().unwrap().insert(blob);
    }

    /// All of them do.
    pub(super) fn lose_all(&self) {
        let lost = std::mem::take(&mut *self.blobs.lock().unwrap());
        self.lost.lock().unwrap().extend(lost.into_keys());
    }

    /// One of the blobs gets cut off.
    pub(super) fn cut(&self, number: usize) {
        let mut blobs = self.blobs.lock().unwrap();
        let number = number.checked_rem(blobs.len()).unwrap_or(0);
        if let Some((_, content)) = blobs.iter_mut().nth(number) {
            content.truncate(content.len() / 2);
        }
    }

    /// Whether a blob was ever pushed, even if it is gone.
    pub(super) fn was_pushed(&self, repository: &str, blob: Digest) -> bool {
        let blob = (repository.to_owned(), blob);
        self.blobs.lock().unwrap().contains_key(&blob) || self.lost.lock().unwrap().contains(&blob)
    }
}

impl Registry for MemoryRegistry {
    fn address(&self) -> String {
        "memory".to_owned()
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        tokio::task::yield_now().await;
        let name = match name {
            Name::Tag(tag) => tag.to_owned(),
            Name::Digest(digest) => digest.to_string(),
        };
        Ok(self.tag(repository, &name))
    }

    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        tokio::task::yield_now().await;
        let name = match name {
            Name::Tag(tag) => tag.to_owned(),
            Name::Digest(digest) => digest.to_string(),
        };
        Ok(self.manifests.lock().unwrap().get(&(repository.to_owned(), name)).cloned())
    }

    async fn blob(&self, repository: &str, blob: Digest, _limit: u64) -> Result<Option<Bytes>, RegistryError> {
        tokio::task::yield_now().await;
        self.read.lock().unwrap().push(repository.to_owned());
        let content = self.blobs.lock().unwrap().get(&(repository.to_owned(), blob)).cloned();
        match content {
            Some(content) if Digest::of(&content) != blob => {
                Err(RegistryError::new("memory", "read a blob", "damaged"))
            }
            content => Ok(content),
        }
    }

    async fn has_blob(&self, repository: &str, blob: Digest, size: u64) -> Result<bool, RegistryError> {
        let blobs = self.blobs.lock().unwrap();
        Ok(blobs.get(&(repository.to_owned(), blob)).is_some_and(|content| content.len() as u64 == size))
    }

    async fn push_blob(&self, repository: &str, blob: Digest, content: Bytes) -> Result<(), RegistryError> {
        self.fuse.burn().await.map_err(|reason| RegistryError::new("memory", "take a blob", reason))?;
        assert_eq!(Digest::of(&content), blob);
        let blob = (repository.to_owned(), blob);
        self.lost.lock().unwrap().remove(&blob);
        let mut blobs = self.blobs.lock().unwrap();
        if !(self.keeps_what_it_has && blobs.contains_key(&blob)) {
            blobs.insert(blob, content);
        }
        Ok(())
    }

    /// As real registries do, takes a manifest only when its blobs are there, and has it under its digest, too.
    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        self.fuse.burn().await.map_err(|reason| RegistryError::new("memory", "take a manifest", reason))?;
        let document: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let named = document["layers"].as_array().unwrap().iter().chain([&document["config"]]);
        for descriptor in named {
            let digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
            assert!(self.was_pushed(repository, digest), "{repository} gets a manifest before the blob {digest}");
            if !self.blobs.lock().unwrap().contains_key(&(repository.to_owned(), digest)) {
                return Err(RegistryError::new("memory", "take a manifest", "a blob is lost").lacking_blobs());
            }
        }
        let digest = Digest::of(&manifest);
        if repository != "devfile-index" {
            let name = match name {
                Name::Tag(tag) => tag.to_owned(),
                Name::Digest(by) => by.to_string(),
            };
            self.named.lock().unwrap().push(name);
        }
        if let Name::Tag(tag) = name {
            let is_there = self.tag(repository, &digest.to_string()).is_some();
            let is_new = self.tag(repository, tag).is_none();
            assert!(
                is_there || is_new || repository == "devfile-index",
                "{repository}:{tag} moves before its manifest is there"
            );
            self.manifests.lock().unwrap().insert((repository.to_owned(), tag.to_owned()), manifest.clone());
        }
        self.manifests.lock().unwrap().insert((repository.to_owned(), digest.to_string()), manifest);
        Ok(())
    }
}
