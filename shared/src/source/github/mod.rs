//! Calls of GitHub's own API: tokens of Apps, commit statuses, and the repository's id, which outlasts a rename.
//!
//! - [`GitHub`]: one repository there; start here
//! - `access`: the credentials; `call`: one attempt at a call; `api`: calls with retries; `status`: the outcome of a commit; `comment`: comments on pull requests

#![warn(clippy::arithmetic_side_effects)]

mod access;
mod api;
mod call;
mod comment;
mod status;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::OnceCell;

pub use access::{AppKey, Credentials, InvalidAppKey, check_token};
pub(super) use access::{InstallationToken, token_value, with_plain};
pub use status::CommitState;
use status::StatusContext;
pub(super) use status::shortened;

use self::api::Api;
pub(super) use self::api::given_up;
pub(super) use self::call::Failure;
use self::call::{Call, Repository};
use super::SourceError;
use crate::digest::CommitSha;
use crate::git::RepositoryUrl;

/// Time for one call, further attempts included: a refresh answers after 25 s.
const BUDGET: Duration = Duration::from_secs(20);

/// A repository on github.com or on a GitHub Enterprise server.
#[derive(Debug)]
pub struct GitHub {
    api: Api,
    id: OnceCell<u64>,
    statuses_are_off: AtomicBool,
}

impl GitHub {
    /// Whether a repository is on a host that is GitHub's own.
    pub fn is_host_of(repository: &RepositoryUrl) -> bool {
        let host = repository.host();
        host == "github.com" || host.ends_with(".ghe.com")
    }

    /// Connects nothing yet. Must be called within a Tokio runtime.
    ///
    /// `api_url` replaces the usual URL of the host's REST API; it must be https, or http on the own machine.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when `api_url` or the path of the repository cannot be used.
    pub fn new(
        repository: &RepositoryUrl,
        api_url: Option<&str>,
        credentials: Credentials,
    ) -> Result<Self, SourceError> {
        let invalid = |reason| SourceError::unavailable("the configuration of GitHub", reason);
        let host = repository.host();
        let usual =
            if Self::is_host_of(repository) { format!("https://api.{host}") } else { format!("https://{host}/api/v3") };
        let (owner, name) =
            repository.path().split_once('/').filter(|(_, name)| !name.contains('/')).ok_or_else(|| {
                invalid(
                    "the repository URL does not name an owner and a repository; write https://github.com/OWNER/REPO",
                )
            })?;
        let url = repository.url().as_str().trim_end_matches(".git").to_owned();
        let repository = Repository { owner: owner.to_owned(), name: name.to_owned(), url, api: String::new() };
        let api = Api::new(repository, api_url.unwrap_or(&usual), credentials, BUDGET)?;
        Ok(Self { api, id: OnceCell::new(), statuses_are_off: AtomicBool::new(false) })
    }

    /// The same repository with another time for each call, further attempts and waits included; 20 s otherwise.
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { api: Api { budget, ..self.api }, ..self }
    }

    /// Returns the number of the repository, which stays when it is renamed.
    ///
    /// API: "Get a repository" (<https://docs.github.com/en/rest/repos/repos>), once; GitHub redirects from former names.
    ///
    /// # Errors
    /// [`SourceError`] when GitHub does not answer.
    pub async fn repository_id(&self) -> Result<u64, SourceError> {
        #[derive(Deserialize)]
        struct Found {
            id: u64,
        }
        let repository = &self.api.repository;
        let url = &repository.url;
        let ask = || async {
            let Found { id } = self.api.call(Call::get(url, repository.route(""))).await?.json(url)?;
            Ok(id)
        };
        self.id.get_or_try_init(ask).await.copied()
    }

    /// Shows a state at a commit on GitHub. Does nothing without the permission to, which is logged once.
    ///
    /// `description` is shortened to 140 characters.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when GitHub does not take it for another reason.
    pub async fn report_status(
        &self,
        commit: &CommitSha,
        state: CommitState,
        description: &str,
        target_url: Option<&str>,
    ) -> Result<(), SourceError> {
        let subject = (StatusContext::Live, commit);
        status::report(&self.api, &self.statuses_are_off, subject, state, description, target_url).await
    }

    /// Shows the state of a preview at its commit, beside that of the live release.
    ///
    /// # Errors
    /// As [`GitHub::report_status`].
    pub async fn report_preview(
        &self,
        commit: &CommitSha,
        state: CommitState,
        description: &str,
        target_url: Option<&str>,
    ) -> Result<(), SourceError> {
        let subject = (StatusContext::Preview, commit);
        status::report(&self.api, &self.statuses_are_off, subject, state, description, target_url).await
    }

    /// Writes a comment on a pull request, in place of the one with a known number if that is still there. Returns the number of the
    /// comment; `None` without the permission to write one, which is logged.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when GitHub does not take it for another reason.
    pub async fn write_comment(
        &self,
        proposal: u64,
        known: Option<u64>,
        text: &str,
    ) -> Result<Option<u64>, SourceError> {
        comment::write(&self.api, proposal, known, text).await
    }

    /// Returns a token of the App's installation, which reads this repository alone.
    pub(super) async fn installation_token(&self) -> Result<InstallationToken, Failure> {
        self.api.access.token(&self.api.repository).await
    }

    /// Forgets a token that GitHub refused; whether another one may do better.
    pub(super) async fn refused(&self) -> bool {
        self.api.access.refused().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn repository_of_github_has_an_owner_and_a_name() {
        let new = |url: &str| GitHub::new(&url.parse().unwrap(), None, Credentials::Anonymous);
        for (url, owner, name) in [
            ("https://github.com/clay/registry.git", "clay", "registry"),
            ("https://acme.ghe.com/clay/.github/tree/next", "clay", ".github"),
            ("https://git.example.org/clay/registry", "clay", "registry"),
        ] {
            let found = new(url).unwrap();
            let repository = &found.api.repository;
            assert_eq!((repository.owner.as_str(), repository.name.as_str()), (owner, name), "{url}");
        }
        for url in ["https://github.com/clay", "https://git.example.org/a/b/c"] {
            let error = new(url).unwrap_err().to_string();
            assert!(error.contains("does not name an owner and a repository"), "{error}");
        }
    }
}
