//! The registry repository, wherever it is.

use std::collections::BTreeMap;

use devfile_registry::digest::CommitSha;
use devfile_registry::source::github::GitHubSource;
use devfile_registry::source::{LocalSource, Relation, Source, SourceError, Tree};
use devfile_registry::timestamp::Timestamp;

/// The source that `REGISTRY_REPO_URL` names.
#[derive(Debug)]
pub enum Repository {
    /// A folder.
    Local(LocalSource),
    /// A repository on GitHub.
    GitHub(Box<GitHubSource>),
}

impl Source for Repository {
    fn url(&self) -> &str {
        match self {
            Self::Local(source) => source.url(),
            Self::GitHub(source) => source.url(),
        }
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        match self {
            Self::Local(source) => source.head().await,
            Self::GitHub(source) => source.head().await,
        }
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        match self {
            Self::Local(source) => source.tree(commit).await,
            Self::GitHub(source) => source.tree(commit).await,
        }
    }

    async fn relation(&self, base: &CommitSha, target: &CommitSha) -> Result<Relation, SourceError> {
        match self {
            Self::Local(source) => source.relation(base, target).await,
            Self::GitHub(source) => source.relation(base, target).await,
        }
    }

    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        match self {
            Self::Local(source) => source.last_modified(commit, paths).await,
            Self::GitHub(source) => source.last_modified(commit, paths).await,
        }
    }
}
