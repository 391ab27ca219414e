//! One call of the OCI distribution API: its address, what shows who calls, its trace, patience, and a named error.

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Deserialize;

use super::access::Access;
use super::{Credentials, Name, RegistryAddress, RegistryError};
use crate::context;
use crate::digest::Digest;
use crate::error::chain;
use crate::telemetry::{Kind, Span};
use crate::trace::TRACEPARENT;

/// Time for one call, its tries included.
pub(super) const CALL_TIME: Duration = Duration::from_secs(60);

/// Time for a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// Time without a byte from the registry.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// The longest wait that a registry may ask for before another try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Bytes of the answer that says why a call was refused.
const REASON_BYTES: u64 = 16 << 10;

/// Characters of what a registry says of a refusal.
const REASON_CHARS: usize = 200;

/// What the function calls itself.
pub(super) const USER_AGENT: &str = concat!("devfile-registry/", env!("CARGO_PKG_VERSION"));

/// Calls one registry.
#[derive(Clone)]
pub(super) struct Calls {
    http: reqwest::Client,
    address: RegistryAddress,
    access: Access,
}

/// What a call is about.
#[derive(Debug)]
pub(super) struct Subject {
    /// What the registry is to do, as in "take the blob".
    operation: &'static str,
    /// The repository, with the namespace.
    repository: String,
    /// Tag or digest, with what separates it from the repository.
    name: String,
}

/// Why a try did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The registry refused.
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says of it.
        said: String,
        /// When it wants to be asked again.
        wait: Option<Duration>,
    },
    /// There is no answer, or not all of it, or it is damaged.
    Broken(String),
    /// What is on our side, or will not change.
    Final(String),
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
            .read_timeout(SILENCE)
            .user_agent(USER_AGENT)
            .build()
            .expect("the TLS library starts");
        let access = Access::new(&address, credentials);
        Self { http, address, access }
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
        let (scheme, host) = (self.address.scheme(), &self.address.host);
        self.http.request(method, format!("{scheme}://{host}/v2/{}/{path}", subject.repository))
    }

    /// Begins a request at an address that the registry gave. It may be at another host, as uploads to a cloud's store are.
    pub(super) fn request_at(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Tries until it works, it is clear that it will not, or the time is over. None when the registry does not have it.
    pub(super) async fn attempt<T, R: Future<Output = Result<T, Failure>>>(
        &self,
        subject: &Subject,
        time: Duration,
        work: impl FnMut() -> R,
    ) -> Result<Option<T>, RegistryError> {
        let backoff =
            ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(4).with_jitter();
        let patient = |failure: &Failure, usual: Option<Duration>| match failure {
            Failure::Refused { wait: Some(asked), .. } => usual.map(|usual| usual.max(*asked)),
            _ => usual,
        };
        let tried = work.retry(backoff).when(Failure::is_passing).adjust(patient);
        let reason = match tokio::time::timeout(time, tried).await {
            Ok(Ok(value)) => return Ok(Some(value)),
            Ok(Err(Failure::Refused { status: StatusCode::NOT_FOUND, .. })) => return Ok(None),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => format!("no answer within {} seconds", time.as_secs()),
        };
        Err(self.error(subject, reason))
    }

    /// The same of what must be there.
    pub(super) async fn carry_out<T, R: Future<Output = Result<T, Failure>>>(
        &self,
        subject: &Subject,
        time: Duration,
        work: impl FnMut() -> R,
    ) -> Result<T, RegistryError> {
        let done = self.attempt(subject, time, work).await?;
        done.ok_or_else(|| self.error(subject, "the registry answered 404: there is no such place".to_owned()))
    }

    /// Sends a request once. The answer is a good one, its body yet to come.
    pub(super) async fn send(&self, subject: &Subject, request: RequestBuilder) -> Result<Response, Failure> {
        let mut request = request.build().map_err(|error| Failure::Final(chain(&error.without_url())))?;
        // Whoever else an upload goes to is not told who calls (CVE-2020-15157).
        let shown = if self.is_here(request.url()) { self.access.of(&subject.repository).await? } else { None };
        if let Some(shown) = &shown {
            request.headers_mut().insert(AUTHORIZATION, shown.clone());
        }
        let span = Span::begin(Kind::Client, subject.operation, context::trace());
        span.rename(format_args!("OCI: {}", subject.operation));
        span.set("server.address", self.address.host.as_str());
        span.set("http.request.method", request.method().as_str());
        // What the trace is made of are digits and dashes.
        if let Some(position) = span.position().and_then(|position| HeaderValue::try_from(position.to_string()).ok()) {
            request.headers_mut().insert(TRACEPARENT, position);
        }
        let answer = match self.http.execute(request).await {
            Ok(answer) => answer,
            Err(error) => {
                span.fail("no_answer");
                return Err(Failure::of(error));
            }
        };
        let status = answer.status();
        span.set("http.response.status_code", status.as_u16());
        if status.is_success() {
            return Ok(answer);
        }
        if status == StatusCode::UNAUTHORIZED {
            self.access.refused(&subject.repository, shown.as_ref());
        }
        // What is not there is an answer like any other.
        if status != StatusCode::NOT_FOUND {
            span.fail(status.as_u16().to_string().as_str());
        }
        Err(refusal(answer).await)
    }

    /// Whether an address is at the registry itself.
    fn is_here(&self, url: &Url) -> bool {
        Url::parse(&format!("{}://{}", self.address.scheme(), self.address.host))
            .is_ok_and(|here| here.origin() == url.origin())
    }

    fn error(&self, subject: &Subject, reason: String) -> RegistryError {
        let Subject { operation, repository, name } = subject;
        let operation = format!("{operation} {}/{repository}{name}", self.address.host);
        RegistryError { registry: self.address.to_string(), operation, reason }
    }
}

/// Reads the body of an answer, which may have at most so many bytes.
pub(super) async fn body(mut answer: Response, limit: u64) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::with_capacity(answer.content_length().unwrap_or_default().min(limit) as usize);
    while let Some(part) = answer.chunk().await.map_err(Failure::of)? {
        if (bytes.len() + part.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

pub(super) fn too_large(limit: u64) -> Failure {
    Failure::Final(format!("it has more than {limit} bytes"))
}

/// Checks that bytes are those of a digest.
pub(super) fn checked(bytes: Bytes, digest: Digest) -> Result<Bytes, Failure> {
    if Digest::of(&bytes) == digest {
        Ok(bytes)
    } else {
        Err(Failure::Broken("its bytes do not have that digest".to_owned()))
    }
}

/// What an answer that is no success says (OCI distribution specification 1.1, "Error Codes").
async fn refusal(answer: Response) -> Failure {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        code: String,
        #[serde(default)]
        message: String,
    }
    let status = answer.status();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let wait = wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
    let is_json = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("json"));
    let said = if answer.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        let body = body(answer, REASON_BYTES).await.unwrap_or_default();
        let envelope: Option<Envelope> = serde_json::from_slice(&body).ok();
        let said = envelope.into_iter().flat_map(|envelope| envelope.errors);
        let said: Vec<String> = said.map(|Said { code, message }| format!("{code} {message}")).collect();
        said.join(", ")
    } else {
        String::new()
    };
    let said = said.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Failure::Refused { status, said, wait }
}

impl Failure {
    /// What became of a request that has no whole answer.
    pub(super) fn of(error: reqwest::Error) -> Self {
        // The query of an upload's address may be what signs it.
        let error = error.without_url();
        let reason = chain(&error);
        if error.is_redirect() { Self::Final(reason) } else { Self::Broken(reason) }
    }

    /// Whether another try may work a moment later.
    fn is_passing(&self) -> bool {
        match self {
            // Whoever is refused for what was shown has something new to show by then.
            Self::Refused { status, .. } => {
                status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED].contains(status)
            }
            Self::Broken(_) => true,
            Self::Final(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, said, .. } => {
                write!(f, "the registry answered {}", status.as_u16())?;
                if !said.is_empty() {
                    write!(f, ": {said}")?;
                }
                if *status == StatusCode::UNAUTHORIZED { f.write_str("; it wants other credentials") } else { Ok(()) }
            }
            Self::Broken(reason) | Self::Final(reason) => f.write_str(reason),
        }
    }
}
