//! The release object: the name of a release, and its stored documents.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::dependencies::Dependency;
use super::documents::shard_of;
use super::format::{FORMAT, InvalidDocument, OLDEST_FORMAT, StoredFile};
use super::offline::Offline;
use super::pending::Pending;
use crate::diagnostic::Diagnostic;
use crate::digest::{CommitSha, Digest};
use crate::index::to_compact_json;
use crate::limits::RELEASE_BYTES;
use crate::repository::Quarantined;
use crate::source::Listing;

/// The content of a release that is known before its documents are read: the release object. Its digest is the release's name.
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
    /// The content that was fetched so that its stacks need no other host; none when that was not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<Offline>,
    /// The units that are not published as they stand in the repository.
    pub quarantined: Vec<Quarantined>,
    /// The warnings beside those of single stacks, which the documents have.
    pub warnings: Vec<Diagnostic>,
    /// Names of the published stacks, by their folders. Their entries are in the index in this order, before all others.
    pub stacks: BTreeMap<String, String>,
    /// The ids at the commit; empty in format 2.
    #[serde(default)]
    pub ids: Listing,
    /// The dependencies of stacks, by their folders.
    #[serde(default)]
    pub dependencies: BTreeMap<String, BTreeSet<Dependency>>,
    /// Pending subjects.
    #[serde(default, skip_serializing_if = "Pending::is_empty")]
    pub pending: Pending,
    /// Digest of the entries as `index.json` has them.
    pub entries: Digest,
    /// The documents of the stacks; which one a stack is in follows from its folder.
    pub shards: Vec<StoredFile>,
    /// The document of all that belongs to no stack.
    pub common: StoredFile,
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
    /// [`InvalidDocument`] when the bytes have another digest than `name`, or another format.
    pub fn from_bytes(name: Digest, bytes: &[u8]) -> Result<Self, InvalidDocument> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        if Digest::of(bytes) != name {
            return Err(InvalidDocument::Digest(name));
        }
        // Another format need not have our fields: say so, rather than which of them is missing.
        match serde_json::from_slice::<Format>(bytes)?.format {
            OLDEST_FORMAT..=FORMAT => {
                let outline: Self = serde_json::from_slice(bytes)?;
                outline.check()?;
                Ok(outline)
            }
            format => Err(InvalidDocument::Format(format)),
        }
    }

    /// Checks that its shards can be distinguished, and that all of it can be read.
    ///
    /// # Errors
    /// [`InvalidDocument::TooLarge`], or a content that this software does not write.
    pub(crate) fn check(&self) -> Result<(), InvalidDocument> {
        if !self.shards.len().is_power_of_two() {
            let reason: serde_json::Error = serde::de::Error::custom("the number of shards is no power of two");
            return Err(reason.into());
        }
        let size = self.documents().values().sum();
        if size > RELEASE_BYTES { Err(InvalidDocument::TooLarge(size)) } else { Ok(()) }
    }

    /// The documents that it names, each once.
    pub fn documents(&self) -> BTreeMap<Digest, u64> {
        self.shards.iter().chain([&self.common]).map(|document| (document.digest, document.size)).collect()
    }

    /// Returns the documents of some stacks, by their folders, and the document of the files of no stack.
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
}
