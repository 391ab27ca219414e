//! Fetching from hosts that a registry repository names: icons, samples, starter projects, parents.
//!
//! Authors of devfiles choose these URLs, so every fetch keeps to [`Rules`]: https to public addresses, checked again
//! after names are resolved and at each redirect, within a size, a time and a number of redirects. Nothing but the URL and an
//! entity tag is sent: no cookies, no credentials, no referrer. Proxies are not used, since they would resolve names unchecked.

#![warn(clippy::arithmetic_side_effects)]

mod address;
mod error;
mod rules;

use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, Response, Url};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

pub use error::{FetchError, Reason};
pub use rules::{Hosts, InvalidHosts, Loopback, Rules};

use self::rules::PublicNames;
use crate::limits;
use crate::retry_after::requested_wait;

/// Longest time for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Wait before the next request to a host that limits their rate and names no time.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// Longest entity tag that is kept, in bytes.
const ETAG_BYTES: usize = 256;

/// Fetches within [`Rules`].
#[derive(Debug)]
pub struct Fetcher {
    rules: Rules,
    /// Built at the first fetch, because reading the system's certificates takes milliseconds.
    client: OnceLock<Result<Client, String>>,
}

/// The content to fetch, with its limits of size and time.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The URL as it was written.
    pub url: &'a str,
    /// Most bytes of the answer.
    pub limit: u64,
    /// Time for all of it, redirects and body included.
    pub time: Duration,
    /// Entity tag of the state that is known; the answer may then be [`FetchAnswer::NotModified`].
    pub known: Option<&'a str>,
}

/// Headers beside the URL.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    /// Headers that the protocol asks for.
    pub headers: &'a [(&'static str, &'static str)],
    /// `Authorization` for the host of the URL; a redirect to another host leaves it out.
    pub authorization: Option<&'a HeaderValue>,
    /// The body of a POST; none: a GET. It must be a question, since a redirect asks it again.
    pub body: Option<&'a Bytes>,
}

/// An answer.
#[derive(Debug)]
pub enum FetchAnswer {
    /// The known state is still the state.
    NotModified,
    /// The content, still to be read.
    Found(Box<Body>),
}

/// Content on its way.
#[derive(Debug)]
pub struct Body {
    /// Entity tag of this state, to ask for changes later.
    pub etag: Option<String>,
    response: Response,
    position: FetchPosition,
    limit: u64,
    read: u64,
    deadline: Instant,
}

/// The position that a fetch has reached, for its errors.
#[derive(Debug, Clone, Default)]
struct FetchPosition {
    host: String,
    redirected_from: Option<String>,
}

impl Fetcher {
    /// Connects nothing yet.
    pub fn new(rules: Rules) -> Self {
        Self { rules, client: OnceLock::new() }
    }

    /// Asks for something. The limits go on while the body of the answer is read.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer that can be used.
    pub async fn get(&self, request: &Request<'_>) -> Result<FetchAnswer, FetchError> {
        self.ask(request, Message::default()).await
    }

    /// Asks a question of a protocol over HTTP, as [`Fetcher::get`] does.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer that can be used.
    pub async fn ask(&self, request: &Request<'_>, message: Message<'_>) -> Result<FetchAnswer, FetchError> {
        let start = Instant::now();
        let deadline = start.checked_add(request.time).unwrap_or(start);
        let mut position = FetchPosition::default();
        let mut url = Url::parse(request.url).map_err(|_| position.error(Reason::NotAllowed("this is not a URL")))?;
        let origin = url.origin();
        for _ in 0..=limits::REDIRECTS {
            position.moved_to(&url);
            self.rules.check(&url).map_err(|reason| position.error(reason))?;
            let authorization = message.authorization.filter(|_| url.origin() == origin);
            let message = Message { authorization, ..message };
            let response =
                self.send(&url, request.known, message, deadline).await.map_err(|reason| position.error(reason))?;
            match response.status() {
                StatusCode::OK => {
                    let body = Body::new(response, position, request.limit, deadline)?;
                    return Ok(FetchAnswer::Found(Box::new(body)));
                }
                StatusCode::NOT_MODIFIED if request.known.is_some() => return Ok(FetchAnswer::NotModified),
                StatusCode::NOT_FOUND | StatusCode::GONE => return Err(position.error(Reason::NotFound)),
                status => match redirect(status, response.headers(), &url) {
                    Some(next) => url = next,
                    None => return Err(position.error(refusal(status, response.headers()))),
                },
            }
        }
        Err(position.error(Reason::Redirects(limits::REDIRECTS)))
    }

    async fn send(
        &self,
        url: &Url,
        known: Option<&str>,
        message: Message<'_>,
        deadline: Instant,
    ) -> Result<Response, Reason> {
        let client = self.client.get_or_init(|| self.client().map_err(|error| Reason::from(&error).to_string()));
        let client = client.as_ref().map_err(|reason| Reason::Refused(reason.clone()))?;
        let mut request = match message.body {
            Some(body) => client.post(url.clone()).body(body.clone()),
            None => client.get(url.clone()),
        };
        request = request.header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in message.headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = message.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(etag) = known.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let response = timeout_at(deadline, request.send()).await.map_err(|_| Reason::Slow)?;
        response.map_err(|error| Reason::from(&error))
    }

    fn client(&self) -> reqwest::Result<Client> {
        Client::builder()
            .user_agent(concat!("devfile-registry/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(PublicNames::new(&self.rules))
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build()
    }
}

/// Returns the target of a redirect; none when the answer is not one.
fn redirect(status: StatusCode, headers: &HeaderMap, from: &Url) -> Option<Url> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    from.join(headers.get(header::LOCATION)?.to_str().ok()?).ok()
}

/// Why an answer has no content, and the wait that it asks for.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Reason {
    match requested_wait(status, headers, "", DEFAULT_WAIT, jiff::Timestamp::now()) {
        Some(wait) => Reason::Wait(status.as_u16(), wait),
        None => Reason::Status(status.as_u16()),
    }
}

impl Body {
    fn new(response: Response, position: FetchPosition, limit: u64, deadline: Instant) -> Result<Self, FetchError> {
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(position.error(Reason::TooLarge(limit)));
        }
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.filter(|etag| etag.len() <= ETAG_BYTES).map(str::to_owned);
        Ok(Self { etag, response, position, limit, read: 0, deadline })
    }

    /// Returns the URL of the content, after all redirects.
    pub fn url(&self) -> &Url {
        self.response.url()
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// [`FetchError`] when it does not arrive whole, in time and within the limit.
    pub async fn bytes(mut self) -> Result<Bytes, FetchError> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Writes all of it, chunk by chunk; returns the number of bytes.
    ///
    /// # Errors
    /// As [`Body::bytes`], and [`Reason::NotStored`] when it cannot be written. Part of it may have been.
    pub async fn write_to(mut self, file: &mut (impl AsyncWrite + Unpin)) -> Result<u64, FetchError> {
        while let Some(chunk) = self.chunk().await? {
            let written = file.write_all(&chunk).await;
            written.map_err(|error| self.position.error(Reason::NotStored(error.to_string())))?;
        }
        file.flush().await.map_err(|error| self.position.error(Reason::NotStored(error.to_string())))?;
        Ok(self.read)
    }

    /// Returns the next chunk; `None` at the end.
    ///
    /// # Errors
    /// As [`Body::bytes`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let chunk = timeout_at(self.deadline, self.response.chunk()).await;
        let chunk = chunk.map_err(|_| self.position.error(Reason::Slow))?;
        let chunk = chunk.map_err(|error| self.position.error(Reason::from(&error)))?;
        self.read = self.read.saturating_add(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        if self.read > self.limit { Err(self.position.error(Reason::TooLarge(self.limit))) } else { Ok(chunk) }
    }
}

impl FetchPosition {
    fn moved_to(&mut self, url: &Url) {
        let host = url.host_str().unwrap_or_default().to_owned();
        let before = std::mem::replace(&mut self.host, host);
        if !before.is_empty() && before != self.host {
            self.redirected_from.get_or_insert(before);
        }
    }

    fn error(&self, reason: Reason) -> FetchError {
        FetchError { host: self.host.clone(), redirected_from: self.redirected_from.clone(), reason }
    }
}

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
