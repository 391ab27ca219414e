//! The registry repository, in a folder or on a Git host.

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
pub enum RegistryRepository {
    /// The setting is unset, and the live release stays live.
    Off,
    /// A folder.
    Local(LocalSource),
    /// A repository on a Git host.
    Git(Box<Hosted>),
}

/// A repository on a Git host.
#[derive(Debug)]
pub struct Hosted {
    /// The client of its content.
    pub source: GitSource,
    /// The client of GitHub's API for the same repository, if GitHub hosts it.
    pub github: Option<Arc<GitHub>>,
    /// The client of its commit statuses and comments, if there are credentials for them.
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

    /// Returns whether a push or a pull request is about this repository: the path matches, or on
    /// GitHub the number, which survives a rename.
    pub async fn is_called(&self, name: &RepositoryName) -> bool {
        if name.path.eq_ignore_ascii_case(self.source.repository().path()) {
            return true;
        }
        let (Some(github), Some(id)) = (&self.github, name.github_id) else { return false };
        match github.repository_id().await {
            Ok(own) => own == id,
            Err(error) => {
                tracing::warn!(%error, "cannot ask GitHub whether the repository was renamed");
                false
            }
        }
    }
}

impl Source for RegistryRepository {
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
