//! Calls to GitHub's API: each with a limit of time and of size, and tried again where that helps.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use octocrab::Octocrab;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::{Access, Credentials, app_of};
use super::repository::GitHubRepository;
use crate::limits;
use crate::retry::{self, RetryError, retry};
use crate::retry_after::requested_wait;
use crate::source::SourceError;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest silence on a connection.
const SILENCE: Duration = Duration::from_secs(10);

/// How many times the budget of a call a download gets.
const DOWNLOAD: u32 = 3;

/// Wait for a rate limit that names no time, as GitHub advises
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// The failure of one attempt at a call.
pub(super) type Failure = retry::Failure<SourceError, String>;

/// The body of an answer while it arrives.
pub(super) type Body = BoxBody<Bytes, octocrab::Error>;

/// GitHub's API for one repository.
pub(super) struct Api {
    access: Access,
    repository: GitHubRepository,
    /// Path of the REST API on its host, such as `/api/v3`; empty on github.com.
    rest: String,
    /// Path of the GraphQL API.
    graphql: String,
    /// Time for one call, further attempts and waits included.
    budget: Duration,
}

/// What is asked.
pub(super) struct Call<'a> {
    /// The thing asked for, for messages.
    what: &'a str,
    method: Method,
    route: String,
    headers: HeaderMap,
    body: Option<Value>,
}

/// A whole answer.
pub(super) struct Answer(http::Response<Bytes>);

impl<'a> Call<'a> {
    pub(super) fn get(what: &'a str, route: String) -> Self {
        Self { what, method: Method::GET, route, headers: HeaderMap::new(), body: None }
            .with(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"))
    }

    pub(super) fn post(what: &'a str, route: String, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(what, route) }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.0.headers().get(name)
    }

    pub(super) fn into_body(self) -> Bytes {
        self.0.into_body()
    }

    /// Returns the wait that GitHub asks for before the next call.
    fn requested_wait(&self) -> Option<Duration> {
        let (status, headers, now) = (self.status(), self.0.headers(), jiff::Timestamp::now());
        requested_wait(status, headers, &self.message(), RATE_LIMIT_WAIT, now)
    }

    /// The message of an error, shortened.
    pub(super) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Message {
            message: String,
        }
        let message = serde_json::from_slice(self.0.body()).map(|Message { message }| message).unwrap_or_default();
        message.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    /// Why this answer is not the one hoped for.
    pub(super) fn error(&self, what: &str) -> SourceError {
        match self.status() {
            StatusCode::NOT_FOUND => SourceError::NotFound(what.to_owned()),
            status => {
                let code = status.as_u16();
                unavailable(what, format!("GitHub answered {code} {}", self.message()).trim_end().to_owned())
            }
        }
    }

    /// The content of a successful answer.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, SourceError> {
        if !self.status().is_success() {
            return Err(self.error(what));
        }
        serde_json::from_slice(self.0.body()).map_err(|error| unavailable(what, format!("unexpected answer: {error}")))
    }
}

impl Api {
    /// Connects nothing yet; the runtime must be running, for the client keeps a task.
    pub(super) fn new(
        repository: GitHubRepository,
        api_url: &str,
        credentials: Credentials,
        budget: Duration,
    ) -> Result<Self, SourceError> {
        let invalid = |reason: String| unavailable("the configuration of GitHub", reason);
        let (host, rest) = split_api_url(api_url).map_err(|reason| invalid(reason.to_owned()))?;
        let mut builder = Octocrab::builder()
            .set_connect_timeout(Some(CONNECT))
            .set_read_timeout(Some(SILENCE))
            .set_write_timeout(Some(SILENCE))
            .base_uri(host)
            .map_err(|error| invalid(chain(&error)))?;
        if let Some((id, key)) = app_of(&credentials) {
            builder = builder.app(id, key);
        }
        let client = builder.build().map_err(|error| invalid(chain(&error)))?;
        let access = Access::new(client, credentials).ok_or_else(|| {
            invalid("GITHUB_TOKEN has characters that no token has; set it again without quotes or spaces".to_owned())
        })?;
        let graphql = format!("{}/graphql", rest.strip_suffix("/v3").unwrap_or(&rest));
        Ok(Self { access, repository, rest, graphql, budget })
    }

    pub(super) fn with_budget(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    pub(super) fn repository(&self) -> &GitHubRepository {
        &self.repository
    }

    /// GraphQL is closed to anonymous callers.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self.access, Access::Anonymous(_))
    }

    pub(super) fn route(&self, path: &str) -> String {
        format!("{}{path}", self.rest)
    }

    pub(super) fn repository_route(&self, path: &str) -> String {
        self.route(&format!("/repos/{}/{}{path}", self.repository.owner(), self.repository.name()))
    }

    pub(super) fn graphql_route(&self) -> String {
        self.graphql.clone()
    }

    /// Makes a call, with retries. Any answer that no retry would change is a success here.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when there is no such answer within the budget.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, SourceError> {
        let attempt = || async {
            let client = self.access.client(self).await?;
            let answer = self.once(&client, &call).await?;
            self.accepted(answer.status()).await?;
            Ok(answer)
        };
        retry(call.what, self.budget, attempt).await.map_err(|error| given_up(call.what, error))
    }

    /// Makes one attempt at a call.
    pub(super) async fn once(&self, client: &Octocrab, call: &Call<'_>) -> Result<Answer, Failure> {
        let answer = self.open(client, call).await?;
        collect(call.what, answer).await
    }

    /// Downloads something large: `receive` gets the body of each attempt while it arrives.
    pub(super) async fn download<T, F>(&self, call: Call<'_>, receive: impl Fn(Body) -> F) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let attempt = || async {
            let client = self.access.client(self).await?;
            let answer = self.open(&client, &call).await?;
            self.accepted(answer.status()).await?;
            if answer.status().is_success() {
                receive(answer.into_body()).await
            } else {
                Err(Failure::Final(collect(call.what, answer).await?.error(call.what)))
            }
        };
        let budget = self.budget.saturating_mul(DOWNLOAD);
        retry(call.what, budget, attempt).await.map_err(|error| given_up(call.what, error))
    }

    /// A refused token that can be replaced is worth another attempt.
    async fn accepted(&self, status: StatusCode) -> Result<(), Failure> {
        if status == StatusCode::UNAUTHORIZED && self.access.refused().await {
            return Err(Failure::Passing("GitHub refused the token of the installation".to_owned()));
        }
        Ok(())
    }

    /// Sends a call and looks at the head of its answer.
    async fn open(&self, client: &Octocrab, call: &Call<'_>) -> Result<http::Response<Body>, Failure> {
        let malformed = |error: &dyn Error| Failure::Final(unavailable(call.what, chain(error)));
        let mut request = http::Request::builder().method(call.method.clone()).uri(&call.route);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let request = client.build_request(request, call.body.as_ref()).map_err(|error| malformed(&error))?;
        let answer = client.execute(request).await.map_err(|error| Failure::Passing(chain(&error)))?;
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            let answer = collect(call.what, answer).await?;
            let message = answer.message();
            if let Some(wait) = answer.requested_wait() {
                let reason = format!("GitHub limits the rate of calls ({}); {message}", status.as_u16());
                return Err(Failure::Wait(reason.trim_end_matches("; ").to_owned(), wait));
            }
            if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
                return Err(Failure::Passing(format!("GitHub answered {} {message}", status.as_u16())));
            }
            return Ok(answer.0.map(|body| http_body_util::Full::new(body).map_err(|never| match never {}).boxed()));
        }
        Ok(answer)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("repository", &self.repository).field("rest", &self.rest).finish_non_exhaustive()
    }
}

pub(super) fn unavailable(what: &str, reason: impl Into<String>) -> SourceError {
    SourceError::Unavailable { what: what.to_owned(), reason: reason.into() }
}

fn given_up(what: &str, error: RetryError<SourceError, String>) -> SourceError {
    match error {
        RetryError::Final(error) => error,
        error => unavailable(what, error.to_string()),
    }
}

/// An error and its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let text = crate::error::chain(error);
    // The client's own name for "it did not work" says nothing.
    text.strip_prefix("Service Error: ").unwrap_or(&text).to_owned()
}

async fn collect(what: &str, answer: http::Response<Body>) -> Result<Answer, Failure> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, limits::GITHUB_ANSWER_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let reason = format!("the answer has more than {} bytes", limits::GITHUB_ANSWER_BYTES);
            Failure::Final(unavailable(what, reason))
        } else {
            Failure::Passing(format!("the answer was cut off: {}", chain(error.as_ref())))
        }
    })?;
    Ok(Answer(http::Response::from_parts(head, body.to_bytes())))
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
    async fn shows_no_secrets() {
        let repository: GitHubRepository = "https://github.com/example/registry".parse().unwrap();
        let credentials = Credentials::Token("ghp_secret".into());
        assert_eq!(format!("{credentials:?}"), "Token(..)");
        let api = Api::new(repository.clone(), "https://api.github.com", credentials, Duration::ZERO).unwrap();
        assert!(!format!("{api:?}").contains("secret"));
        let stray = Credentials::Token("ghp_se\ncret".into());
        let error = Api::new(repository, "https://api.github.com", stray, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("GITHUB_TOKEN") && !error.contains("cret"), "{error}");
    }
}
