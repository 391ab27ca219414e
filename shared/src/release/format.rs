//! The format of releases, and the rules by which they are made.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::limits::RELEASE_BYTES;

/// The format of releases that this software writes.
pub const FORMAT: u32 = 3;

/// The oldest format that it reads. Format 2 has no ids and no pending subjects, and does not record the users of an icon; its releases
/// stay live, pinned and quarantined, and the next one is made anew as a whole.
pub const OLDEST_FORMAT: u32 = 2;

/// The rules by which releases are made. To be raised whenever the same tree would give another release, so that nothing made by
/// older rules is taken over.
pub const RULES: u32 = 9;

/// A file in the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
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
    /// It names an object above the size that readers accept.
    #[error("it takes {0} bytes, and at most {RELEASE_BYTES} are read")]
    TooLarge(u64),
    /// It was written by software of another format.
    #[error("its format is {0}, this software reads {FORMAT}; use the same version of refresh and serve")]
    Format(u32),
    /// It belongs to another release than it names.
    #[error("its {0} is not that of the release {1}")]
    OtherRelease(&'static str, Digest),
    /// Its content is malformed.
    #[error("it cannot be read: {0}")]
    Content(#[from] serde_json::Error),
}
