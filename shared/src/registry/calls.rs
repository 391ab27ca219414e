//! One call of the OCI distribution API: its address, authorization, trace, retries, and a named error.

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Method, Request, RequestBuilder, Response, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::access::Access;
use super::{Credentials, Name, RegistryAddress, RegistryError};
use crate::context;
use crate::digest::Digest;
use crate::error::chain;
use crate::retry_after::retry_after;
use crate::telemetry::{Kind, Span};
use crate::trace::TRACEPARENT;

/// Time for one call, its tries included.
pub(super) const CALL_TIME: Duration = Duration::from_secs(60);

/// Time for a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// Time without a byte from the registry.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// Bytes of an upload that have to get through in a second, sixteen of them at a time.
const SLOWEST: u64 = 512 << 10;

/// Redirects that are followed for one answer.
const REDIRECTS: usize = 5;

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
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The registry refused, or another host that it named.
    Refused {
        /// That other host.
        by: Option<String>,
        /// Its status.
        status: StatusCode,
        /// What it says of it.
        said: String,
        /// When it wants to be asked again.
        wait: Option<Duration>,
    },
    /// There is no answer, or not all of it, or it is damaged.
    Broken(String),
    /// A manifest names blobs that the registry cannot find.
    LacksBlobs(String),
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
            .redirect(Policy::none())
            .user_agent(USER_AGENT)
            .build()
            .expect("the TLS library starts");
        let access = Access::new(http.clone(), &address, credentials);
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
        self.http.request(method, format!("{}/v2/{}/{path}", self.address.origin(), subject.repository))
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
        match patiently(time, work).await {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(failure) => Err(self.error(subject, &failure)),
        }
    }

    /// The same of what must be there.
    pub(super) async fn carry_out<T, R: Future<Output = Result<T, Failure>>>(
        &self,
        subject: &Subject,
        time: Duration,
        work: impl FnMut() -> R,
    ) -> Result<T, RegistryError> {
        patiently(time, work).await.map_err(|failure| self.error(subject, &failure))
    }

    /// Sends a request, and what only reads to where the registry redirects it. The answer has the status that the specification
    /// gives to success, its body yet to come.
    pub(super) async fn send(
        &self,
        subject: &Subject,
        request: RequestBuilder,
        success: StatusCode,
    ) -> Result<Response, Failure> {
        let mut request = request.build().map_err(|error| Failure::Final(chain(&error.without_url())))?;
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
                return Err(Failure::Final(format!("{by} answered {status} where {success} is the answer of success")));
            }
            let Some(mut redirected) = again else { return Err(refusal(answer, other).await) };
            *redirected.url_mut() = place(&answer)?;
            request = redirected;
        }
        Err(Failure::Final(format!("the registry redirects more than {REDIRECTS} times")))
    }

    /// Sends a request once. The answer is a good one or a redirect.
    async fn send_once(&self, subject: &Subject, mut request: Request) -> Result<Response, Failure> {
        // Whoever else the registry names is not told who calls (CVE-2020-15157).
        let shown = if self.address.is_at(request.url()) { self.access.of(&subject.repository).await? } else { None };
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
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let answer = async { self.http.execute(request).await.map_err(Failure::of) };
        let answer = unless_silent(length.unwrap_or_default(), answer).await;
        let answer = answer.inspect_err(|_| span.fail("no_answer"))?;
        let status = answer.status();
        span.set("http.response.status_code", status.as_u16());
        if status.is_success() || status.is_redirection() {
            return Ok(answer);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.access.refused(&subject.repository, shown.as_ref());
        }
        // What is not there is an answer like any other.
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

    fn error(&self, subject: &Subject, failure: &Failure) -> RegistryError {
        let Subject { operation, repository, name } = subject;
        let operation = format!("{operation} {}/{repository}{name}", self.address.host);
        let error = RegistryError::new(self.address.to_string(), operation, failure.to_string());
        if matches!(failure, Failure::LacksBlobs(_)) { error.lacking_blobs() } else { error }
    }
}

/// Tries until it works, it is clear that it will not, or the time is over.
async fn patiently<T, R: Future<Output = Result<T, Failure>>>(
    time: Duration,
    work: impl FnMut() -> R,
) -> Result<T, Failure> {
    let backoff =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(4).with_jitter();
    let start = Instant::now();
    // A `Retry-After` beyond the deadline fails immediately.
    let wait = |failure: &Failure, usual: Option<Duration>| {
        Some(failure.wait(usual?)).filter(|wait| start.elapsed().saturating_add(*wait) < time)
    };
    let mut before = String::new();
    let tried = work.retry(backoff).when(Failure::is_passing).adjust(wait);
    let tried =
        tokio::time::timeout(time, tried.notify(|failure, _| before = format!("; before that: {failure}"))).await;
    tried.unwrap_or_else(|_| Err(Failure::Broken(format!("no answer within {} seconds{before}", time.as_secs()))))
}

/// Waits for a registry that is to say something, when it has the bytes that it is sent.
pub(super) async fn unless_silent<T>(
    sent: u64,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let time = SILENCE.saturating_add(Duration::from_secs(sent / SLOWEST));
    let silent = |_| Err(Failure::Broken(format!("nothing came for {} seconds", time.as_secs())));
    tokio::time::timeout(time, answer).await.unwrap_or_else(silent)
}

/// Where an answer sends its caller.
pub(super) fn place(answer: &Response) -> Result<Url, Failure> {
    let told = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
    let place = told.and_then(|place| answer.url().join(place).ok());
    let missing = || Failure::Broken(format!("the registry answered {} without a Location", answer.status().as_u16()));
    place.ok_or_else(missing)
}

/// The next part of the body of an answer.
pub(super) async fn part(answer: &mut Response) -> Result<Option<Bytes>, Failure> {
    unless_silent(0, async { answer.chunk().await.map_err(Failure::of) }).await
}

/// Reads the body of an answer, which may have at most so many bytes.
pub(super) async fn body(mut answer: Response, limit: u64) -> Result<Bytes, Failure> {
    let mut bytes = BytesMut::with_capacity(answer.content_length().unwrap_or_default().min(limit) as usize);
    while let Some(part) = part(&mut answer).await? {
        if bytes.len().saturating_add(part.len()) as u64 > limit {
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
    if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(damaged()) }
}

pub(super) fn damaged() -> Failure {
    Failure::Broken("its bytes do not have that digest".to_owned())
}

/// The reason of an answer that is no success, from the registry or `by` another host (OCI distribution specification 1.1, "Error Codes").
pub(super) async fn refusal(answer: Response, by: Option<String>) -> Failure {
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
    let wait = retry_after(answer.headers(), jiff::Timestamp::now());
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
    Failure::Refused { by, status, said: shortened(&said), wait }
}

/// The beginning of what a server says, on one line.
pub(super) fn shortened(said: &str) -> String {
    said.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The host of an answer, in words.
fn named(other: Option<&str>) -> &str {
    other.unwrap_or("the registry")
}

impl Failure {
    /// What became of a request that has no whole answer.
    pub(super) fn of(error: reqwest::Error) -> Self {
        // The query of an upload's address may be what signs it.
        let error = error.without_url();
        Self::Broken(chain(&error))
    }

    /// How long to wait before another try, which usually is some time.
    fn wait(&self, usual: Duration) -> Duration {
        match self {
            // With something else to show, at once.
            Self::Refused { status: StatusCode::UNAUTHORIZED, .. } => Duration::ZERO,
            Self::Refused { wait: Some(asked), .. } => asked.saturating_add(usual),
            // Registries that do not say it mean seconds.
            Self::Refused { status: StatusCode::TOO_MANY_REQUESTS, .. } => usual.saturating_mul(5),
            _ => usual,
        }
    }

    /// Whether another try may work a moment later.
    fn is_passing(&self) -> bool {
        match self {
            // Whoever is refused for what was shown has something new to show by then.
            Self::Refused { status, .. } => {
                status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::UNAUTHORIZED].contains(status)
            }
            Self::Broken(_) | Self::LacksBlobs(_) => true,
            Self::Final(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { by, status, said, wait } => {
                write!(f, "{} answered {}", named(by.as_deref()), status.as_u16())?;
                if !said.is_empty() {
                    write!(f, ": {said}")?;
                }
                match wait {
                    _ if *status == StatusCode::UNAUTHORIZED => f.write_str("; it wants other credentials"),
                    Some(wait) => write!(f, "; it wants to be asked again in {} s", wait.as_secs()),
                    None => Ok(()),
                }
            }
            Self::Broken(reason) | Self::LacksBlobs(reason) | Self::Final(reason) => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, wait: Option<u64>) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        Failure::Refused { by: None, status, said: String::new(), wait: wait.map(Duration::from_secs) }
    }

    /// What is answered to the first tries, the seconds until the end, and what is said of it.
    #[tokio::test(start_paused = true)]
    async fn patience_has_its_measure() {
        for (failures, at_least, at_most, said) in [
            (vec![], 0, 0, Ok(())),
            (vec![refused(500, None), refused(503, None)], 0, 2, Ok(())),
            (vec![refused(401, None), refused(401, None)], 0, 0, Ok(())),
            (vec![refused(429, Some(20)), refused(429, Some(7))], 27, 29, Ok(())),
            (vec![refused(429, None); 3], 7, 15, Ok(())),
            (vec![refused(429, Some(90))], 0, 0, Err("the registry answered 429; it wants to be asked again in 90 s")),
            (vec![refused(403, None)], 0, 0, Err("the registry answered 403")),
            (
                vec![refused(429, Some(u64::MAX))],
                0,
                0,
                Err("the registry answered 429; it wants to be asked again in 18446744073709551615 s"),
            ),
            (vec![refused(500, None); 9], 2, 7, Err("the registry answered 500")),
        ] {
            let begin = Instant::now();
            let mut failures = failures.into_iter();
            let tried = patiently(CALL_TIME, || std::future::ready(failures.next().map_or(Ok(()), Err))).await;
            assert_eq!(tried.map_err(|failure| failure.to_string()), said.map_err(str::to_owned));
            let took = begin.elapsed().as_secs();
            assert!((at_least..=at_most).contains(&took), "{took} s: {said:?}");
        }
        let mut tries = 0;
        let hangs = || {
            tries += 1;
            let first = tries == 1;
            async move { if first { Err(refused(502, None)) } else { std::future::pending::<Result<(), _>>().await } }
        };
        let said = patiently(CALL_TIME, hangs).await.unwrap_err().to_string();
        assert_eq!(said, "no answer within 60 seconds; before that: the registry answered 502");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_large_is_waited_for_longer() {
        for (sent, seconds) in [(0, 15), (1000, 15), (8 << 20, 31), (100 << 20, 215)] {
            let begin = Instant::now();
            let hangs = std::future::pending::<Result<(), _>>();
            let said = unless_silent(sent, hangs).await.unwrap_err().to_string();
            assert_eq!((said, begin.elapsed().as_secs()), (format!("nothing came for {seconds} seconds"), seconds));
        }
    }
}
