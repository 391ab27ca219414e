//! Releases: everything that is published for one commit.
//!
//! A release is pure data. It follows from a [`Repository`](crate::repository::Repository), the dates of its history and, for
//! what is quarantined or unchanged, the release before; the same inputs give the same bytes on every machine (invariant 6).
//! Its name is the digest of those bytes.

mod draft;
mod entry;

pub use draft::{Built, Draft};

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{self, Layer};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::{Entry, EntryType, VersionEntry, to_compact_json};
use crate::repository::Quarantined;
use crate::timestamp::Timestamp;

/// The format of releases that this software writes and reads.
pub const FORMAT: u32 = 1;

/// Everything published for one commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Format of this document, [`FORMAT`].
    pub format: u32,
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
    /// Files of the stacks' folders as committed, by path in the repository.
    pub files: BTreeMap<String, StoredFile>,
    /// Icons by the URL that the index names.
    pub icons: BTreeMap<String, Icon>,
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

/// `index.json`: names the live release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveIndex {
    /// Commit of the live release.
    pub commit_hash: CommitSha,
    /// URL of the registry repository.
    pub source: String,
    /// When the release was made live.
    pub generated_at: Timestamp,
    /// Name of the release: `releases/<hex>.json` in the bucket.
    pub release: Digest,
    /// The entries, stacks then samples.
    pub stacks: Vec<Entry>,
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

    /// What differs from the release before: folders of versions, stacks and samples that are new or changed, and that are gone.
    pub fn changes_since(&self, previous: Option<&Self>) -> Changes {
        let (now, before) = (self.parts(), previous.map(Self::parts).unwrap_or_default());
        Changes {
            changed: now
                .iter()
                .filter(|(part, digest)| before.get(*part) != Some(digest))
                .map(|(p, _)| p.clone())
                .collect(),
            removed: before.into_keys().filter(|part| !now.contains_key(part)).collect(),
        }
    }

    /// A digest for each part that can change by itself.
    fn parts(&self) -> BTreeMap<String, Digest> {
        let mut parts = BTreeMap::new();
        for (folder, (version, entry)) in self.by_folder() {
            parts.insert(folder.to_owned(), Digest::of(&to_compact_json(&(version.manifest, entry))));
        }
        let mut devfiles: BTreeMap<&str, Vec<&SampleDevfile>> = BTreeMap::new();
        for sample in &self.samples {
            devfiles.entry(&sample.name).or_default().push(sample);
        }
        let folders: BTreeMap<&str, &str> = self.versions.iter().map(|v| (v.name.as_str(), v.stack.as_str())).collect();
        for entry in &self.stacks {
            let (part, shown) = match (entry.entry_type, folders.get(entry.name.as_str())) {
                // The versions are parts of their own.
                (EntryType::Stack, Some(folder)) => {
                    (format!("stacks/{folder}"), Entry { versions: Vec::new(), ..entry.clone() })
                }
                (EntryType::Stack, None) => (format!("stacks/{}", entry.name), entry.clone()),
                (EntryType::Sample, _) => (format!("samples/{}", entry.name), entry.clone()),
            };
            let devfiles = devfiles.get(entry.name.as_str()).filter(|_| entry.entry_type == EntryType::Sample);
            parts.entry(part).or_insert_with(|| Digest::of(&to_compact_json(&(shown, devfiles))));
        }
        parts
    }
}

/// What a release changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Folders of versions, stacks and samples that are new or different.
    pub changed: BTreeSet<String>,
    /// Those that are gone.
    pub removed: BTreeSet<String>,
}

impl LiveIndex {
    /// The index of a release that goes live at a time.
    pub fn of(release: &Release, name: Digest, generated_at: Timestamp) -> Self {
        Self {
            commit_hash: release.commit_hash.clone(),
            source: release.source.clone(),
            generated_at,
            release: name,
            stacks: release.stacks.clone(),
        }
    }

    /// The bytes of `index.json`.
    pub fn to_bytes(&self) -> Bytes {
        to_compact_json(self).into()
    }

    /// Reads `index.json`.
    ///
    /// # Errors
    /// [`InvalidDocument::Content`] when it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidDocument> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
