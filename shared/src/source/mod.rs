//! The registry repository: trees of files at commits.
//!
//! - [`Source`]: a repository that can be read; start here
//! - [`GitSource`]: one on any Git host; [`LocalSource`]: a folder; [`LocalCommit`]: a commit of a repository on this machine
//! - [`Listing`]: the Git ids of everything at a commit; [`Scope`]: the stacks that are read of it
//! - [`github`]: GitHub's own API: App tokens, the id of a repository
//! - [`feedback`]: commit statuses, and comments on proposals, on any host

pub mod feedback;
mod git;
pub mod github;
mod listing;
mod local;
mod local_commit;
mod scope;

use std::collections::BTreeMap;
use std::future::Future;

pub use self::git::{GitAccess, GitSource};
pub(crate) use listing::EXTRA_ENTRIES;
pub use listing::Listing;
pub use local::LocalSource;
pub use local_commit::LocalCommit;
pub use scope::Scope;

use crate::digest::CommitSha;
use crate::timestamp::Timestamp;
use crate::tree::Tree;

/// A registry repository that can be read.
///
/// Every call is bounded in time and size by the implementation, and names the source in its errors.
pub trait Source: Send + Sync {
    /// The URL of the repository for people, in the index and the reports.
    fn url(&self) -> &str;

    /// Returns the head of the monitored branch.
    fn head(&self) -> impl Future<Output = Result<CommitSha, SourceError>> + Send;

    /// Returns the commit that a full reference names, such as `refs/pull/7/head`; `None` when there is none.
    fn reference(&self, _name: &str) -> impl Future<Output = Result<Option<CommitSha>, SourceError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Returns the Git ids of everything at a commit that releases are made of.
    fn listing(&self, commit: &CommitSha) -> impl Future<Output = Result<Listing, SourceError>> + Send;

    /// Returns the files of a scope at a commit. Files that no tree takes are recorded in it.
    fn files(&self, commit: &CommitSha, scope: &Scope) -> impl Future<Output = Result<Tree, SourceError>> + Send;

    /// Whether a commit is `ancestor` or descends from it, as far as the source can tell.
    fn descends(
        &self,
        commit: &CommitSha,
        ancestor: &CommitSha,
    ) -> impl Future<Output = Result<bool, SourceError>> + Send;

    /// Returns, for each folder or file, the author date of the newest commit up to `commit` that touched it. Paths whose history is
    /// missing or too long are left out.
    fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> impl Future<Output = Result<BTreeMap<String, Timestamp>, SourceError>> + Send;
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no registry repository to read.
    #[error("dynamic updates are off: REGISTRY_REPO_URL is not set")]
    Off,
    /// The source does not answer as it should.
    #[error("cannot read {what}: {reason}")]
    Unavailable {
        /// The content that was requested, and the source.
        what: String,
        /// The reason of the failure.
        reason: String,
    },
    /// The host does not take a status or a comment.
    #[error("cannot write {what}: {reason}")]
    NotWritten {
        /// The status or comment, and the repository.
        what: String,
        /// The reason of the failure.
        reason: String,
    },
    /// A setting has a value that cannot be used; the reason names it.
    #[error("{0}")]
    Setting(String),
    /// The repository, branch or commit does not exist, or not for these credentials.
    #[error("{0} was not found")]
    NotFound(String),
}

impl SourceError {
    pub(crate) fn unavailable(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unavailable { what: what.into(), reason: reason.to_string() }
    }

    fn not_written(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::NotWritten { what: what.into(), reason: reason.to_string() }
    }

    pub(crate) fn setting(reason: impl ToString) -> Self {
        Self::Setting(reason.to_string())
    }

    /// The same error of a call that writes `subject`.
    fn on_write(self, subject: &str) -> Self {
        match self {
            Self::Unavailable { what, reason } if what == subject => Self::NotWritten { what, reason },
            other => other,
        }
    }
}
