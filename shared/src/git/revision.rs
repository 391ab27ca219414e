//! Names of states of a repository.

use super::url::is_reference;
use crate::digest::CommitSha;

/// The state of a repository that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// The default branch.
    Default,
    /// A branch, or else a tag.
    Name(String),
    /// A commit.
    Commit(CommitSha),
}

/// A text is not a [`Revision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a branch, a tag nor a commit")]
pub struct InvalidRevision;

impl Revision {
    /// The name that is written for it, or `None` for the default branch.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Default => None,
            Self::Name(name) => Some(name),
            Self::Commit(commit) => Some(commit.as_str()),
        }
    }

    /// Reads a revision as people write it; an empty text is the default branch.
    ///
    /// # Errors
    /// [`InvalidRevision`] when Git allows no such name.
    pub fn parse(text: &str) -> Result<Self, InvalidRevision> {
        match text {
            "" => Ok(Self::Default),
            hash if hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self::Commit(hash.to_ascii_lowercase().parse().map_err(|_| InvalidRevision)?))
            }
            name if is_reference(name) => Ok(Self::Name(name.to_owned())),
            _ => Err(InvalidRevision),
        }
    }
}
