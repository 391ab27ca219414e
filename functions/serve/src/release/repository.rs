//! Stacks as the OCI API shows them.

use std::collections::BTreeMap;

use bytes::Bytes;
use devfile_registry::artifact;
use devfile_registry::digest::Digest;
use devfile_registry::release::PublishedVersion;

/// Repositories by the folder of their stack.
pub(crate) type Repositories = BTreeMap<String, Repository>;

/// A stack as the OCI API shows it.
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
    /// Adds the manifest of a version and the blobs that it names.
    pub(crate) fn add(&mut self, version: &PublishedVersion, manifest: Bytes) {
        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        self.manifests.insert(version.manifest, manifest);
        self.blobs.extend(version.layers.iter().map(|layer| (layer.digest, layer.size)).chain([config]));
    }
}
