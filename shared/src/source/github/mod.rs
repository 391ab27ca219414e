//! Calls of GitHub's own API: tokens of Apps, and the repository's id, which outlasts a rename. [`feedback`](super::feedback) writes by it.
//!
//! - [`GitHub`]: one repository there; start here
//! - `access`: the credentials; `call`: one attempt at a call; `api`: calls with retries

#![warn(clippy::arithmetic_side_effects)]

mod access;
mod api;
mod call;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;

pub use access::{AppKey, GitHubCredentials, InvalidAppKey, check_token};
pub(super) use access::{InstallationToken, token_value, with_plain};

use self::api::GitHubApi;
pub(super) use self::api::given_up;
pub(super) use self::call::CallFailure;
use self::call::{Call, GitHubRepository};
use super::SourceError;
use crate::git::RepositoryUrl;

/// Time for one call, further attempts included: a refresh answers after 25 s.
const BUDGET: Duration = Duration::from_secs(20);

/// A repository on github.com or on a GitHub Enterprise server.
#[derive(Debug)]
pub struct GitHub {
    api: GitHubApi,
    id: OnceCell<u64>,
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
    /// [`SourceError::Setting`] when `api_url` or the path of the repository cannot be used.
    pub fn new(
        repository: &RepositoryUrl,
        api_url: Option<&str>,
        credentials: GitHubCredentials,
    ) -> Result<Self, SourceError> {
        let host = repository.host();
        let usual =
            if Self::is_host_of(repository) { format!("https://api.{host}") } else { format!("https://{host}/api/v3") };
        let (owner, name) =
            repository.path().split_once('/').filter(|(_, name)| !name.contains('/')).ok_or_else(|| {
                SourceError::setting(
                    "the repository URL does not name an owner and a repository; write https://github.com/OWNER/REPO",
                )
            })?;
        let url = repository.url().as_str().trim_end_matches(".git").to_owned();
        let repository = GitHubRepository { owner: owner.to_owned(), name: name.to_owned(), url, api: String::new() };
        let api = GitHubApi::new(repository, api_url.unwrap_or(&usual), credentials, BUDGET)?;
        Ok(Self { api, id: OnceCell::new() })
    }

    /// The same repository with another time for each call, further attempts and waits included; 20 s otherwise.
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { api: GitHubApi { budget, ..self.api }, ..self }
    }

    /// Returns the number of the repository, which stays when it is renamed.
    ///
    /// API: "Get a repository" (<https://docs.github.com/en/rest/repos/repos>), once; GitHub redirects from former names.
    ///
    /// # Errors
    /// [`SourceError`] when GitHub does not answer.
    pub async fn repository_id(&self) -> Result<u64, SourceError> {
        #[derive(Deserialize)]
        struct ApiObject {
            id: u64,
        }
        let repository = &self.api.repository;
        let url = &repository.url;
        let ask = || async {
            let ApiObject { id } = self.api.call(Call::get(url, repository.route(""))).await?.json(url)?;
            Ok(id)
        };
        self.id.get_or_try_init(ask).await.copied()
    }

    /// The URL of the repository for people.
    pub(super) fn url(&self) -> &str {
        &self.api.repository.url
    }

    /// Whether calls have no credentials.
    pub(super) fn is_anonymous(&self) -> bool {
        self.api.is_anonymous()
    }

    /// Makes a call that writes, at a path below the repository, with retries.
    pub(super) async fn write(
        &self,
        what: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Response<Bytes>, SourceError> {
        let call = Call::write(what, method, self.api.repository.route(path), body);
        Ok(self.api.call(call).await?.into_response())
    }

    /// Returns a token of the App's installation, which reads this repository alone.
    pub(super) async fn installation_token(&self) -> Result<InstallationToken, CallFailure> {
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
        let new = |url: &str| GitHub::new(&url.parse().unwrap(), None, GitHubCredentials::Anonymous);
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
