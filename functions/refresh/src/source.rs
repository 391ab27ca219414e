//! The registry repository, wherever it is.

use std::collections::BTreeMap;

use devfile_registry::digest::CommitSha;
use devfile_registry::source::github::GitHubSource;
use devfile_registry::source::{Comparison, LocalSource, Scope, Source, SourceError, Tree};
use devfile_registry::timestamp::Timestamp;

/// The source that `REGISTRY_REPO_URL` names.
#[derive(Debug)]
pub enum Repository {
    /// It is not set: what is published stays as it is.
    Off,
    /// A folder.
    Local(LocalSource),
    /// A repository on GitHub.
    GitHub(Box<GitHubSource>),
}

impl Repository {
    /// The monitored branch, and how GitHub names the repository; none for a folder.
    ///
    /// # Errors
    /// [`SourceError`] when the default branch is followed and GitHub does not tell which that is.
    pub async fn monitored(&self) -> Result<Option<Monitored>, SourceError> {
        let Self::GitHub(source) = self else { return Ok(None) };
        let repository = source.repository();
        let full_name = format!("{}/{}", repository.owner(), repository.name());
        Ok(Some(Monitored { branch: source.branch().await?, full_name }))
    }
}

/// What triggers must be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitored {
    /// The branch.
    pub branch: String,
    /// `OWNER/NAME`, which GitHub compares without regard to case.
    pub full_name: String,
}

impl Source for Repository {
    fn url(&self) -> &str {
        match self {
            Self::Off => "",
            Self::Local(source) => source.url(),
            Self::GitHub(source) => source.url(),
        }
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.head().await,
            Self::GitHub(source) => source.head().await,
        }
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.tree(commit).await,
            Self::GitHub(source) => source.tree(commit).await,
        }
    }

    async fn part(&self, commit: &CommitSha, scope: &Scope) -> Result<Option<Tree>, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.part(commit, scope).await,
            Self::GitHub(source) => source.part(commit, scope).await,
        }
    }

    async fn compare(&self, base: &CommitSha, target: &CommitSha) -> Result<Comparison, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.compare(base, target).await,
            Self::GitHub(source) => source.compare(base, target).await,
        }
    }

    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.last_modified(commit, paths).await,
            Self::GitHub(source) => source.last_modified(commit, paths).await,
        }
    }
}
