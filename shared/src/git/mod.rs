//! The Git reader: reads Git repositories of any host, over HTTP and Git's protocol version 2.
//!
//! Every repository is read here: the registry repository, versions and samples that name a remote, starter projects. Requests keep
//! to the rules of [`fetch`](crate::fetch), and every pack is bounded before it is read.
//!
//! - [`RepositoryUrl`]: what people write; start here
//! - [`Client`]: opens repositories with the credentials of their hosts; [`GitCredentials`]: users and secrets by host
//! - [`Remote`]: the repository on its host: `ls-refs` and `fetch`
//! - [`Objects`]: commits and folders by their ids, in a [`Pack`] that came or in a [`LocalRepository`]; `history`: ancestry and dates
//! - [`folder_id`]: the id that Git gives to a folder
//! - `wire`: the lines of the protocol

mod client;
mod credentials;
mod error;
mod history;
mod local;
mod objects;
mod pack;
mod remote;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod tree_id;
mod url;
mod wire;

pub use client::Client;
pub use credentials::{GitCredentials, InvalidGitCredentials};
pub use error::GitError;
pub use local::LocalRepository;
pub use objects::{Commit, Entry, EntryType, Objects};
pub use pack::Pack;
pub use remote::{Filter, Packed, Remote, Wanted};
pub use tree_id::{GitId, InvalidGitId, blob_id, folder_id};
pub use url::{InvalidRepositoryUrl, RepositoryUrl, is_reference};

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

/// The id by which objects of Git name a commit.
///
/// # Errors
/// [`GitError::Object`] when it is the digest of a folder that is no Git repository.
pub fn object_id(commit: &CommitSha) -> Result<gix_hash::ObjectId, GitError> {
    history::object_id(commit)
}
