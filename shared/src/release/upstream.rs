//! Content of a release from upstream hosts, without the files that were added to the tree.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::content::Icon;
use super::offline::{Offline, OfflineVersion};
use super::pending::Pending;
use crate::digest::{CommitSha, Digest};
use crate::timestamp::Timestamp;

/// The results of all fetches for a repository. The default is that of no fetch.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    /// Icons by their URL, as far as they were fetched; their users are not known yet.
    pub icons: BTreeMap<String, Icon>,
    /// Bytes of icons that the release before does not have.
    pub contents: BTreeMap<Digest, Bytes>,
    /// Versions whose files were read from other Git repositories, by their folders.
    pub versions: BTreeMap<String, FetchedVersion>,
    /// Subjects that upstream hosts left pending.
    pub pending: Pending,
    /// Settings of offline stacks, and the stacks that lack something; `None` when no stack is offline.
    pub offline: Option<Offline>,
    /// Offline content of versions, by their folders.
    pub offline_versions: BTreeMap<String, OfflineVersion>,
}

/// The origin of a version's files in another Git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedVersion {
    /// The remote, as `URL@REVISION#FOLDER`.
    pub from: String,
    /// The commit that the revision named.
    pub commit: CommitSha,
    /// The author date of the commit; `None` when the commit does not say it.
    pub authored: Option<Timestamp>,
}
