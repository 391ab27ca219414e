//! Faults that the stand-in can be told to have.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::reply;

/// Something that goes wrong with an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// Another status, with a message as GitHub gives it.
    Status {
        /// The code.
        status: u16,
    },
    /// The answer comes later.
    Slow {
        /// By how much, in milliseconds.
        milliseconds: u64,
    },
    /// The answer comes once a test closes the semaphore, which has no permits.
    #[serde(skip)]
    Held(Arc<Semaphore>),
    /// The answer never comes.
    Hang,
    /// The connection ends in the middle of the body.
    CutOff,
    /// The rate limit is used up.
    RateLimit {
        /// 403 or 429.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// `X-RateLimit-Reset`, in seconds since 1970, with no calls remaining.
        reset: Option<i64>,
    },
    /// `Content-Length` is off by so many bytes.
    WrongLength {
        /// The difference.
        by: i64,
    },
    /// The body is neither JSON nor gzip.
    Malformed,
    /// The body is another one.
    #[serde(skip)]
    Body(Bytes),
    /// A page for people, as gateways and hotels answer with in place of the server.
    Page,
    /// Another answer, in place of the server's.
    #[serde(skip)]
    Answer {
        /// Its status.
        status: StatusCode,
        /// Its body.
        body: Bytes,
    },
}

/// The faults still to come.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Planned>>);

/// A fault for the next answers to a path.
#[derive(Debug, Deserialize)]
pub(super) struct Planned {
    /// The path; `*` stands for any text.
    path: String,
    #[serde(flatten)]
    fault: Fault,
    /// The number of answers that it affects.
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

impl Faults {
    /// The next `times` answers to `path` have this fault. In a path `*` stands for any text.
    pub fn add(&self, path: &str, fault: Fault, times: usize) {
        self.plan(Planned { path: path.to_owned(), fault, times });
    }

    pub(super) fn plan(&self, planned: Planned) {
        self.lock().push(planned);
    }

    /// No more faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The fault of the next answer to a path.
    pub(crate) fn take(&self, path: &str) -> Option<Fault> {
        let mut planned = self.lock();
        let index = planned.iter().position(|planned| planned.times > 0 && matches(&planned.path, path))?;
        planned[index].times -= 1;
        Some(planned[index].fault.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Planned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    /// Applies the fault to an answer.
    pub(crate) async fn apply(self, answer: Response) -> Response {
        let (mut head, body) = answer.into_parts();
        let whole = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        match self {
            Self::Status { status } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                reply::message(status, status.canonical_reason().unwrap_or("Error"))
            }
            Self::Slow { milliseconds } => {
                // The fault itself: tests wait for the answer.
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                Response::from_parts(head, Body::from(whole))
            }
            Self::Held(semaphore) => {
                // An error says that it is closed.
                let _closed = semaphore.acquire().await;
                Response::from_parts(head, Body::from(whole))
            }
            Self::Hang => std::future::pending().await,
            Self::CutOff => {
                let part = whole.slice(..whole.len() / 2);
                // A length that is known stays announced, as a proxy would; without one the answer is chunked.
                let end = async {
                    // Lets the first part go out.
                    tokio::task::yield_now().await;
                    Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut off"))
                };
                let parts = stream::once(async { Ok(part) }).chain(stream::once(end));
                Response::from_parts(head, Body::from_stream(parts))
            }
            Self::RateLimit { status, retry_after, reset } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::TOO_MANY_REQUESTS);
                let mut answer = reply::message(status, "API rate limit exceeded");
                if let Some(seconds) = retry_after {
                    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                if let Some(seconds) = reset {
                    answer.headers_mut().insert("x-ratelimit-remaining", HeaderValue::from(0));
                    answer.headers_mut().insert("x-ratelimit-reset", HeaderValue::from(seconds));
                }
                answer
            }
            Self::WrongLength { by } => {
                let length = (whole.len() as i64 + by).max(0);
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                Response::from_parts(head, Body::from_stream(stream::iter([Ok::<_, io::Error>(whole)])))
            }
            Self::Malformed => {
                head.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(head, Body::from("{\"neither\": \"JSON\", nor gzip"))
            }
            Self::Page => axum::response::Html("<html><body>Welcome</body></html>").into_response(),
            Self::Body(other) => {
                head.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(head, Body::from(other))
            }
            Self::Answer { status, body } => {
                let mut answer = Response::new(Body::from(body));
                *answer.status_mut() = status;
                answer
            }
        }
    }
}

/// Returns whether a text matches a pattern with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(index, _)| index).chain([text.len()]);
            ends.into_iter().any(|index| matches(rest, &text[index..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_paths() {
        assert!(matches("*", "/a/b") && matches("/a/*", "/a/b/c") && matches("*/zip/*", "/r/zip/x"));
        assert!(matches("/a", "/a") && !matches("/a", "/a/b") && !matches("/a/*", "/b/a/") && matches("*b", "/bb"));
    }

    #[test]
    fn faults_are_used_up_in_order() {
        let faults = Faults::default();
        faults.add("/a*", Fault::Hang, 1);
        faults.add("/ab", Fault::CutOff, 2);
        assert!(matches!(faults.take("/ab"), Some(Fault::Hang)));
        assert!(faults.take("/b").is_none());
        assert!(matches!(faults.take("/ab"), Some(Fault::CutOff)));
        assert!(matches!(faults.take("/ab"), Some(Fault::CutOff)));
        assert!(faults.take("/ab").is_none());
    }
}
