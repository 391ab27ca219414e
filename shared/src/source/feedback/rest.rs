//! Calls of the APIs in `table`.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::table::{ApiAnswer, HostApi, Write, message, split};
use crate::error::chain;
use crate::git::RepositoryUrl;
use crate::limits;
use crate::retry::{Failure, RetryError, retry};
use crate::retry_after::requested_wait;
use crate::secret::Secret;
use crate::source::SourceError;

/// Time for one call, further attempts included.
const BUDGET: Duration = Duration::from_secs(20);

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(10);

/// Wait for a rate limit that names no time.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// Name and version of this software, in requests.
const USER_AGENT: &str = concat!("devfile-registry/", env!("CARGO_PKG_VERSION"));

/// The API of a repository on GitLab, Gitea, Forgejo or Bitbucket.
pub(super) struct Rest {
    repository: RepositoryUrl,
    token: Secret,
    http: reqwest::Client,
    budget: Duration,
}

impl Rest {
    /// See [`Feedback::with_token`](super::Feedback::with_token).
    pub(super) fn new(repository: &RepositoryUrl, token: Secret) -> Result<Self, SourceError> {
        let is_safe = match repository.url().host() {
            _ if repository.url().scheme() == "https" => true,
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if !is_safe {
            return Err(SourceError::setting("REGISTRY_REPO_URL does not begin with https://"));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(Policy::none())
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| SourceError::setting(chain(&error)))?;
        Ok(Self { repository: repository.clone(), token, http, budget: BUDGET })
    }

    /// The same with another time for each call, further attempts included.
    pub(super) fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// Makes a call of the API that the token is for, with retries. `None` when the API has no such call.
    pub(super) async fn write(
        &self,
        what: &str,
        call: impl Fn(&HostApi) -> Option<Write>,
    ) -> Result<Option<ApiAnswer>, SourceError> {
        let attempt = || async {
            let failed = |reason: String| Failure::Final(SourceError::unavailable(what, reason));
            let value = self.token.value().await.map_err(|error| failed(error.to_string()))?;
            let (api, token) = split(&value).map_err(|error| failed(format!("STATUS_TOKEN: {error}")))?;
            let Some(write) = call(api) else { return Ok(None) };
            let url = api
                .url(&self.repository, &write.path)
                .ok_or_else(|| failed(format!("its URL is not that of a repository on {}", api.title)))?;
            let answer = self.send(what, api, token, url, &write).await?;
            // A refused token that can be replaced is worth another attempt.
            if answer.status() == StatusCode::UNAUTHORIZED && self.token.is_renewed().await {
                return Err(Failure::Passing(format!("{} refused the token", api.title)));
            }
            Ok(Some((api, answer)))
        };
        retry(what, self.budget, attempt).await.map_err(|error| match error {
            RetryError::Final(error) => error,
            error => SourceError::unavailable(what, error),
        })
    }

    /// Sends a call. Redirects within the host are followed with the same method, those to others are refused with the token kept.
    async fn send(
        &self,
        what: &str,
        api: &HostApi,
        token: &str,
        mut url: Url,
        write: &Write,
    ) -> Result<Response<Bytes>, Failure<SourceError, String>> {
        let failed = |reason: String| Failure::Final(SourceError::unavailable(what, reason));
        let mut authorization = HeaderValue::try_from(format!("{} {token}", api.authorization))
            .map_err(|_| failed("STATUS_TOKEN has characters that no token has".to_owned()))?;
        authorization.set_sensitive(true);
        let body = write.body.to_string();
        for _ in 0..=limits::REDIRECTS {
            let request = self.http.request(write.method.clone(), url.clone());
            let request = request.header(header::AUTHORIZATION, &authorization);
            let request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
            let answer = request.send().await.map_err(|error| Failure::Passing(chain(&error.without_url())))?;
            let Some(location) = redirect(answer.status(), answer.headers()) else { return read(api, answer).await };
            let next = url.join(&location).map_err(|_| failed("the redirect leads to no URL".to_owned()))?;
            if next.origin() != url.origin() {
                return Err(failed(format!("{} redirects to another host", api.title)));
            }
            url = next;
        }
        Err(failed(format!("more than {} redirects", limits::REDIRECTS)))
    }
}

/// The target of a redirect.
fn redirect(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION).filter(|_| status.is_redirection())?;
    Some(location.to_str().ok()?.to_owned())
}

/// Reads an answer, unless another attempt may give a better one.
async fn read(api: &HostApi, mut answer: reqwest::Response) -> Result<Response<Bytes>, Failure<SourceError, String>> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    // A body that is cut off changes little: the call took effect or not.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = limits::HOST_ANSWER_BYTES.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room <= chunk.len() {
            break;
        }
    }
    let code = status.as_u16();
    if let Some(wait) = requested_wait(status, &headers, &message(&body), RATE_LIMIT_WAIT, jiff::Timestamp::now()) {
        return Err(Failure::Wait(format!("{} limits the rate of calls ({code})", api.title), wait));
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Err(Failure::Passing(format!("{} answered {code}", api.title)));
    }
    let mut read = Response::new(Bytes::from(body));
    *read.status_mut() = status;
    Ok(read)
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("repository", &self.repository).finish_non_exhaustive()
    }
}
