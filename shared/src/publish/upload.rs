//! The steps before the commit point: everything that `index.json` will name is put in place.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::future::{try_join, try_join3};

use super::each::each;
use super::error::PublishError;
use super::index_artifact::{DocumentArtifact, IndexArtifact};
use super::large::by_size;
use super::prune;
use super::publisher::Publisher;
use super::report::Writes;
use crate::artifact::{self, CATALOG};
use crate::cache::{Bucket, blob_key, release_key};
use crate::digest::Digest;
use crate::registry::{Name, Registry};
use crate::release::{Built, PublishedVersion, Release};
use crate::source::Source;

/// Objects that a publication found in the bucket, whether or not it wrote them again. A prune that began before may remove them.
#[derive(Debug, Default)]
pub(super) struct Found {
    small: Vec<Digest>,
    large: Vec<Digest>,
    release: bool,
}

/// An object of the bucket, as a publication left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It was not there before.
    New,
    /// It was there, and so old that a prune may remove it; it was written again.
    Renewed,
    /// It was there, and stays.
    Kept,
}

impl Placed {
    /// How many objects were written.
    pub(super) fn writes(self) -> u64 {
        u64::from(self != Self::Kept)
    }

    fn was_found(self) -> bool {
        self != Self::New
    }
}

impl Found {
    /// Whether the publication found none.
    pub(super) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty() && !self.release
    }
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Uploads what `built` has and neither `previous` nor the servers, in the order of invariant 3, up to the release object.
    /// Also returns the objects that it found in the bucket.
    pub(super) async fn upload(
        &self,
        built: &Built,
        previous: Option<&Release>,
        index: &IndexArtifact<'_>,
    ) -> Result<(Writes, Found), PublishError> {
        let mut new_blobs = by_size(&built.release);
        for had in previous.map(Release::blobs).unwrap_or_default().keys() {
            new_blobs.small.remove(had);
            new_blobs.large.remove(had);
        }
        let new_versions = new_versions(&built.release, previous);
        let documents = DocumentArtifact::all(&built.release);
        let had: BTreeSet<Digest> =
            previous.map(Release::loose).unwrap_or_default().into_values().flat_map(BTreeMap::into_keys).collect();

        let of_config = self.index_config().await?;
        let of_versions = async {
            let to_bucket =
                each(new_blobs.small, |blob| async move { Ok((blob, self.bucket_blob(built, blob).await?)) });
            let to_registry = each(new_versions.iter().copied(), |version| self.artifact_blobs(built, version));
            let (small, to_registry) = try_join(to_bucket, to_registry).await?;
            let mut large = Vec::new();
            for blob in new_blobs.large {
                large.push((blob, self.bucket_large(blob).await?));
            }
            let bucket = small.iter().chain(&large).map(|(_, placed)| placed.writes()).sum();
            let found = Found { small: found(small), large: found(large), release: false };
            let pushed = new_versions.iter().copied().zip(&to_registry);
            let pending: Vec<&PublishedVersion> =
                pushed.filter(|(_, pushed)| pushed.is_some()).map(|(version, _)| version).collect();
            each(pending.iter().copied(), |version| self.manifest(version, Name::Digest(version.manifest))).await?;
            let registry = to_registry.into_iter().flatten().sum::<u64>() + pending.len() as u64;
            Ok((Writes { bucket, registry }, found, pending))
        };
        // Nothing names them before the index artifact does.
        let new_documents = documents.iter().filter(|artifact| previous.is_none_or(|before| !artifact.is_of(before)));
        let of_documents = self.push_documents(built, new_documents, &had);
        let ((mut writes, mut found, pending), (_, of_documents), of_index) =
            try_join3(of_versions, of_documents, self.index_blobs(index)).await?;

        let tagged = each(pending, |version| self.manifest(version, Name::Tag(&version.version))).await?.len() as u64;
        writes.registry += of_config + of_documents + of_index + tagged + self.tag_index(index).await?;
        let release = self.bucket_release(built).await?;
        writes.bucket += release.writes();
        found.release = release.was_found();
        Ok((writes, found))
    }

    /// Checks the objects that an upload found, writes those that are missing by now, and returns their number.
    pub(super) async fn upload_again(&self, built: &Built, found: &Found) -> Result<u64, PublishError> {
        let small = each(&found.small, |blob| self.bucket_blob(built, *blob)).await?;
        let mut writes = small.into_iter().map(Placed::writes).sum();
        for blob in &found.large {
            writes += self.bucket_large(*blob).await?.writes();
        }
        if found.release {
            writes += self.bucket_release(built).await?.writes();
        }
        Ok(writes)
    }

    /// Decides how an object is placed. One that is there stays when no prune removes it before this publication is live.
    pub(super) async fn placing(&self, key: &str) -> Result<Placed, PublishError> {
        let now = (self.clock)().instant();
        Ok(match self.bucket.stat(key).await? {
            None => Placed::New,
            Some(stat) if prune::stays(stat, now) => Placed::Kept,
            Some(_) => Placed::Renewed,
        })
    }

    async fn bucket_blob(&self, built: &Built, blob: Digest) -> Result<Placed, PublishError> {
        let key = blob_key(blob);
        let placing = self.placing(&key).await?;
        if placing != Placed::Kept {
            let content = self.content(built, blob).await?;
            self.bucket.put(&key, content).await?;
        }
        Ok(placing)
    }

    async fn bucket_release(&self, built: &Built) -> Result<Placed, PublishError> {
        let key = release_key(built.name);
        let placing = self.placing(&key).await?;
        if placing != Placed::Kept {
            self.bucket.put(&key, built.bytes.clone()).await?;
        }
        Ok(placing)
    }

    /// Pushes the blobs of an artifact; none when its tag has it already, and then all of it is there.
    pub(super) async fn artifact_blobs(
        &self,
        built: &Built,
        version: &PublishedVersion,
    ) -> Result<Option<u64>, PublishError> {
        let repository = repository(version);
        let tagged = self.registry.manifest_digest(&repository, Name::Tag(&version.version)).await?;
        if tagged == Some(version.manifest) {
            return Ok(None);
        }
        let mut pushed = 0;
        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        let layers = version.layers.iter().map(|layer| (layer.digest, layer.size));
        let blobs: BTreeMap<Digest, u64> = layers.chain([config]).collect();
        for (blob, size) in blobs {
            pushed += self.push_missing(&repository, blob, size, self.content(built, blob)).await?;
        }
        Ok(Some(pushed))
    }

    pub(super) async fn manifest(&self, version: &PublishedVersion, name: Name<'_>) -> Result<(), PublishError> {
        let manifest = artifact::manifest(&version.layers);
        Ok(self.registry.push_manifest(&repository(version), name, manifest).await?)
    }
}

/// Those of some blobs that were in the bucket before.
fn found(placed: Vec<(Digest, Placed)>) -> Vec<Digest> {
    placed.into_iter().filter(|(_, placed)| placed.was_found()).map(|(blob, _)| blob).collect()
}

/// Versions of a release that the release before does not have in the same state.
pub(super) fn new_versions<'r>(release: &'r Release, previous: Option<&Release>) -> Vec<&'r PublishedVersion> {
    fn key(version: &PublishedVersion) -> (&str, &str, Digest) {
        (&version.stack, &version.version, version.manifest)
    }
    let had: HashSet<_> = previous.iter().flat_map(|release| &release.content.versions).map(key).collect();
    release.content.versions.iter().filter(|version| !had.contains(&key(version))).collect()
}

/// The repository of a version's artifact.
pub(super) fn repository(version: &PublishedVersion) -> String {
    format!("{CATALOG}/{}", version.stack)
}
