//! Calls to GitHub's API: each with a limit of time and of size, and tried again where that helps.

use std::fmt;
use std::time::Duration;

use http::{StatusCode, Uri};
use octocrab::Octocrab;

use super::access::{AuthorizedClients, GitHubCredentials};
use super::call::{Call, CallAnswer, CallFailure, GitHubRepository, chain, once};
use crate::retry::{RetryError, retry};
use crate::source::SourceError;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(10);

/// GitHub's API for one repository.
pub(super) struct GitHubApi {
    pub(super) access: AuthorizedClients,
    pub(super) repository: GitHubRepository,
    /// Time for one call, further attempts and waits included.
    pub(super) budget: Duration,
}

impl GitHubApi {
    /// Connects nothing yet; the runtime must be running, for the client keeps a task.
    pub(super) fn new(
        repository: GitHubRepository,
        api_url: &str,
        credentials: GitHubCredentials,
        budget: Duration,
    ) -> Result<Self, SourceError> {
        let (host, api) = split_api_url(api_url).map_err(SourceError::setting)?;
        let builder = Octocrab::builder()
            .set_connect_timeout(Some(CONNECT))
            .set_read_timeout(Some(SILENCE))
            .set_write_timeout(Some(SILENCE))
            .base_uri(host)
            .map_err(|error| SourceError::setting(chain(&error)))?;
        let client = builder.build().map_err(|error| SourceError::setting(chain(&error)))?;
        Ok(Self {
            access: AuthorizedClients::new(client, credentials),
            repository: GitHubRepository { api, ..repository },
            budget,
        })
    }

    /// Whether calls have no credentials.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self.access, AuthorizedClients::Anonymous(_))
    }

    /// Makes a call, with retries. Any answer that no retry would change is a success here.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when there is no such answer within the budget.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<CallAnswer, SourceError> {
        let attempt = || async {
            let client = self.access.client(&self.repository).await?;
            let answer = once(&client, &call).await?;
            // A refused token that can be replaced is worth another attempt.
            if answer.status() == StatusCode::UNAUTHORIZED && self.access.refused().await {
                return Err(CallFailure::Passing("GitHub refused the token".to_owned()));
            }
            Ok(answer)
        };
        retry(call.what, self.budget, attempt).await.map_err(|error| given_up(call.what, error))
    }
}

impl fmt::Debug for GitHubApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubApi").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// The error of a call after its last attempt.
pub(in crate::source) fn given_up(what: &str, error: RetryError<SourceError, String>) -> SourceError {
    match error {
        RetryError::Final(error) => error,
        error => SourceError::unavailable(what, error),
    }
}

/// The host and the path of an API, the latter without a slash at its end. Plain HTTP would show the token to the network, so
/// only the own machine may use it.
fn split_api_url(url: &str) -> Result<(Uri, String), &'static str> {
    let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| "GITHUB_API_URL is not a URL")?;
    let parts = uri.clone().into_parts();
    let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
        return Err("GITHUB_API_URL is not a URL; write https://HOST/api/v3");
    };
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err("GITHUB_API_URL carries more than a host and a path");
    }
    let host = authority.host().trim_matches(['[', ']']);
    let own_machine = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if scheme != http::uri::Scheme::HTTPS && !own_machine {
        return Err("GITHUB_API_URL does not begin with https://");
    }
    let path = uri.path().trim_end_matches('/').to_owned();
    let host = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
    Ok((host.map_err(|_| "GITHUB_API_URL is not a URL")?, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn api_urls_are_https_or_local() {
        let split = |url| split_api_url(url).map(|(host, path)| (host.to_string(), path));
        assert_eq!(split("https://api.github.com"), Ok(("https://api.github.com/".into(), String::new())));
        assert_eq!(split("https://git.x.com/api/v3/"), Ok(("https://git.x.com/".into(), "/api/v3".into())));
        for local in ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"] {
            assert!(split(local).is_ok(), "{local}");
        }
        for bad in [
            "",
            "api.github.com",
            "http://api.github.com",
            "http://127.0.0.1.evil.com",
            "https://u:p@x.com",
            "https://x.com?a=b",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn debug_form_and_errors_of_the_client_have_no_secret() {
        let url = "https://github.com/example/registry".to_owned();
        let repository = GitHubRepository { owner: "example".into(), name: "registry".into(), url, api: String::new() };
        let credentials = GitHubCredentials::Token(Secret::fixed("GITHUB_TOKEN", "ghp_secret"));
        assert_eq!(format!("{credentials:?}"), "Token(..)");
        let api = GitHubApi::new(repository.clone(), "https://api.github.com", credentials, Duration::ZERO).unwrap();
        assert!(!format!("{api:?}").contains("secret"));
        let stray = GitHubCredentials::Token(Secret::fixed("GITHUB_TOKEN", "ghp_se\ncret"));
        let api = GitHubApi::new(repository, "https://api.github.com", stray, Duration::from_secs(1)).unwrap();
        let error = api.call(Call::get("the repository", "/".to_owned())).await.err().unwrap().to_string();
        assert!(error.contains("GITHUB_TOKEN") && !error.contains("cret"), "{error}");
    }
}
