//! Where the OCI registry has the content of a release, so that the bucket can be rebuilt from it alone.

use std::collections::BTreeMap;

use super::Release;
use crate::artifact::{self, ARCHIVE};
use crate::digest::Digest;

/// Where a blob can be had in the OCI registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place<'a> {
    /// It is a layer of an artifact of this stack.
    Layer(&'a str),
    /// It is a file in this archive, a layer of an artifact of this stack.
    Archived(&'a str, Digest),
    /// No artifact has it, so it is a layer of the index artifact: `stack.yaml`, `OWNERS`, icons and the like.
    Index,
}

impl Release {
    /// The place of every blob but those that need none: the config of all artifacts, and no bytes at all.
    pub fn places(&self) -> BTreeMap<Digest, Place<'_>> {
        let mut places = BTreeMap::new();
        for version in &self.versions {
            for layer in &version.layers {
                places.insert(layer.digest, Place::Layer(version.stack.as_str()));
            }
        }
        for version in &self.versions {
            let Some(archive) = version.layers.iter().find(|layer| layer.title == ARCHIVE) else { continue };
            for (path, file) in self.files_below(&version.folder) {
                let inside = path.strip_prefix(&version.folder).and_then(|path| path.strip_prefix('/'));
                let fetched =
                    |name: &str| version.offline.as_ref().is_some_and(|offline| offline.files.contains_key(name));
                if inside.is_some_and(|path| artifact::is_archived(path) && !fetched(path)) {
                    places.entry(file.digest).or_insert(Place::Archived(&version.stack, archive.digest));
                }
            }
        }
        let others = self.files.values().map(|file| file.digest).chain(self.icons.values().map(|icon| icon.digest));
        for digest in others {
            places.entry(digest).or_insert(Place::Index);
        }
        places.remove(&Digest::of(artifact::CONFIG));
        places.remove(&Digest::of(b""));
        places
    }
}
