//! Calls of the APIs in `table`.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::table::{Api, Status, split};
use crate::digest::CommitSha;
use crate::error::chain;
use crate::git::RepositoryUrl;
use crate::limits;
use crate::retry::{Failure, RetryError, retry};
use crate::retry_after::requested_wait;
use crate::secret::Secret;
use crate::source::SourceError;
use crate::source::github::{CommitState, shortened};

/// Time for one report, further attempts included.
const BUDGET: Duration = Duration::from_secs(20);

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(10);

/// Wait for a rate limit that names no time.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// Name and version of this software, in requests.
const USER_AGENT: &str = concat!("devfile-registry/", env!("CARGO_PKG_VERSION"));

/// The commit statuses of a repository on GitLab, Gitea, Forgejo or Bitbucket.
pub struct RestStatuses {
    repository: RepositoryUrl,
    token: Secret,
    http: reqwest::Client,
    budget: Duration,
    are_off: AtomicBool,
}

/// The status of an answer with a part of its body, for messages.
struct Answer {
    status: StatusCode,
    message: String,
}

impl RestStatuses {
    /// Connects nothing yet. `token` is a secret `KIND:TOKEN`.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when the repository's URL is plain HTTP to another machine, which would show the token to the
    /// network, or there is no TLS.
    pub fn new(repository: &RepositoryUrl, token: Secret) -> Result<Self, SourceError> {
        let is_safe = match repository.url().host() {
            _ if repository.url().scheme() == "https" => true,
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let invalid = |reason: String| SourceError::unavailable("the configuration of commit statuses", reason);
        if !is_safe {
            return Err(invalid("REGISTRY_REPO_URL does not begin with https://".to_owned()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(Policy::none())
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| invalid(chain(&error)))?;
        Ok(Self { repository: repository.clone(), token, http, budget: BUDGET, are_off: AtomicBool::new(false) })
    }

    /// The same with another time for each report, further attempts included; 20 s otherwise.
    pub fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// Shows a state at a commit; see [`CommitStatuses::report`](super::CommitStatuses::report).
    ///
    /// # Errors
    /// [`SourceError`] when the host does not take it for another reason than a missing permission.
    pub async fn report(
        &self,
        commit: &CommitSha,
        state: CommitState,
        description: &str,
        target_url: Option<&str>,
    ) -> Result<(), SourceError> {
        let repository_url = self.repository.url().as_str();
        let what = format!("the status of {} in {repository_url}", commit.short());
        let description = shortened(description);
        let status = Status { state, description: &description, target_url, repository_url };
        let attempt = || async {
            let failed = |reason: String| Failure::Final(SourceError::unavailable(&what, reason));
            let value = self.token.value().await.map_err(|error| failed(error.to_string()))?;
            let (api, token) = split(&value).map_err(|error| failed(format!("STATUS_TOKEN: {error}")))?;
            let url = api
                .url(&self.repository, commit)
                .ok_or_else(|| failed(format!("its URL is not that of a repository on {}", api.title)))?;
            let answer = self.post(&what, api, token, url, &status).await?;
            // A refused token that can be replaced is worth another attempt.
            if answer.status == StatusCode::UNAUTHORIZED && self.token.is_renewed().await {
                return Err(Failure::Passing(format!("{} refused the token", api.title)));
            }
            Ok((api, answer))
        };
        let (api, answer) = retry(&what, self.budget, attempt).await.map_err(|error| match error {
            RetryError::Final(error) => error,
            error => SourceError::unavailable(&what, error),
        })?;
        self.conclude(api, &answer).map_err(|reason| SourceError::unavailable(what, reason))
    }

    /// Posts a status. Redirects within the host are followed as posts, those to others are refused with the token kept.
    async fn post(
        &self,
        what: &str,
        api: &Api,
        token: &str,
        mut url: Url,
        status: &Status<'_>,
    ) -> Result<Answer, Failure<SourceError, String>> {
        let failed = |reason: String| Failure::Final(SourceError::unavailable(what, reason));
        let mut authorization = HeaderValue::try_from(format!("{} {token}", api.authorization))
            .map_err(|_| failed("STATUS_TOKEN has characters that no token has".to_owned()))?;
        authorization.set_sensitive(true);
        let body = (api.body)(status).to_string();
        for _ in 0..=limits::REDIRECTS {
            let request = self.http.post(url.clone()).header(header::AUTHORIZATION, &authorization);
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

    fn conclude(&self, api: &Api, answer: &Answer) -> Result<(), String> {
        let Answer { status, message } = answer;
        match *status {
            status if status.is_success() => Ok(()),
            // GitLab refuses a state that the commit has already.
            StatusCode::BAD_REQUEST if message.contains("Cannot transition status") => Ok(()),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                if !self.are_off.swap(true, Ordering::Relaxed) {
                    let repository = self.repository.url().as_str();
                    tracing::info!(repository, "commit statuses are off: the token lacks {}", api.permission);
                }
                Ok(())
            }
            status => Err(format!("{} answered {} {message}", api.title, status.as_u16()).trim_end().to_owned()),
        }
    }
}

/// The target of a redirect.
fn redirect(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION).filter(|_| status.is_redirection())?;
    Some(location.to_str().ok()?.to_owned())
}

/// Reads an answer, unless another attempt may give a better one.
async fn read(api: &Api, mut answer: reqwest::Response) -> Result<Answer, Failure<SourceError, String>> {
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = Vec::new();
    // A body that is cut off changes nothing: the status was taken or not.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = limits::STATUS_ANSWER_BYTES.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if room <= chunk.len() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    let message: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let code = status.as_u16();
    if let Some(wait) = requested_wait(status, &headers, &message, RATE_LIMIT_WAIT, jiff::Timestamp::now()) {
        return Err(Failure::Wait(format!("{} limits the rate of calls ({code})", api.title), wait));
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Err(Failure::Passing(format!("{} answered {code}", api.title)));
    }
    Ok(Answer { status, message })
}

impl fmt::Debug for RestStatuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestStatuses").field("repository", &self.repository).finish_non_exhaustive()
    }
}
