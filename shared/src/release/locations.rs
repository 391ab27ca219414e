//! The locations of a release's content in the OCI registry, so that the bucket can be rebuilt from it alone.

use std::collections::{BTreeMap, BTreeSet};

use super::content::files_below;
use super::loaded::Release;
use crate::artifact::{self, ARCHIVE};
use crate::digest::Digest;
use crate::limits;

/// The location of a blob in the OCI registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobLocation<'a> {
    /// It is a layer of an artifact of this stack.
    Layer(&'a str),
    /// It is a file in this archive, a layer of an artifact of this stack.
    Archived(&'a str, Digest),
    /// No artifact has it, so it is in the repository of the index: `stack.yaml`, `OWNERS`, icons and the like.
    Index,
}

impl Release {
    /// The location of every blob but those that need none: the config of all artifacts, and no bytes at all.
    pub fn blob_locations(&self) -> BTreeMap<Digest, BlobLocation<'_>> {
        let content = &self.content;
        let mut locations = BTreeMap::new();
        for version in &content.versions {
            for layer in &version.layers {
                locations.insert(layer.digest, BlobLocation::Layer(version.stack.as_str()));
            }
        }
        for version in &content.versions {
            let Some(archive) = version.layers.iter().find(|layer| layer.title == ARCHIVE) else { continue };
            for (_, file) in files_below(&content.files, &version.folder).filter(|(path, _)| version.archives(path)) {
                locations.entry(file.digest).or_insert(BlobLocation::Archived(&version.stack, archive.digest));
            }
        }
        let files = content.files.values().map(|file| file.digest);
        let icons = content.icons.values().map(|icon| icon.digest);
        for digest in files.chain(icons).chain(self.read_from.keys().copied()) {
            locations.entry(digest).or_insert(BlobLocation::Index);
        }
        locations.retain(|digest, _| artifact::known(*digest).is_none());
        locations
    }

    /// The blobs that are copied through files, one at a time; all others are copied in memory, several at a time. Files of a
    /// repository, layers and documents always fit into memory; starter projects of offline stacks need not.
    pub fn file_backed(&self) -> BTreeSet<Digest> {
        let locations = self.blob_locations();
        let is_file =
            |blob: &Digest| locations.get(blob) == Some(&BlobLocation::Index) && !self.read_from.contains_key(blob);
        let blobs = self.blobs().into_iter().filter(|(blob, size)| *size > limits::FILE_BYTES && is_file(blob));
        blobs.map(|(blob, _)| blob).collect()
    }
}
