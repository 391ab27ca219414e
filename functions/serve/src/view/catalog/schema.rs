//! The subject of an index route: the shape of its entries, and which there are.

use devfile_registry::index::EntryType;

/// The shape of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexSchema {
    /// `/index`: entries show their default version.
    V1,
    /// `/v2index`: entries hold their versions.
    V2,
}

/// Which entries an index route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum IndexKind {
    /// Stacks; a route without a last segment means these.
    Stack,
    /// Samples.
    Sample,
    /// Both, stacks first.
    All,
}

impl IndexKind {
    /// Every kind with its name in a path.
    pub(crate) const NAMES: [(&'static str, Self); 3] =
        [("stack", Self::Stack), ("sample", Self::Sample), ("all", Self::All)];

    /// The kind that the last segment of a path names, case-sensitive.
    pub(crate) fn from_path(segment: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(name, _)| *name == segment).map(|(_, kind)| kind)
    }

    pub(super) fn holds(self, entry_type: EntryType) -> bool {
        match self {
            Self::Stack => entry_type == EntryType::Stack,
            Self::Sample => entry_type == EntryType::Sample,
            Self::All => true,
        }
    }
}
