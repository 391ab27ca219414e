//! Stacks as repositories of the OCI API.

use std::collections::BTreeMap;

use bytes::Bytes;
use devfile_registry::artifact;
use devfile_registry::digest::Digest;
use devfile_registry::release::PublishedVersion;

/// Repositories by the folder of the stack.
pub(crate) type Repositories = BTreeMap<String, Repository>;

/// A stack as a repository of the OCI API.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// Manifest digests by tag.
    pub(crate) tags: BTreeMap<String, Digest>,
    /// Manifests by digest.
    pub(crate) manifests: BTreeMap<Digest, Bytes>,
    /// Sizes of the blobs that the manifests name.
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

impl Repository {
    /// Returns the manifests that another state of the repository lacks, with all blobs; empty when
    /// no manifest remains.
    pub(super) fn without(&self, other: Option<&Self>) -> Self {
        let is_known = |digest: &Digest| other.is_some_and(|other| other.manifests.contains_key(digest));
        let alone = self.manifests.iter().filter(|(digest, _)| !is_known(digest));
        // Copied, so that the other state can be freed.
        let manifests: BTreeMap<_, _> =
            alone.map(|(digest, manifest)| (*digest, Bytes::copy_from_slice(manifest))).collect();
        let blobs = if manifests.is_empty() { BTreeMap::new() } else { self.blobs.clone() };
        Self { tags: BTreeMap::new(), manifests, blobs }
    }

    /// Adds the manifest and the blobs of a version.
    pub(crate) fn add(&mut self, version: &PublishedVersion, manifest: Bytes) {
        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        self.manifests.insert(version.manifest, manifest);
        self.blobs.extend(version.layers.iter().map(|layer| (layer.digest, layer.size)).chain([config]));
    }
}
