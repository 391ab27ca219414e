//! Releases: everything that is published for one commit.
//!
//! A release is pure data. It follows from a [`Repository`](crate::repository::Repository), the dates of its history and, for
//! what is quarantined or unchanged, the release before; the same inputs give the same bytes on every machine (invariant 6).
//! Its name is the digest of those bytes.

mod draft;
mod entry;
mod live;
mod offline;
mod places;

pub use draft::{Built, Draft};
pub use live::{Changes, LiveIndex, Pin, Recent};
pub use offline::{InvalidOfflineStacks, Offline, OfflineSettings, OfflineStacks, OfflineVersion};
pub use places::Place;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, Layer};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::{Entry, EntryType, VersionEntry, to_compact_json};
use crate::repository::Quarantined;

/// The format of releases that this software writes and reads.
pub const FORMAT: u32 = 1;

/// The rules by which releases are made. To be raised whenever the same tree would give another release, so that nothing made by
/// older rules is taken over.
pub const RULES: u32 = 4;

/// Everything published for one commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
    /// The rules it was made by, [`RULES`].
    #[serde(default)]
    pub rules: u32,
    /// The commit it follows from.
    pub commit_hash: CommitSha,
    /// URL of the registry repository.
    pub source: String,
    /// The index: stacks, then samples and stacks that live elsewhere.
    pub stacks: Vec<Entry>,
    /// Published versions, in the order of the index.
    pub versions: Vec<PublishedVersion>,
    /// Devfiles of samples.
    pub samples: Vec<SampleDevfile>,
    /// Files of the stacks' folders by path in the repository: as committed, but for what [`OfflineVersion`] tells.
    pub files: BTreeMap<String, StoredFile>,
    /// Icons by the URL that the index names.
    pub icons: BTreeMap<String, Icon>,
    /// Everything that was fetched, with the entity tag of the state it was in, so that the next release fetches only what changed:
    /// the URLs of icons, and what versions and devfiles of samples were fetched from.
    #[serde(default)]
    pub fetched: BTreeMap<String, Option<String>>,
    /// What was fetched so that its stacks need no other host; none when that was not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<Offline>,
    /// What is not published as it stands in the repository.
    pub quarantined: Vec<Quarantined>,
    /// What should be looked at.
    pub warnings: Vec<Diagnostic>,
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
}

/// Why a document is not a release or an index.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    /// Its bytes do not have the digest that names it.
    #[error("the bytes do not have the digest {0}")]
    Digest(Digest),
    /// It was written by software of another format.
    #[error("its format is {0}, this software reads {FORMAT}; use the same version of refresh and serve")]
    Format(u32),
    /// It is not what it should be.
    #[error("it cannot be read: {0}")]
    Content(#[from] serde_json::Error),
}

impl Release {
    /// The bytes of the release object, and its name.
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
            Ok(release) if release.format == FORMAT => Ok(release),
            // Another format need not have our fields: say so, rather than which of them is missing.
            read => match (serde_json::from_slice::<Format>(bytes), read) {
                (Ok(Format { format }), _) if format != FORMAT => Err(InvalidDocument::Format(format)),
                (_, Err(error)) => Err(error.into()),
                (Err(error), Ok(_)) => Err(error.into()),
                (Ok(Format { format }), Ok(_)) => Err(InvalidDocument::Format(format)),
            },
        }
    }

    /// Every blob that readers may ask for, with its size: config, layers, files and icons.
    pub fn blobs(&self) -> BTreeMap<Digest, u64> {
        let config = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        let layers = self.versions.iter().flat_map(|v| &v.layers).map(|layer| (layer.digest, layer.size));
        let files = self.files.values().map(|file| (file.digest, file.size));
        let icons = self.icons.values().map(|icon| (icon.digest, icon.size));
        std::iter::once(config).chain(layers).chain(files).chain(icons).collect()
    }

    /// Published versions by their folder, each with its entry in the index.
    pub fn by_folder(&self) -> BTreeMap<&str, (&PublishedVersion, &VersionEntry)> {
        let mut published: BTreeMap<(&str, &str), &PublishedVersion> = BTreeMap::new();
        for version in &self.versions {
            published.insert((&version.name, &version.version), version);
        }
        let stacks = self.stacks.iter().filter(|entry| entry.entry_type == EntryType::Stack);
        let entries = stacks.flat_map(|entry| entry.versions.iter().map(move |version| (entry, version)));
        let both = entries.filter_map(|(entry, version)| {
            let published = *published.get(&(entry.name.as_str(), version.version.as_str()))?;
            Some((published.folder.as_str(), (published, version)))
        });
        both.collect()
    }

    /// Files below a folder, in the order of their paths.
    pub(crate) fn files_below(&self, folder: &str) -> impl Iterator<Item = (&String, &StoredFile)> {
        files_below(&self.files, folder)
    }
}

fn files_below<'f>(
    files: &'f BTreeMap<String, StoredFile>,
    folder: &str,
) -> impl Iterator<Item = (&'f String, &'f StoredFile)> {
    // '0' follows '/' in ASCII, so the range is exactly what starts with "<folder>/".
    files.range(format!("{folder}/")..format!("{folder}0"))
}
