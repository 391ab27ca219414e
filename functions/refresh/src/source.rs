//! The registry repository, wherever it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use devfile_registry::digest::CommitSha;
use devfile_registry::source::feedback::Feedback;
use devfile_registry::source::github::GitHub;
use devfile_registry::source::{GitSource, Listing, LocalSource, Scope, Source, SourceError};
use devfile_registry::timestamp::Timestamp;
use devfile_registry::tree::Tree;

use crate::hosts::RepositoryName;

/// The source that `REGISTRY_REPO_URL` names.
#[derive(Debug)]
pub enum Repository {
    /// It is not set: the live release stays as it is.
    Off,
    /// A folder.
    Local(LocalSource),
    /// A repository on a Git host.
    Git(Box<Hosted>),
}

/// A repository on a Git host.
#[derive(Debug)]
pub struct Hosted {
    /// Its content.
    pub source: GitSource,
    /// The same repository in GitHub's API, if it is there.
    pub github: Option<Arc<GitHub>>,
    /// Commit statuses and comments there, if there are credentials for them.
    pub feedback: Option<Feedback>,
}

impl Hosted {
    /// Returns the monitored branch: that of the configuration, else the default branch.
    ///
    /// # Errors
    /// [`SourceError`] when the host does not answer.
    pub async fn branch(&self) -> Result<String, SourceError> {
        self.source.branch().await
    }

    /// Whether a push or a pull request is about this repository: it has its path, or on GitHub its number, which stays when the
    /// repository is renamed.
    pub async fn is_called(&self, name: &RepositoryName) -> bool {
        if name.path.eq_ignore_ascii_case(self.source.repository().path()) {
            return true;
        }
        let (Some(github), Some(id)) = (&self.github, name.github_id) else { return false };
        match github.repository_id().await {
            Ok(own) => own == id,
            Err(error) => {
                tracing::warn!(%error, "GitHub does not say whether the repository was renamed");
                false
            }
        }
    }
}

impl Source for Repository {
    fn url(&self) -> &str {
        match self {
            Self::Off => "",
            Self::Local(source) => source.url(),
            Self::Git(hosted) => hosted.source.url(),
        }
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.head().await,
            Self::Git(hosted) => hosted.source.head().await,
        }
    }

    async fn reference(&self, name: &str) -> Result<Option<CommitSha>, SourceError> {
        match self {
            Self::Git(hosted) => hosted.source.reference(name).await,
            Self::Off | Self::Local(_) => Ok(None),
        }
    }

    async fn listing(&self, commit: &CommitSha) -> Result<Listing, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.listing(commit).await,
            Self::Git(hosted) => hosted.source.listing(commit).await,
        }
    }

    async fn files(&self, commit: &CommitSha, scope: &Scope) -> Result<Tree, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.files(commit, scope).await,
            Self::Git(hosted) => hosted.source.files(commit, scope).await,
        }
    }

    async fn descends(&self, commit: &CommitSha, ancestor: &CommitSha) -> Result<bool, SourceError> {
        match self {
            Self::Off => Err(SourceError::Off),
            Self::Local(source) => source.descends(commit, ancestor).await,
            Self::Git(hosted) => hosted.source.descends(commit, ancestor).await,
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
            Self::Git(hosted) => hosted.source.last_modified(commit, paths).await,
        }
    }
}
