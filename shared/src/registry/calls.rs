//! One call of the OCI distribution API: its address, authorization, trace, retries, and a named error.

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Method, Request, RequestBuilder, Response, Url};
use tokio::time::Instant;

use super::access::Access;
use super::answer::{CallError, location, named, refusal, with_idle_timeout};
use super::{Credentials, Name, RegistryAddress, RegistryError};
use crate::context;
use crate::error::chain;
use crate::retry::{Failure, RetryError, retry};
use crate::telemetry::{Kind, Span};
use crate::trace::TRACEPARENT;

/// Time for one call, its tries included.
pub(super) const CALL_TIME: Duration = Duration::from_secs(60);

/// Time for a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// Redirects that are followed for one answer.
const REDIRECTS: usize = 5;

/// The value of `User-Agent`.
pub(super) const USER_AGENT: &str = concat!("devfile-registry/", env!("CARGO_PKG_VERSION"));

/// Calls one registry.
#[derive(Clone)]
pub(super) struct Calls {
    http: reqwest::Client,
    address: RegistryAddress,
    access: Access,
}

/// The subject of a call.
#[derive(Debug)]
pub(super) struct Subject {
    /// The task of the registry, as in "take the blob".
    operation: &'static str,
    /// The repository, with the namespace.
    repository: String,
    /// Tag or digest, with the separator before it.
    name: String,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Calls {
    pub(super) fn new(address: RegistryAddress, credentials: Option<Credentials>) -> Self {
        // As `reqwest::Client::new` has it: without TLS there is nothing that could be done.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(Policy::none())
            .user_agent(USER_AGENT)
            .build()
            .expect("the TLS library starts");
        let access = Access::new(http.clone(), &address, credentials);
        Self { http, address, access }
    }

    /// The registry.
    pub(super) fn address(&self) -> &RegistryAddress {
        &self.address
    }

    /// A call about a repository, or something in it.
    pub(super) fn subject(&self, operation: &'static str, repository: &str, name: Name<'_>) -> Subject {
        let name = match name {
            Name::Tag(tag) => format!(":{tag}"),
            Name::Digest(digest) => format!("@{digest}"),
        };
        Subject { operation, repository: self.address.repository(repository), name }
    }

    /// Begins a request below a repository: `/v2/<repository>/<path>`.
    pub(super) fn request(&self, method: Method, subject: &Subject, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/v2/{}/{path}", self.address.origin(), subject.repository))
    }

    /// Begins a request at an address that the registry gave. It may be at another host, as uploads to a cloud's store are.
    pub(super) fn request_at(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Makes a call within a time, retries included. `None` when the registry does not have the subject.
    pub(super) async fn find<T, R: Future<Output = Result<T, CallError>>>(
        &self,
        subject: &Subject,
        time: Duration,
        attempt: impl Fn() -> R,
    ) -> Result<Option<T>, RegistryError> {
        match repeat(subject, time, self.access.authorizations(), attempt).await {
            Ok(value) => Ok(Some(value)),
            Err(RetryError::Final(CallError::Refused { status: StatusCode::NOT_FOUND, .. })) => Ok(None),
            Err(error) => Err(self.error(subject, &error)),
        }
    }

    /// Makes a call within a time, retries included.
    pub(super) async fn run<T, R: Future<Output = Result<T, CallError>>>(
        &self,
        subject: &Subject,
        time: Duration,
        attempt: impl Fn() -> R,
    ) -> Result<T, RegistryError> {
        let repeated = repeat(subject, time, self.access.authorizations(), attempt).await;
        repeated.map_err(|error| self.error(subject, &error))
    }

    /// Sends a request of a push. Amazon ECR creates no repository for it, so a missing one is created.
    pub(super) async fn push(
        &self,
        subject: &Subject,
        request: RequestBuilder,
        success: StatusCode,
    ) -> Result<Response, CallError> {
        let (again, begin) = (request.try_clone(), Instant::now());
        let sent = self.send(subject, request, success).await;
        match (sent, self.access.ecr(), again) {
            (Err(error), Some(ecr), Some(again)) if error.is_missing_repository() => {
                ecr.create(&subject.repository, begin).await?;
                // A repository may be seen a moment after its creation.
                let sent = self.send(subject, again, success).await;
                sent.map_err(|error| match error.is_missing_repository() {
                    true => CallError::Broken(error.to_string()),
                    false => error,
                })
            }
            (sent, ..) => sent,
        }
    }

    /// Sends a request, and follows redirects when it only reads. The answer has the status that the specification
    /// gives to success, its body yet to come.
    pub(super) async fn send(
        &self,
        subject: &Subject,
        request: RequestBuilder,
        success: StatusCode,
    ) -> Result<Response, CallError> {
        let mut request = request.build().map_err(|error| CallError::Final(chain(&error.without_url())))?;
        for _ in 0..=REDIRECTS {
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            let again = if reads { request.try_clone() } else { None };
            let answer = self.send_once(subject, request).await?;
            let (status, other) = (answer.status(), self.other(&answer));
            if status == success {
                return Ok(answer);
            }
            if status.is_success() {
                let (by, status, success) = (named(other.as_deref()), status.as_u16(), success.as_u16());
                return Err(CallError::Final(format!(
                    "{by} answered {status} where {success} is the answer of success"
                )));
            }
            let Some(mut redirected) = again else { return Err(refusal(answer, other).await) };
            *redirected.url_mut() = location(&answer)?;
            request = redirected;
        }
        Err(CallError::Final(format!("the registry redirects more than {REDIRECTS} times")))
    }

    /// Sends a request once. The answer is a good one or a redirect.
    async fn send_once(&self, subject: &Subject, mut request: Request) -> Result<Response, CallError> {
        // Other hosts that the registry names get no credentials (CVE-2020-15157).
        let authorization =
            if self.address.is_at(request.url()) { self.access.of(&subject.repository).await? } else { None };
        if let Some(authorization) = &authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let span = Span::begin(Kind::Client, subject.operation, context::trace());
        span.rename(format_args!("OCI: {}", subject.operation));
        span.set("server.address", self.address.host.as_str());
        span.set("http.request.method", request.method().as_str());
        // A position in a trace consists of digits and dashes.
        if let Some(position) = span.position().and_then(|position| HeaderValue::try_from(position.to_string()).ok()) {
            request.headers_mut().insert(TRACEPARENT, position);
        }
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let answer = async { self.http.execute(request).await.map_err(CallError::of) };
        let answer = with_idle_timeout(length.unwrap_or_default(), answer).await;
        let answer = answer.inspect_err(|_| span.fail("no_answer"))?;
        let status = answer.status();
        span.set("http.response.status_code", status.as_u16());
        if status.is_success() || status.is_redirection() {
            return Ok(answer);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.access.refused(&subject.repository, authorization.as_ref()).await;
        }
        // That something is missing is an answer like any other.
        if status != StatusCode::NOT_FOUND {
            span.fail(status.as_u16().to_string().as_str());
        }
        let other = self.other(&answer);
        Err(refusal(answer, other).await)
    }

    /// The host of an answer, when it is not the registry itself.
    fn other(&self, answer: &Response) -> Option<String> {
        (!self.address.is_at(answer.url())).then(|| answer.url().origin().ascii_serialization())
    }

    fn error(&self, subject: &Subject, call: &RetryError<CallError>) -> RegistryError {
        let Subject { operation, repository, name } = subject;
        let operation = format!("{operation} {}/{repository}{name}", self.address.host);
        let error = RegistryError::new(format!("the OCI registry {}", self.address), operation, call.to_string());
        match call {
            RetryError::Exhausted(CallError::LacksBlobs(_), _) => error.lacking_blobs(),
            RetryError::Exhausted(CallError::Refused { wait: Some(_), .. }, _)
            | RetryError::TimedOut(_, Some(CallError::Refused { wait: Some(_), .. }))
            | RetryError::Postponed(..) => error.rate_limited(),
            _ => error,
        }
    }
}

/// Repeats attempts at a call within a time; at once when the registry refuses an authorization that can be replaced.
async fn repeat<T, R: Future<Output = Result<T, CallError>>>(
    subject: &Subject,
    time: Duration,
    authorizations: u32,
    attempt: impl Fn() -> R,
) -> Result<T, RetryError<CallError>> {
    let authorized = || async {
        let mut result = attempt().await;
        for _ in 1..authorizations {
            match result {
                Err(error) if error.is_refused_authorization() => result = attempt().await,
                _ => break,
            }
        }
        result.map_err(Failure::from)
    };
    retry(subject.operation, time, authorized).await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::super::answer::{damaged, too_large};
    use super::*;

    fn refused(status: u16, wait: Option<u64>) -> CallError {
        refused_with(status, "", wait)
    }

    fn refused_with(status: u16, said: &str, wait: Option<u64>) -> CallError {
        let status = StatusCode::from_u16(status).unwrap();
        CallError::Refused { by: None, status, said: said.to_owned(), wait: wait.map(Duration::from_secs) }
    }

    /// Makes a call whose first attempts fail so. Returns the result as text, the number of attempts and the seconds until the end.
    async fn outcome(failures: Vec<CallError>) -> (Result<(), String>, usize, u64) {
        let start = Instant::now();
        let (failures, attempts) = (RefCell::new(failures.into_iter()), Cell::new(0_usize));
        let subject = Subject { operation: "read the blob", repository: "r".to_owned(), name: "@d".to_owned() };
        let result = repeat(&subject, CALL_TIME, 5, || {
            attempts.set(attempts.get().saturating_add(1));
            std::future::ready(failures.borrow_mut().next().map_or(Ok(()), Err))
        });
        let result = result.await.map_err(|error| error.to_string());
        (result, attempts.get(), start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn refused_authorization_is_replaced_at_once() {
        let refusals = |count| (0..count).map(|_| refused(401, None)).collect();
        assert_eq!(outcome(refusals(4)).await, (Ok(()), 5, 0));
        let (result, attempts, seconds) = outcome(refusals(9)).await;
        assert_eq!((attempts, seconds), (5, 0));
        assert_eq!(result.unwrap_err(), "the registry answered 401; it wants other credentials");
    }

    #[tokio::test(start_paused = true)]
    async fn token_of_ecr_at_its_end_is_replaced_at_once() {
        let said = "DENIED Your Authorization Token has expired. Please run 'aws ecr get-login' to fetch a new one.";
        assert_eq!(outcome(vec![refused_with(403, said, None)]).await, (Ok(()), 2, 0));
        assert_eq!(outcome(vec![refused_with(403, "", None)]).await, (Ok(()), 2, 0), "HEAD has no words");
    }

    #[tokio::test(start_paused = true)]
    async fn server_errors_and_broken_answers_are_retried_and_refusals_are_not() {
        let (result, attempts, _) =
            outcome(vec![refused(500, None), damaged(), CallError::LacksBlobs(String::new())]).await;
        assert_eq!((result, attempts), (Ok(()), 4));
        for status in [400, 403, 404, 405, 416] {
            assert_eq!(outcome(vec![refused_with(status, "DENIED", None)]).await.1, 1, "{status}");
        }
        assert_eq!(outcome(vec![too_large(7)]).await.1, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn rate_limit_of_a_registry_is_waited_for_within_the_time() {
        let (result, attempts, seconds) = outcome(vec![refused(429, Some(20)), refused(429, Some(7))]).await;
        assert_eq!((result, attempts, seconds), (Ok(()), 3, 27));
        let (result, attempts, seconds) = outcome(vec![refused(429, Some(90))]).await;
        assert_eq!((attempts, seconds), (1, 0));
        assert!(result.unwrap_err().starts_with("the registry answered 429; try again after 2"));
    }
}
