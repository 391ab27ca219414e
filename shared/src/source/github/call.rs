//! One call to GitHub's API for one repository: its address, one attempt at it, and its answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use octocrab::Octocrab;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::repository::GitHubRepository;
use crate::limits;
use crate::retry;
use crate::retry_after::requested_wait;
use crate::source::SourceError;

/// Wait for a rate limit that names no time, as GitHub advises
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// The failure of one attempt at a call.
pub(super) type Failure = retry::Failure<SourceError, String>;

/// The body of an answer while it arrives.
pub(super) type Body = BoxBody<Bytes, octocrab::Error>;

/// The routes of GitHub's API for one repository.
#[derive(Debug)]
pub(super) struct Routes {
    repository: GitHubRepository,
    /// Path of the REST API on its host, such as `/api/v3`; empty on github.com.
    rest: String,
}

/// A request to the API.
pub(super) struct Call<'a> {
    /// Its subject, for messages.
    pub(super) what: &'a str,
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

impl Routes {
    pub(super) fn new(repository: GitHubRepository, rest: String) -> Self {
        Self { repository, rest }
    }

    pub(super) fn repository(&self) -> &GitHubRepository {
        &self.repository
    }

    pub(super) fn rest(&self, path: &str) -> String {
        format!("{}{path}", self.rest)
    }

    pub(super) fn repository_route(&self, path: &str) -> String {
        self.rest(&format!("/repos/{}/{}{path}", self.repository.owner(), self.repository.name()))
    }

    pub(super) fn graphql(&self) -> String {
        format!("{}/graphql", self.rest.strip_suffix("/v3").unwrap_or(&self.rest))
    }
}

/// Makes one attempt at a call.
pub(super) async fn once(client: &Octocrab, call: &Call<'_>) -> Result<Answer, Failure> {
    collect(call.what, open(client, call).await?).await
}

/// Sends a call and looks at the head of its answer.
pub(super) async fn open(client: &Octocrab, call: &Call<'_>) -> Result<http::Response<Body>, Failure> {
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

pub(super) async fn collect(what: &str, answer: http::Response<Body>) -> Result<Answer, Failure> {
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

pub(super) fn unavailable(what: &str, reason: impl Into<String>) -> SourceError {
    SourceError::Unavailable { what: what.to_owned(), reason: reason.into() }
}

/// An error and its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let text = crate::error::chain(error);
    // The client's own name for "it did not work" says nothing.
    text.strip_prefix("Service Error: ").unwrap_or(&text).to_owned()
}
