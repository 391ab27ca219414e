//! The documents of a release, so that small changes cost little.
//!
//! Stacks are spread over shards by their folders. A change of one of ten thousand versions reads and writes the outline, one
//! shard, and the common document.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::content::{Content, Icon, PublishedVersion, SampleDevfile, folders_by_name};
use super::format::StoredFile;
use crate::artifact;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::index::{Entry, EntryType, to_compact_json};
use crate::limits::SHARD_STACKS;

/// The document of some stacks, by their folders.
pub(super) type Shard<'a> = BTreeMap<String, StackContent<'a>>;

/// The content of a stack in a release.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StackContent<'a> {
    /// None when it is not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Cow<'a, Entry>>,
    versions: Vec<Cow<'a, PublishedVersion>>,
    files: BTreeMap<Cow<'a, str>, Cow<'a, StoredFile>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    warnings: Cow<'a, [Diagnostic]>,
}

/// The document of the content outside of stacks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Common<'a> {
    entries: Vec<Cow<'a, Entry>>,
    samples: Cow<'a, [SampleDevfile]>,
    files: BTreeMap<Cow<'a, str>, Cow<'a, StoredFile>>,
    icons: Cow<'a, BTreeMap<String, Icon>>,
}

/// A document and its name.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: StoredFile,
    pub(super) bytes: Bytes,
}

impl Document {
    fn of(content: &impl Serialize) -> Self {
        let bytes: Bytes = to_compact_json(content).into();
        Self { file: StoredFile { digest: Digest::of(&bytes), size: bytes.len() as u64 }, bytes }
    }
}

/// Returns the number of shards of a release with so many stacks: a power of two, so that it rarely changes.
pub(super) fn shards_for(stacks: usize) -> usize {
    stacks.div_ceil(SHARD_STACKS).next_power_of_two()
}

/// The shard of a stack, by its folder, among so many.
pub(super) fn shard_of(folder: &str, shards: usize) -> usize {
    let [first, second, ..] = Digest::of(folder.as_bytes()).bytes();
    usize::from(u16::from_be_bytes([first, second])) % shards
}

/// The folder of the stack that a file belongs to, below `stacks/`.
pub(super) fn stack_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix("stacks/")?.split_once('/')?.0)
}

/// The content of a release, by the stack that it belongs to.
#[derive(Debug)]
pub(super) struct ByStack<'a> {
    stacks: BTreeMap<&'a str, StackContent<'a>>,
    common: Common<'a>,
}

impl<'a> ByStack<'a> {
    pub(super) fn new(content: &'a Content) -> Self {
        let folders = folders_by_name(&content.versions);
        let mut stacks: BTreeMap<&str, StackContent<'_>> = BTreeMap::new();
        let (mut entries, mut files) = (Vec::new(), BTreeMap::new());
        for entry in &content.stacks {
            match folders.get(entry.name.as_str()).filter(|_| entry.entry_type == EntryType::Stack) {
                Some(folder) => stacks.entry(folder).or_default().entry = Some(Cow::Borrowed(entry)),
                None => entries.push(Cow::Borrowed(entry)),
            }
        }
        for version in &content.versions {
            stacks.entry(&version.stack).or_default().versions.push(Cow::Borrowed(version));
        }
        for (path, file) in &content.files {
            let files = match stack_of(path) {
                Some(folder) => &mut stacks.entry(folder).or_default().files,
                None => &mut files,
            };
            files.insert(Cow::Borrowed(path), Cow::Borrowed(file));
        }
        for (folder, warnings) in &content.warnings {
            stacks.entry(folder).or_default().warnings = Cow::Borrowed(warnings);
        }
        let Content { samples, icons, .. } = content;
        let icons = Cow::Borrowed(icons);
        Self { stacks, common: Common { entries, samples: Cow::Borrowed(samples), files, icons } }
    }

    /// Names of the published stacks, by their folders.
    pub(super) fn names(&self) -> BTreeMap<String, String> {
        let name = |(folder, stack): (&&str, &StackContent<'_>)| {
            Some(((*folder).to_owned(), stack.entry.as_ref()?.name.clone()))
        };
        self.stacks.iter().filter_map(name).collect()
    }

    /// The entry of a stack, by its folder.
    pub(super) fn entry(&self, folder: &str) -> Option<&Entry> {
        self.stacks.get(folder)?.entry.as_deref()
    }

    /// Entries of no stack here: samples, and stacks in other repositories.
    pub(super) fn other_entries(&self) -> impl Iterator<Item = &Entry> {
        self.common.entries.iter().map(Cow::as_ref)
    }

    /// Some of so many shards.
    pub(super) fn shards(&self, wanted: impl Iterator<Item = usize>, count: usize) -> BTreeMap<usize, Document> {
        let mut shards: BTreeMap<usize, BTreeMap<&str, &StackContent<'_>>> =
            wanted.map(|number| (number, BTreeMap::new())).collect();
        for (folder, stack) in &self.stacks {
            if let Some(shard) = shards.get_mut(&shard_of(folder, count)) {
                shard.insert(folder, stack);
            }
        }
        shards.into_iter().map(|(number, shard)| (number, Document::of(&shard))).collect()
    }

    /// The document of the content outside of stacks.
    pub(super) fn common(&self) -> Document {
        Document::of(&self.common)
    }

    /// Blobs that no artifact of their stack has, by the document that names them.
    pub(super) fn unpackaged(
        &self,
        shards: &[StoredFile],
        common: &StoredFile,
    ) -> BTreeMap<Digest, BTreeMap<Digest, u64>> {
        let mut unpackaged: BTreeMap<Digest, BTreeMap<Digest, u64>> = BTreeMap::new();
        for (folder, stack) in &self.stacks {
            if let Some(shard) = shards.get(shard_of(folder, shards.len())) {
                unpackaged.entry(shard.digest).or_default().extend(stack.unpackaged());
            }
        }
        let files = self.common.files.values().map(|file| (file.digest, file.size));
        let icons = self.common.icons.values().map(|icon| (icon.digest, icon.size));
        unpackaged.entry(common.digest).or_default().extend(files.chain(icons));
        for blobs in unpackaged.values_mut() {
            blobs.retain(|blob, _| artifact::known(*blob).is_none());
        }
        unpackaged
    }
}

impl StackContent<'_> {
    /// Blobs of files that no artifact of the stack has.
    fn unpackaged(&self) -> BTreeMap<Digest, u64> {
        let mut unpackaged: BTreeMap<Digest, u64> = self.files.values().map(|file| (file.digest, file.size)).collect();
        for version in &self.versions {
            for layer in &version.layers {
                unpackaged.remove(&layer.digest);
            }
            for (_, file) in self.files.iter().filter(|(path, _)| version.archives(path)) {
                unpackaged.remove(&file.digest);
            }
        }
        unpackaged
    }
}

/// The content of documents, stacks in the order of their folders.
pub(super) fn joined(stacks: Shard<'_>, common: Option<Common<'_>>) -> Content {
    let mut content = Content::default();
    for (folder, stack) in stacks {
        if !stack.warnings.is_empty() {
            content.warnings.insert(folder, stack.warnings.into_owned());
        }
        content.stacks.extend(stack.entry.map(Cow::into_owned));
        content.versions.extend(stack.versions.into_iter().map(Cow::into_owned));
        content.files.extend(owned(stack.files));
    }
    if let Some(common) = common {
        content.stacks.extend(common.entries.into_iter().map(Cow::into_owned));
        content.samples = common.samples.into_owned();
        content.files.extend(owned(common.files));
        content.icons = common.icons.into_owned();
    }
    content
}

fn owned(files: BTreeMap<Cow<'_, str>, Cow<'_, StoredFile>>) -> impl Iterator<Item = (String, StoredFile)> {
    files.into_iter().map(|(path, file)| (path.into_owned(), file.into_owned()))
}
