//! Releases: everything that is published for one commit.
//!
//! A release is pure data. It follows from a [`Repository`](crate::repository::Repository), its [`Upstream`], the dates of its history and, for
//! what is quarantined or unchanged, the release before; the same inputs give the same bytes on every machine (invariant 6).
//! Its name is the digest of its outline, which names everything else.

mod built;
mod dependencies;
mod documents;
mod draft;
mod entries;
mod entry;
mod live;
mod offline;
mod outline;
mod pending;
mod places;
mod plan;
mod upstream;
mod warnings;

pub use built::{About, Built, Previous};
pub use dependencies::Dependency;
pub(crate) use dependencies::{Reference, references};
pub use draft::Draft;
pub use entries::Entries;
pub use live::{Changes, LiveIndex, Pin, Recent};
pub(crate) use offline::OFFLINE_RULES;
pub use offline::{InvalidOfflineStacks, Offline, OfflineSettings, OfflineStacks, OfflineVersion};
pub use outline::Outline;
pub use pending::{Pending, PendingReason};
pub use places::Place;
pub use plan::Plan;
pub use upstream::{FetchedIcon, Upstream};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::artifact::{self, Layer};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::{Entry, EntryType, VersionEntry};
use crate::limits::RELEASE_BYTES;
pub(crate) use crate::source::EXTRA_ENTRIES;

/// The format of releases that this software writes.
pub const FORMAT: u32 = 3;

/// The oldest format that it reads. Format 2 has no ids and no pending subjects, and says nothing about who names an icon; its releases
/// stay live, pinned and quarantined, and the next one is made anew as a whole.
pub const OLDEST_FORMAT: u32 = 2;

/// The rules by which releases are made. To be raised whenever the same tree would give another release, so that nothing made by
/// older rules is taken over.
pub const RULES: u32 = 7;

/// Everything published for one commit, or as much of it as was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// What is known of the whole.
    pub outline: Outline,
    /// The rest, as far as it was read.
    pub content: Content,
    /// The documents that the content is from, with their sizes.
    read_from: BTreeMap<Digest, u64>,
}

/// What a release has, beside its [`Outline`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// The index: stacks in the order of their folders, then samples and stacks that live elsewhere.
    pub stacks: Vec<Entry>,
    /// Published versions, in the order of the index.
    pub versions: Vec<PublishedVersion>,
    /// Devfiles of samples.
    pub samples: Vec<SampleDevfile>,
    /// Files of the stacks' folders by path in the repository: as committed, but for what [`OfflineVersion`] tells.
    pub files: BTreeMap<String, StoredFile>,
    /// Icons by the URL that the index names.
    pub icons: BTreeMap<String, Icon>,
    /// What should be looked at in stacks, by their folders; what else should be is in the outline.
    pub warnings: BTreeMap<String, Vec<Diagnostic>>,
}

/// A version of a stack, as it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedVersion {
    /// Name of the stack's entry in the index.
    pub name: String,
    /// Folder of the stack below `stacks/`; its repository in the OCI registry is `devfile-catalog/<stack>`.
    pub stack: String,
    /// The version, also the artifact's tag.
    pub version: String,
    /// Folder of the version in the repository.
    pub folder: String,
    /// What the stack's entry takes from its versions.
    pub facts: Facts,
    /// Digest of the artifact's manifest.
    pub manifest: Digest,
    /// Layers of the artifact.
    pub layers: Vec<Layer>,
    /// The devfile's text, which most requests ask for.
    pub devfile: String,
    /// What its files were fetched from; none when they were in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_from: Option<String>,
    /// The commit that its files were fetched at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<CommitSha>,
    /// What it has of other hosts; none when it needs nothing of them, or may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineVersion>,
}

/// What an entry takes from its versions when `stack.yaml` does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are those of the index")]
pub struct Facts {
    pub project_type: String,
    pub language: String,
    pub provider: String,
    pub support_url: String,
}

/// The devfile of a sample, or of one version of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleDevfile {
    /// Name of the sample.
    pub name: String,
    /// The version; empty when the sample has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The devfile's text.
    pub devfile: String,
    /// The URL that it was fetched from; none when it was in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_from: Option<String>,
    /// The commit that it was fetched at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<CommitSha>,
}

/// A file in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// An icon, as it was when the release was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Icon {
    /// Its media type, found by looking at the bytes.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The entity tag of its state, to ask for changes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Folders of the stacks that name it; [`EXTRA_ENTRIES`] stands for the entries of that file.
    #[serde(default)]
    pub named_by: BTreeSet<String>,
}

/// Why a document is not a release or an index.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    /// Its bytes do not have the digest that names it.
    #[error("the bytes do not have the digest {0}")]
    Digest(Digest),
    /// What it names is larger than anybody reads.
    #[error("it takes {0} bytes, and at most {RELEASE_BYTES} are read")]
    TooLarge(u64),
    /// It was written by software of another format.
    #[error("its format is {0}, this software reads {FORMAT}; use the same version of refresh and serve")]
    Format(u32),
    /// It belongs to another release than it names.
    #[error("its {0} is not that of the release {1}")]
    OtherRelease(&'static str, Digest),
    /// It is not what it should be.
    #[error("it cannot be read: {0}")]
    Content(#[from] serde_json::Error),
}

impl PublishedVersion {
    /// Whether its archive has a file, by its path in the repository.
    fn archives(&self, path: &str) -> bool {
        let inside = path.strip_prefix(&self.folder).and_then(|path| path.strip_prefix('/'));
        let fetched = |name: &str| self.offline.as_ref().is_some_and(|offline| offline.files.contains_key(name));
        let has_archive = || self.layers.iter().any(|layer| layer.title == artifact::ARCHIVE);
        inside.is_some_and(|path| artifact::is_archived(path) && !fetched(path) && has_archive())
    }
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

    /// The documents that it was read from, or is to be, with their sizes.
    pub fn read_from(&self) -> &BTreeMap<Digest, u64> {
        &self.read_from
    }

    /// Blobs that no artifact of their stack has, such as `stack.yaml` and icons, with their sizes, by the document that tells of
    /// them. What needs no storing is left out.
    pub fn loose(&self) -> BTreeMap<Digest, BTreeMap<Digest, u64>> {
        let mut loose = documents::ByStack::new(&self.content).loose(&self.outline);
        loose.retain(|document, _| self.read_from.contains_key(document));
        loose
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

fn files_below<'f>(
    files: &'f BTreeMap<String, StoredFile>,
    folder: &str,
) -> impl Iterator<Item = (&'f String, &'f StoredFile)> {
    // '0' follows '/' in ASCII, so the range is exactly what starts with "<folder>/".
    files.range(format!("{folder}/")..format!("{folder}0"))
}
