//! One call to GitHub's API for one repository: its address, one attempt at it, and its answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use octocrab::Octocrab;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::limits;
use crate::retry;
use crate::retry_after::requested_wait;
use crate::source::SourceError;

/// Wait for a rate limit that names no time, as GitHub advises
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// The failure of one attempt at a call.
pub(in crate::source) type CallFailure = retry::Failure<SourceError, String>;

/// A repository, as GitHub's API knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GitHubRepository {
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) url: String,
    /// Path of the REST API on its host, such as `/api/v3`; empty on github.com.
    pub(super) api: String,
}

/// A request to the API.
pub(super) struct Call<'a> {
    /// Its subject, for messages.
    pub(super) what: &'a str,
    method: Method,
    route: String,
    body: Option<Value>,
}

/// A whole answer.
pub(super) struct CallAnswer(http::Response<Bytes>);

impl<'a> Call<'a> {
    pub(super) fn get(what: &'a str, route: String) -> Self {
        Self { what, method: Method::GET, route, body: None }
    }

    pub(super) fn post(what: &'a str, route: String, body: Value) -> Self {
        Self::write(what, Method::POST, route, body)
    }

    pub(super) fn write(what: &'a str, method: Method, route: String, body: Value) -> Self {
        Self { what, method, route, body: Some(body) }
    }
}

impl CallAnswer {
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn into_response(self) -> http::Response<Bytes> {
        self.0
    }

    /// Returns the wait that GitHub asks for before the next call.
    fn requested_wait(&self) -> Option<Duration> {
        let (status, headers, now) = (self.status(), self.0.headers(), jiff::Timestamp::now());
        requested_wait(status, headers, &self.message(), RATE_LIMIT_WAIT, now)
    }

    /// The path that a redirect leads to.
    fn redirect(&self) -> Option<String> {
        let location = self.0.headers().get(header::LOCATION).filter(|_| self.status().is_redirection())?;
        Some(location.to_str().ok()?.parse::<Uri>().ok()?.path_and_query()?.to_string())
    }

    /// The answer, unless another attempt may give a better one.
    fn accepted(self) -> Result<Self, CallFailure> {
        let (status, message) = (self.status(), self.message());
        if let Some(wait) = self.requested_wait() {
            let reason = format!("GitHub limits the rate of calls ({}); {message}", status.as_u16());
            return Err(CallFailure::Wait(reason.trim_end_matches("; ").to_owned(), wait));
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Err(CallFailure::Passing(format!("GitHub answered {} {message}", status.as_u16())));
        }
        Ok(self)
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
                SourceError::unavailable(
                    what,
                    format!("GitHub answered {code} {}", self.message()).trim_end().to_owned(),
                )
            }
        }
    }

    /// The content of a successful answer.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, SourceError> {
        if !self.status().is_success() {
            return Err(self.error(what));
        }
        serde_json::from_slice(self.0.body())
            .map_err(|error| SourceError::unavailable(what, format!("unexpected answer: {error}")))
    }
}

impl GitHubRepository {
    /// A route of the API.
    pub(super) fn api_route(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }

    /// A route of the API below this repository.
    pub(super) fn route(&self, path: &str) -> String {
        self.api_route(&format!("/repos/{}/{}{path}", self.owner, self.name))
    }
}

/// Makes one attempt at a call. GitHub redirects from former names of a repository, writes with 307; the host stays the same, so that no
/// token goes to another.
pub(super) async fn once(client: &Octocrab, call: &Call<'_>) -> Result<CallAnswer, CallFailure> {
    let mut route = call.route.clone();
    for _ in 0..=limits::REDIRECTS {
        let answer = send(client, call, &route).await?;
        match answer.redirect() {
            Some(next) => route = next,
            None => return answer.accepted(),
        }
    }
    Err(CallFailure::Final(SourceError::unavailable(call.what, format!("more than {} redirects", limits::REDIRECTS))))
}

async fn send(client: &Octocrab, call: &Call<'_>, route: &str) -> Result<CallAnswer, CallFailure> {
    let malformed = |error: &dyn Error| CallFailure::Final(SourceError::unavailable(call.what, chain(error)));
    let request = http::Request::builder().method(call.method.clone()).uri(route);
    let request = request.header(header::ACCEPT, "application/vnd.github+json");
    let request = client.build_request(request, call.body.as_ref()).map_err(|error| malformed(&error))?;
    let answer = client.execute(request).await.map_err(|error| CallFailure::Passing(chain(&error)))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, limits::HOST_ANSWER_BYTES).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let reason = format!("the answer has more than {} bytes", limits::HOST_ANSWER_BYTES);
            CallFailure::Final(SourceError::unavailable(call.what, reason))
        } else {
            CallFailure::Passing(format!("the answer was cut off: {}", chain(error.as_ref())))
        }
    })?;
    Ok(CallAnswer(http::Response::from_parts(head, body.to_bytes())))
}

/// An error and its causes, on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let text = crate::error::chain(error);
    // The client's own name for "it did not work" says nothing.
    text.strip_prefix("Service Error: ").unwrap_or(&text).to_owned()
}
