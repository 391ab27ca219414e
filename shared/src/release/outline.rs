//! The release object, and the documents that it names: how a release is stored, so that what changes little costs little.
//!
//! Stacks are spread over shards by their folders. Whoever changes one of ten thousand versions reads and writes the outline,
//! which is small, and one shard.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Content, FORMAT, Icon, InvalidDocument, Offline, PublishedVersion, Relative, Release, SampleDevfile, StoredFile,
};
use crate::artifact;
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::{Entry, EntryType, to_compact_json};
use crate::limits::SHARD_STACKS;
use crate::repository::Quarantined;

/// What is known of a release before its documents are read: the release object. Its digest is the release's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Format of this document and those that it names, [`FORMAT`].
    pub format: u32,
    /// The rules it was made by, [`RULES`](super::RULES).
    pub rules: u32,
    /// The commit it follows from.
    pub commit_hash: CommitSha,
    /// URL of the registry repository.
    pub source: String,
    /// What was fetched so that its stacks need no other host; none when that was not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<Offline>,
    /// What is not published as it stands in the repository.
    pub quarantined: Vec<Quarantined>,
    /// What should be looked at.
    pub warnings: Vec<Diagnostic>,
    /// Names of the published stacks, by their folders. Their entries are in the index in this order, before all others.
    pub stacks: BTreeMap<String, String>,
    /// What stacks take something from, by their folders.
    pub relatives: BTreeMap<String, BTreeSet<Relative>>,
    /// Digest of the entries as `index.json` has them.
    pub entries: Digest,
    /// The documents of the stacks; which one a stack is in follows from its folder.
    pub shards: Vec<StoredFile>,
    /// The document of all that belongs to no stack.
    pub common: StoredFile,
}

/// The document of some stacks, by their folders.
type Shard<'a> = BTreeMap<String, StackContent<'a>>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct StackContent<'a> {
    /// None when it is not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Cow<'a, Entry>>,
    versions: Vec<Cow<'a, PublishedVersion>>,
    files: BTreeMap<Cow<'a, str>, Cow<'a, StoredFile>>,
}

/// The document of what belongs to no stack.
#[derive(Debug, Serialize, Deserialize)]
struct Common<'a> {
    entries: Vec<Cow<'a, Entry>>,
    samples: Cow<'a, [SampleDevfile]>,
    files: BTreeMap<Cow<'a, str>, Cow<'a, StoredFile>>,
    icons: Cow<'a, BTreeMap<String, Icon>>,
    fetched: Cow<'a, BTreeMap<String, Option<String>>>,
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

/// How many shards a release of so many stacks has: a power of two, so that it rarely changes.
pub(super) fn shards_for(stacks: usize) -> usize {
    stacks.div_ceil(SHARD_STACKS).next_power_of_two()
}

/// The shard of a stack, by its folder, among so many.
fn shard_of(folder: &str, shards: usize) -> usize {
    let [first, second, ..] = Digest::of(folder.as_bytes()).bytes();
    usize::from(u16::from_be_bytes([first, second])) % shards.max(1)
}

/// The folder of the stack that a file belongs to.
fn stack_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix("stacks/")?.split_once('/')?.0)
}

impl Outline {
    /// The bytes of the release object, and the release's name.
    pub fn to_bytes(&self) -> (Digest, Bytes) {
        let bytes = to_compact_json(self);
        (Digest::of(&bytes), bytes.into())
    }

    /// Reads a release object.
    ///
    /// # Errors
    /// [`InvalidDocument`] when the bytes are not what `name` names, or of another format.
    pub fn from_bytes(name: Digest, bytes: &[u8]) -> Result<Self, InvalidDocument> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        if Digest::of(bytes) != name {
            return Err(InvalidDocument::Digest(name));
        }
        match serde_json::from_slice::<Self>(bytes) {
            Ok(outline) if outline.format == FORMAT => Ok(outline),
            // Another format need not have our fields: say so, rather than which of them is missing.
            read => match (serde_json::from_slice::<Format>(bytes), read) {
                (Ok(Format { format }), _) if format != FORMAT => Err(InvalidDocument::Format(format)),
                (_, Err(error)) => Err(error.into()),
                (Err(error), Ok(_)) => Err(error.into()),
                (Ok(Format { format }), Ok(_)) => Err(InvalidDocument::Format(format)),
            },
        }
    }

    /// The documents that it names, each once.
    pub fn documents(&self) -> BTreeMap<Digest, u64> {
        self.shards.iter().chain([&self.common]).map(|document| (document.digest, document.size)).collect()
    }

    /// The documents that tell of some stacks, by their folders, and of what belongs to no stack.
    pub fn documents_of(&self, stacks: &BTreeSet<String>) -> BTreeSet<Digest> {
        let shards = self.shards_of(stacks);
        let wanted = shards.iter().filter_map(|shard| self.shards.get(*shard));
        wanted.chain([&self.common]).map(|document| document.digest).collect()
    }

    /// The number of the shard that a stack is in, by its folder.
    pub(super) fn shard_of(&self, folder: &str) -> usize {
        shard_of(folder, self.shards.len())
    }

    /// The numbers of the shards that some stacks are in.
    pub(super) fn shards_of<'f>(&self, folders: impl IntoIterator<Item = &'f String>) -> BTreeSet<usize> {
        folders.into_iter().map(|folder| self.shard_of(folder)).collect()
    }

    /// A release, or as much of it as these documents tell; each comes with its name.
    ///
    /// # Errors
    /// [`InvalidDocument`] when one is not what its name says, or cannot be read.
    pub fn with(self, documents: impl IntoIterator<Item = (Digest, Bytes)>) -> Result<Release, InvalidDocument> {
        let (mut content, mut read) = (Content::default(), BTreeMap::new());
        let mut stacks: BTreeMap<String, (Option<Entry>, Vec<PublishedVersion>)> = BTreeMap::new();
        let mut others = Vec::new();
        for (name, bytes) in documents {
            if Digest::of(&bytes) != name {
                return Err(InvalidDocument::Digest(name));
            }
            read.insert(name, bytes.len() as u64);
            if name == self.common.digest {
                let common: Common<'static> = serde_json::from_slice(&bytes)?;
                others.extend(common.entries.into_iter().map(Cow::into_owned));
                content.files.extend(owned(common.files));
                content.samples = common.samples.into_owned();
                content.icons = common.icons.into_owned();
                content.fetched = common.fetched.into_owned();
                continue;
            }
            let shard: Shard<'static> = serde_json::from_slice(&bytes)?;
            for (folder, stack) in shard {
                content.files.extend(owned(stack.files));
                let versions = stack.versions.into_iter().map(Cow::into_owned).collect();
                stacks.insert(folder, (stack.entry.map(Cow::into_owned), versions));
            }
        }
        for (entry, versions) in stacks.into_values() {
            content.stacks.extend(entry);
            content.versions.extend(versions);
        }
        content.stacks.extend(others);
        Ok(Release { outline: self, content, documents: read })
    }
}

fn owned(files: BTreeMap<Cow<'_, str>, Cow<'_, StoredFile>>) -> impl Iterator<Item = (String, StoredFile)> {
    files.into_iter().map(|(path, file)| (path.into_owned(), file.into_owned()))
}

/// The content of a release, by the stack that it belongs to.
#[derive(Debug)]
pub(super) struct Sorted<'a> {
    stacks: BTreeMap<&'a str, StackContent<'a>>,
    common: Common<'a>,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(content: &'a Content) -> Self {
        let folders: HashMap<&str, &str> =
            content.versions.iter().map(|version| (version.name.as_str(), version.stack.as_str())).collect();
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
        let Content { samples, icons, fetched, .. } = content;
        let (icons, fetched) = (Cow::Borrowed(icons), Cow::Borrowed(fetched));
        Self { stacks, common: Common { entries, samples: Cow::Borrowed(samples), files, icons, fetched } }
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

    /// Entries of no stack here: samples, and stacks that live elsewhere.
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

    /// The document of what belongs to no stack.
    pub(super) fn common(&self) -> Document {
        Document::of(&self.common)
    }

    /// Blobs that no artifact of their stack has, by the document that tells of them.
    pub(super) fn loose(&self, outline: &Outline) -> BTreeMap<Digest, BTreeMap<Digest, u64>> {
        let mut loose: BTreeMap<Digest, BTreeMap<Digest, u64>> = BTreeMap::new();
        for (folder, stack) in &self.stacks {
            if let Some(shard) = outline.shards.get(outline.shard_of(folder)) {
                loose.entry(shard.digest).or_default().extend(stack.loose());
            }
        }
        let files = self.common.files.values().map(|file| (file.digest, file.size));
        let icons = self.common.icons.values().map(|icon| (icon.digest, icon.size));
        loose.entry(outline.common.digest).or_default().extend(files.chain(icons));
        for blobs in loose.values_mut() {
            blobs.retain(|blob, _| artifact::known(*blob).is_none());
        }
        loose
    }
}

impl StackContent<'_> {
    /// Blobs of files that no artifact of the stack has.
    fn loose(&self) -> BTreeMap<Digest, u64> {
        let mut loose: BTreeMap<Digest, u64> = self.files.values().map(|file| (file.digest, file.size)).collect();
        for version in &self.versions {
            for layer in &version.layers {
                loose.remove(&layer.digest);
            }
            for (_, file) in self.files.iter().filter(|(path, _)| version.archives(path)) {
                loose.remove(&file.digest);
            }
        }
        loose
    }
}
