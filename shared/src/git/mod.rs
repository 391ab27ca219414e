//! The Git reader: reads Git repositories of any host, over HTTP and Git's protocol version 2.
//!
//! Every repository is read here: the registry repository, versions and samples that name a remote, starter projects. Requests keep
//! to the rules of [`fetch`](crate::fetch), and every pack is bounded before it is read.
//!
//! - [`RepositoryUrl`]: a URL as people write it; start here
//! - [`Client`]: opens repositories with the credentials of their hosts; [`GitCredentials`]: users and secrets by host
//! - [`Revision`]: a branch, a tag or a commit
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
mod revision;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod tree_id;
mod url;
mod wire;

pub use client::Client;
pub use credentials::{CredentialsError, GitCredentials, InvalidGitCredentials};
pub use error::GitError;
pub use local::LocalRepository;
pub use objects::{Commit, Objects, TreeEntry, TreeEntryKind, object_id};
pub use pack::Pack;
pub use remote::{Filter, FolderPack, Packed, Remote, Wanted};
pub use revision::{InvalidRevision, Revision};
pub use tree_id::{GitId, InvalidGitId, blob_id, folder_id};
pub use url::{InvalidRepositoryUrl, RepositoryUrl, is_reference};
