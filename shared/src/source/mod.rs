//! Where a registry repository comes from: a tree of files at a commit.

pub mod github;
mod local;
mod scope;
mod tree;
pub mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

pub use local::LocalSource;
pub use scope::Scope;
pub use tree::{File, Mode, Tree, TreeError, TreePath};

use crate::digest::CommitSha;
use crate::timestamp::Timestamp;

/// How one commit stands to another in the history of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// They are the same commit.
    Same,
    /// The target descends from the base.
    Ahead,
    /// The base descends from the target.
    Behind,
    /// Neither descends from the other: the branch was rewritten, or the source has no history.
    Diverged,
}

/// How one commit stands to another, and what changed in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// How the target stands to the base.
    pub relation: Relation,
    /// The files that [`Tree::wants`] which differ between base and target, removed ones included. None when the source does
    /// not tell all of them.
    pub changed: Option<BTreeSet<TreePath>>,
}

/// A registry repository that can be read.
///
/// Every call is bounded in time and size by the implementation, and names the source in its errors.
pub trait Source: Send + Sync {
    /// Where people find the repository, for the index and the reports.
    fn url(&self) -> &str;

    /// The commit that should be live: the head of the monitored branch.
    fn head(&self) -> impl Future<Output = Result<CommitSha, SourceError>> + Send;

    /// The files at a commit that [`Tree::wants`].
    fn tree(&self, commit: &CommitSha) -> impl Future<Output = Result<Tree, SourceError>> + Send;

    /// Those files at a commit that a scope wants; none when the source would rather give the whole tree.
    fn part(&self, commit: &CommitSha, scope: &Scope)
    -> impl Future<Output = Result<Option<Tree>, SourceError>> + Send;

    /// How `target` stands to `base`, and which files differ.
    fn compare(
        &self,
        base: &CommitSha,
        target: &CommitSha,
    ) -> impl Future<Output = Result<Comparison, SourceError>> + Send;

    /// For each folder or file the author date of the newest commit, up to `commit`, that touched it. Paths without a history,
    /// and those that the source would need too many calls for, are left out.
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
    /// The source does not answer as it should; `what` names it and the call.
    #[error("{what}: {reason}")]
    Unavailable {
        /// The source and what was asked of it.
        what: String,
        /// What happened instead.
        reason: String,
    },
    /// What was asked for is not there.
    #[error("{0} was not found")]
    NotFound(String),
    /// Its content is refused.
    #[error("the registry repository is refused: {0}")]
    Refused(#[from] TreeError),
}
