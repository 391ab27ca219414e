//! Answers of an OCI registry: their bodies within limits, the reasons of refusals, and the failures that a call can have.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use reqwest::{Response, Url};
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::chain;
use crate::retry::Failure;
use crate::retry_after::requested_wait;

/// Time without a byte from the registry.
const SILENCE: Duration = Duration::from_secs(15);

/// Bytes of an upload that have to get through in a second, sixteen of them at a time.
const SLOWEST: u64 = 512 << 10;

/// Wait for a rate limit that names no time; registries without `Retry-After` mean seconds.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(2);

/// Most bytes of a refusal that are read.
const REASON_BYTES: u64 = 16 << 10;

/// Most characters of the reason that a registry gives for a refusal.
const REASON_CHARS: usize = 200;

/// The failure of one attempt at a call.
#[derive(Debug)]
pub(super) enum CallError {
    /// The registry refused, or another host that it named.
    Refused {
        /// The other host.
        by: Option<String>,
        /// Its status.
        status: StatusCode,
        /// Its reason, in its own words.
        said: String,
        /// The wait that it asks for before the next attempt.
        wait: Option<Duration>,
    },
    /// The answer is missing, cut off or damaged.
    Broken(String),
    /// A manifest names blobs that the registry cannot find.
    LacksBlobs(String),
    /// The fault is on this side, or stays.
    Final(String),
}

impl CallError {
    /// Returns the failure of a request that got no whole answer.
    pub(super) fn of(error: reqwest::Error) -> Self {
        // The query of an upload's address may hold its signature.
        let error = error.without_url();
        Self::Broken(chain(&error))
    }
}

impl CallError {
    /// Whether another authorization may be accepted. Amazon ECR answers 403 when a token is at its end, and the answer to HEAD has no
    /// words that say so.
    pub(super) fn is_refused_authorization(&self) -> bool {
        match self {
            Self::Refused { status: StatusCode::UNAUTHORIZED, .. } => true,
            Self::Refused { status: StatusCode::FORBIDDEN, said, .. } => {
                said.is_empty() || said.to_ascii_lowercase().contains("authorization token has expired")
            }
            _ => false,
        }
    }

    /// Whether the registry does not have the repository (OCI distribution specification 1.1, code-7).
    pub(super) fn is_missing_repository(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, said, .. } if said.contains("NAME_UNKNOWN"))
    }
}

impl From<CallError> for Failure<CallError> {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { wait: Some(wait), .. } => Self::Wait(error, wait),
            CallError::Refused { status, .. } if status.is_server_error() => Self::Passing(error),
            CallError::Broken(_) | CallError::LacksBlobs(_) => Self::Passing(error),
            CallError::Refused { .. } | CallError::Final(_) => Self::Final(error),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { by, status, said, .. } => {
                write!(f, "{} answered {}", named(by.as_deref()), status.as_u16())?;
                if !said.is_empty() {
                    write!(f, ": {said}")?;
                }
                if *status == StatusCode::UNAUTHORIZED { f.write_str("; it wants other credentials") } else { Ok(()) }
            }
            Self::Broken(reason) | Self::LacksBlobs(reason) | Self::Final(reason) => f.write_str(reason),
        }
    }
}

/// Limits the wait for a registry, which is longer while it takes so many bytes.
pub(super) async fn with_idle_timeout<T>(
    sent: u64,
    answer: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let time = SILENCE.saturating_add(Duration::from_secs(sent / SLOWEST));
    let silent = |_| Err(CallError::Broken(format!("nothing came for {} seconds", time.as_secs())));
    tokio::time::timeout(time, answer).await.unwrap_or_else(silent)
}

/// Returns the address that an answer sends its caller to.
pub(super) fn location(answer: &Response) -> Result<Url, CallError> {
    let header = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = header.and_then(|header| answer.url().join(header).ok());
    let missing =
        || CallError::Broken(format!("the registry answered {} without a Location", answer.status().as_u16()));
    location.ok_or_else(missing)
}

/// Reads the next part of the body of an answer.
pub(super) async fn part(answer: &mut Response) -> Result<Option<Bytes>, CallError> {
    with_idle_timeout(0, async { answer.chunk().await.map_err(CallError::of) }).await
}

/// Reads the body of an answer, which may have at most so many bytes.
pub(super) async fn body(mut answer: Response, limit: u64) -> Result<Bytes, CallError> {
    let mut bytes = BytesMut::with_capacity(answer.content_length().unwrap_or_default().min(limit) as usize);
    while let Some(part) = part(&mut answer).await? {
        if bytes.len().saturating_add(part.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

pub(super) fn too_large(limit: u64) -> CallError {
    CallError::Final(format!("it has more than {limit} bytes"))
}

/// Checks that bytes are those of a digest.
pub(super) fn checked(bytes: Bytes, digest: Digest) -> Result<Bytes, CallError> {
    if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(damaged()) }
}

pub(super) fn damaged() -> CallError {
    CallError::Broken("its bytes do not have that digest".to_owned())
}

/// Reads the reason of an answer that is no success, from the registry or `by` another host (OCI distribution specification 1.1, "Error Codes").
pub(super) async fn refusal(answer: Response, by: Option<String>) -> CallError {
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
    let head = answer.headers().clone();
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
    let wait = requested_wait(status, &head, &said, RATE_LIMIT_WAIT, jiff::Timestamp::now());
    CallError::Refused { by, status, said: shortened(&said), wait }
}

/// Returns the beginning of a server's text, on one line.
pub(super) fn shortened(said: &str) -> String {
    said.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns the host of an answer, in words.
pub(super) fn named(other: Option<&str>) -> &str {
    other.unwrap_or("the registry")
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_timeout_grows_with_the_bytes_sent() {
        for (sent, seconds) in [(0, 15), (1000, 15), (8 << 20, 31), (100 << 20, 215)] {
            let begin = Instant::now();
            let hangs = std::future::pending::<Result<(), _>>();
            let said = with_idle_timeout(sent, hangs).await.unwrap_err().to_string();
            assert_eq!((said, begin.elapsed().as_secs()), (format!("nothing came for {seconds} seconds"), seconds));
        }
    }
}
