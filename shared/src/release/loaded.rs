//! A release, or as much of it as was loaded.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::content::{Content, PublishedVersion, files_below};
use super::documents::{ByStack, Common, Shard, joined};
use super::format::{InvalidDocument, StoredFile};
use super::outline::Outline;
use crate::artifact;
use crate::digest::Digest;
use crate::index::{EntryType, VersionEntry};

/// Everything published for one commit, or as much of it as was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The outline of the release.
    pub outline: Outline,
    /// The rest, as far as it was read.
    pub content: Content,
    /// The documents that the content is from, with their sizes.
    pub(super) read_from: BTreeMap<Digest, u64>,
}

impl Outline {
    /// A release, or as much of it as these documents tell; each comes with its name.
    ///
    /// # Errors
    /// [`InvalidDocument`] when a document has another digest than its name, or cannot be read.
    pub fn with(self, documents: impl IntoIterator<Item = (Digest, Bytes)>) -> Result<Release, InvalidDocument> {
        let (mut stacks, mut common, mut read) = (Shard::new(), None, BTreeMap::new());
        let parse = |(name, bytes): (Digest, Bytes)| {
            if Digest::of(&bytes) != name {
                return Err(InvalidDocument::Digest(name));
            }
            let size = bytes.len() as u64;
            let parsed = match name == self.common.digest {
                true => Parsed::Common(serde_json::from_slice(&bytes)?),
                false => Parsed::Shard(serde_json::from_slice(&bytes)?),
            };
            Ok((name, size, parsed))
        };
        for parsed in map_on_all_processors(documents.into_iter().collect(), parse) {
            let (name, size, parsed) = parsed?;
            read.insert(name, size);
            match parsed {
                Parsed::Common(document) => common = Some(document),
                Parsed::Shard(mut shard) => stacks.append(&mut shard),
            }
        }
        Ok(Release { outline: self, content: joined(stacks, common), read_from: read })
    }
}

/// A document without borrows of its bytes.
enum Parsed {
    Common(Common<'static>),
    Shard(Shard<'static>),
}

/// Maps items in their order, each processor a part of them. A release of thousands of versions has a hundred documents, and a
/// function that starts waits for them.
fn map_on_all_processors<T: Send, R: Send>(items: Vec<T>, map: impl Fn(T) -> R + Sync) -> Vec<R> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (count, map) = (items.len().div_ceil(processors).max(1), &map);
    let mut items = items.into_iter();
    let mut parts =
        std::iter::from_fn(|| Some(items.by_ref().take(count).collect::<Vec<T>>()).filter(|p| !p.is_empty()));
    let first = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> =
            parts.map(|part| scope.spawn(move || part.into_iter().map(map).collect::<Vec<R>>())).collect();
        let mut mapped: Vec<R> = first.into_iter().map(map).collect();
        for other in others {
            mapped.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        mapped
    })
}

impl Release {
    /// Every blob that readers may ask for, with its size: config, layers, files, icons, and the documents that say so.
    pub fn blobs(&self) -> BTreeMap<Digest, u64> {
        let content = &self.content;
        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        let layers = content.versions.iter().flat_map(|v| &v.layers).map(|layer| (layer.digest, layer.size));
        let files = content.files.values().map(|file| (file.digest, file.size));
        let icons = content.icons.values().map(|icon| (icon.digest, icon.size));
        let documents = self.read_from.iter().map(|(digest, size)| (*digest, *size));
        std::iter::once(config).chain(layers).chain(files).chain(icons).chain(documents).collect()
    }

    /// The documents from which it was read or will be read, with their sizes.
    pub fn read_from(&self) -> &BTreeMap<Digest, u64> {
        &self.read_from
    }

    /// Blobs that no artifact of their stack has, such as `stack.yaml` and icons, with their sizes, by the document that names
    /// them. Content that needs no storage is left out.
    pub fn unpackaged(&self) -> BTreeMap<Digest, BTreeMap<Digest, u64>> {
        let mut unpackaged = ByStack::new(&self.content).unpackaged(&self.outline.shards, &self.outline.common);
        unpackaged.retain(|document, _| self.read_from.contains_key(document));
        unpackaged
    }

    /// The files of a version by their paths in the repository.
    pub(crate) fn files_of(&self, version: &PublishedVersion) -> impl Iterator<Item = (&String, &StoredFile)> {
        files_below(&self.content.files, &version.folder)
    }

    /// Published versions by their folder, each with its entry in the index.
    pub fn by_folder(&self) -> BTreeMap<&str, (&PublishedVersion, &VersionEntry)> {
        let mut published: BTreeMap<(&str, &str), &PublishedVersion> = BTreeMap::new();
        for version in &self.content.versions {
            published.insert((&version.name, &version.version), version);
        }
        let stacks = self.content.stacks.iter().filter(|entry| entry.entry_type == EntryType::Stack);
        let entries = stacks.flat_map(|entry| entry.versions.iter().map(move |version| (entry, version)));
        let both = entries.filter_map(|(entry, version)| {
            let published = *published.get(&(entry.name.as_str(), version.version.as_str()))?;
            Some((published.folder.as_str(), (published, version)))
        });
        both.collect()
    }
}
