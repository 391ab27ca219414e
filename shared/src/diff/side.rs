//! One of the two states that are compared.

use std::collections::BTreeMap;

use crate::artifact::ARCHIVE;
use crate::digest::Digest;
use crate::index::{Entry, EntryType};
use crate::release::{PublishedVersion, Release};
use crate::repository::Quarantined;

/// Digests of files by their paths below the folder of their version.
pub type FileDigests = BTreeMap<String, Digest>;

/// A state of a registry, as its clients see it.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// The index.
    pub entries: Vec<Entry>,
    /// Artifacts by the name of the stack and the version.
    pub artifacts: BTreeMap<(String, String), Artifact>,
    /// Devfiles of samples by the name of the sample and the version, which is empty where there is none. Only those that both
    /// sides have are compared.
    pub samples: BTreeMap<(String, String), Digest>,
    /// The quarantined parts.
    pub quarantined: Vec<Quarantined>,
}

/// The artifact of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Its files, those of its archive among them; `None` when they were not read.
    pub files: Option<FileDigests>,
}

impl Side {
    /// The state of a release, of which everything was read.
    pub fn of(release: &Release) -> Self {
        let content = &release.content;
        let artifacts = content.versions.iter().map(|version| {
            let files = Some(files(version, release));
            ((version.name.clone(), version.version.clone()), Artifact { manifest: version.manifest, files })
        });
        let samples = content.samples.iter().map(|sample| {
            let digest = Digest::of(sample.devfile.as_bytes());
            ((sample.name.clone(), sample.version.clone()), digest)
        });
        Self {
            entries: content.stacks.clone(),
            artifacts: artifacts.collect(),
            samples: samples.collect(),
            quarantined: release.outline.quarantined.clone(),
        }
    }

    /// The versions that both sides have, with artifacts that differ, whose files this side does not know: the files to read before
    /// the comparison.
    pub fn unread<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = &'s (String, String)> {
        let differs = |key: &(String, String), artifact: &Artifact| {
            artifact.files.is_none()
                && other.artifacts.get(key).is_some_and(|other| other.manifest != artifact.manifest)
        };
        self.artifacts.iter().filter(move |(key, artifact)| differs(key, artifact)).map(|(key, _)| key)
    }

    /// The entries by kind and name. The first of two that have the same counts, as everywhere.
    pub(super) fn by_name(&self) -> BTreeMap<(EntryType, &str), &Entry> {
        let mut entries = BTreeMap::new();
        for entry in &self.entries {
            entries.entry((entry.entry_type, entry.name.as_str())).or_insert(entry);
        }
        entries
    }
}

/// The files of an artifact: its layers, and in place of its archive the files in that.
fn files(version: &PublishedVersion, release: &Release) -> FileDigests {
    let layers = version.layers.iter().map(|layer| (layer.title.clone(), layer.digest));
    let mut files: FileDigests = layers.collect();
    let archived: FileDigests = release
        .files_of(version)
        .filter(|(path, _)| version.archives(path))
        .filter_map(|(path, file)| Some((path.strip_prefix(&version.folder)?.get(1..)?.to_owned(), file.digest)))
        .collect();
    if !archived.is_empty() {
        files.remove(ARCHIVE);
        files.extend(archived);
    }
    files
}
