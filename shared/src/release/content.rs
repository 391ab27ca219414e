//! Published content: versions, devfiles of samples, files and icons.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::StoredFile;
use super::offline::OfflineVersion;
use crate::artifact::{self, Layer};
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::Entry;

/// The content of a release, without its [`Outline`](super::Outline).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// The index: stacks in the order of their folders, then samples and stacks in other repositories.
    pub stacks: Vec<Entry>,
    /// Published versions, in the order of the index.
    pub versions: Vec<PublishedVersion>,
    /// Devfiles of samples.
    pub samples: Vec<SampleDevfile>,
    /// Files of the stacks' folders by path in the repository: as committed, but for the changes in [`OfflineVersion`].
    pub files: BTreeMap<String, StoredFile>,
    /// Icons by the URL that the index names.
    pub icons: BTreeMap<String, Icon>,
    /// Warnings of stacks, by their folders; other warnings are in the outline.
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
    /// Fields that the stack's entry takes from its versions.
    pub facts: Facts,
    /// Digest of the artifact's manifest.
    pub manifest: Digest,
    /// Layers of the artifact.
    pub layers: Vec<Layer>,
    /// The devfile's text, which most requests ask for.
    pub devfile: String,
    /// The upstream source of its files; `None` when they were in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_from: Option<String>,
    /// The commit that its files were fetched at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<CommitSha>,
    /// Its content from upstream hosts; `None` when it needs none, or may fetch it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineVersion>,
}

/// Fields that an entry takes from its versions when `stack.yaml` lacks them.
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
    /// Folders of the stacks that name it; [`EXTRA_ENTRIES`](crate::source::EXTRA_ENTRIES) stands for the entries of that file.
    #[serde(default)]
    pub named_by: BTreeSet<String>,
}

impl PublishedVersion {
    /// Whether its archive has a file, by its path in the repository.
    pub(crate) fn archives(&self, path: &str) -> bool {
        let inside = path.strip_prefix(&self.folder).and_then(|path| path.strip_prefix('/'));
        let fetched = |name: &str| self.offline.as_ref().is_some_and(|offline| offline.files.contains_key(name));
        let has_archive = || self.layers.iter().any(|layer| layer.title == artifact::ARCHIVE);
        inside.is_some_and(|path| artifact::is_archived(path) && !fetched(path) && has_archive())
    }
}

/// The folders of published stacks, by the names of their entries in the index.
pub(super) fn folders_by_name(versions: &[PublishedVersion]) -> HashMap<&str, &str> {
    versions.iter().map(|version| (version.name.as_str(), version.stack.as_str())).collect()
}

/// The files below a folder.
pub(super) fn files_below<'f>(
    files: &'f BTreeMap<String, StoredFile>,
    folder: &str,
) -> impl Iterator<Item = (&'f String, &'f StoredFile)> {
    // '0' follows '/' in ASCII, so the range has exactly the paths that start with "<folder>/".
    files.range(format!("{folder}/")..format!("{folder}0"))
}
