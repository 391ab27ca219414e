//! Answers with content that a digest names: conditional requests and ranges.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use bytes::Bytes;
use devfile_registry::digest::Digest;

use crate::http::body::{Caching, header, is_known};

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Content by its digest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    /// Digest of the bytes.
    pub(crate) digest: Digest,
    /// Length in bytes.
    pub(crate) size: u64,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// The time for which caches may keep it under the requested URL.
    pub(crate) caching: Caching,
}

/// The source from which a client gets a blob.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// In the answer.
    Bytes(Bytes),
    /// In the answer: the bytes that are asked for, as they come.
    Stream(Body),
    /// At this URL of the bucket.
    Redirect(String),
}

/// The bytes that a `Range` header asks for (RFC 9110, section 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// All of it: several ranges at once may be answered so.
    Whole,
    /// The bytes from the first to the last of these.
    Range(usize, usize),
    /// A range that the content does not have.
    Unsatisfiable,
}

/// The requested range is beyond content of this length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range is beyond the content; it has {0} bytes")]
pub(crate) struct OutOfRange(pub(crate) usize);

impl OutOfRange {
    /// The header that says so.
    pub(crate) fn header(self) -> (HeaderName, HeaderValue) {
        (CONTENT_RANGE, header(&format!("bytes */{}", self.0)))
    }
}

impl Content {
    /// The answer without reading any bytes: to HEAD, and to a client that has them already.
    pub(crate) fn without_bytes(&self, request: &Parts) -> Option<Response<Body>> {
        if is_known(&request.headers, &[&self.etag()]) {
            return Some(self.not_modified());
        }
        (request.method == Method::HEAD).then(|| {
            let mut response = self.response(StatusCode::OK, Body::empty());
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.size));
            response
        })
    }

    /// The answer to a client that has the content.
    pub(crate) fn not_modified(&self) -> Response<Body> {
        let mut response = self.response(StatusCode::NOT_MODIFIED, Body::empty());
        response.headers_mut().remove(CONTENT_TYPE);
        response
    }

    /// The answer to GET.
    ///
    /// # Errors
    /// A range that the content does not have.
    pub(crate) fn delivered(&self, delivery: Delivery, request: &HeaderMap) -> Result<Response<Body>, OutOfRange> {
        let bytes = match delivery {
            Delivery::Bytes(bytes) => bytes,
            Delivery::Stream(body) => {
                let range = self.requested_range(request)?;
                let length = range.map_or(self.size, |(first, last)| (last - first + 1) as u64);
                let mut response = self.respond(range, body);
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
                return Ok(response);
            }
            Delivery::Redirect(url) => {
                let mut response = self.response(StatusCode::TEMPORARY_REDIRECT, Body::empty());
                response.headers_mut().insert(LOCATION, header(&url));
                // The URL loses its validity; the content would not.
                response.headers_mut().insert(CACHE_CONTROL, Caching::Minute.header());
                return Ok(response);
            }
        };
        let range = self.requested_range(request)?;
        let bytes = range.map_or(bytes.clone(), |(first, last)| bytes.slice(first..=last));
        Ok(self.respond(range, Body::from(bytes)))
    }

    /// Returns the first and the last requested byte; `None` when all are requested, or the range is of another state (`If-Range`).
    ///
    /// # Errors
    /// A range that the content does not have.
    pub(crate) fn requested_range(&self, request: &HeaderMap) -> Result<Option<(usize, usize)>, OutOfRange> {
        let length = self.size as usize;
        let same = request.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == self.etag().as_bytes());
        let range = request.get(RANGE).filter(|_| same);
        match range.map(|range| range.to_str().map_or(Span::Unsatisfiable, |range| span(range, length))) {
            None | Some(Span::Whole) => Ok(None),
            Some(Span::Range(first, last)) => Ok(Some((first, last))),
            Some(Span::Unsatisfiable) => Err(OutOfRange(length)),
        }
    }

    /// The answer with the bytes of the [requested range](Self::requested_range).
    fn respond(&self, range: Option<(usize, usize)>, body: Body) -> Response<Body> {
        let Some((first, last)) = range else { return self.response(StatusCode::OK, body) };
        let mut response = self.response(StatusCode::PARTIAL_CONTENT, body);
        let content_range = format!("bytes {first}-{last}/{}", self.size);
        response.headers_mut().insert(CONTENT_RANGE, header(&content_range));
        response
    }

    /// The answer with all of the bytes at hand; ranges are not offered.
    pub(crate) fn whole(&self, bytes: Bytes, request: &Parts) -> Response<Body> {
        self.without_bytes(request).unwrap_or_else(|| self.response(StatusCode::OK, Body::from(bytes)))
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.digest)
    }

    fn response(&self, status: StatusCode, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(DOCKER_CONTENT_DIGEST, header(&self.digest.to_string()));
        headers.insert(ETAG, header(&self.etag()));
        headers.insert(CACHE_CONTROL, self.caching.header());
        response
    }
}

/// Says that ranges may be asked for.
pub(crate) fn offer_ranges(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`, the unit in any case (RFC 9110, section 14.1). Another unit is refused, as the
/// reference does.
fn span(range: &str, length: usize) -> Span {
    let ranges = range.split_once('=').filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"));
    let Some((_, ranges)) = ranges else { return Span::Unsatisfiable };
    if ranges.contains(',') {
        return Span::Whole;
    }
    bounds(ranges, length).map_or(Span::Unsatisfiable, |(first, last)| Span::Range(first, last))
}

fn bounds(range: &str, length: usize) -> Option<(usize, usize)> {
    let last = length.checked_sub(1)?;
    match range.trim().split_once('-')? {
        ("", count) => number(count).filter(|count| *count > 0).map(|count| (length.saturating_sub(count), last)),
        (first, "") => number(first).filter(|first| *first <= last).map(|first| (first, last)),
        (first, end) => {
            let (first, end) = (number(first)?, number(end)?);
            (first <= end && first <= last).then_some((first, end.min(last)))
        }
    }
}

/// A number of any length; one that is too large for this machine is larger than all content.
fn number(digits: &str) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn range_header_is_read_or_refused() {
        let cases = [
            ("bytes=0-3", Span::Range(0, 3)),
            ("Bytes=0-3", Span::Range(0, 3)),
            ("bytes=5-", Span::Range(5, 9)),
            ("bytes=-4", Span::Range(6, 9)),
            ("bytes=-40", Span::Range(0, 9)),
            ("bytes=8-99", Span::Range(8, 9)),
            ("bytes=0-99999999999999999999999", Span::Range(0, 9)),
            ("bytes=10-", Span::Unsatisfiable),
            ("bytes=10-12", Span::Unsatisfiable),
            ("bytes=-0", Span::Unsatisfiable),
            ("bytes=3-1", Span::Unsatisfiable),
            ("bytes=+1-2", Span::Unsatisfiable),
            ("bytes=", Span::Unsatisfiable),
            ("items=0-1", Span::Unsatisfiable),
            ("bytes=0-1,3-4", Span::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(span(range, 10), expected, "{range}");
        }
        assert_eq!(span("bytes=0-", 0), Span::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn satisfiable_range_is_within_the_content(range in "bytes=[0-9]{0,4}-[0-9]{0,25}", length in 0_usize..2_000) {
            if let Span::Range(first, last) = span(&range, length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }

    #[test]
    fn a_range_of_another_state_is_the_whole() {
        let digest = Digest::of(b"0123456789");
        let content = Content { digest, size: 10, media_type: "text/plain", caching: Caching::Immutable };
        let range = (RANGE, HeaderValue::from_static("bytes=2-3"));
        let ask = |if_range: &str| {
            let headers = [range.clone(), (IF_RANGE, header(if_range))].into_iter().collect();
            content.delivered(Delivery::Bytes(Bytes::from_static(b"0123456789")), &headers).unwrap().status()
        };
        assert_eq!(ask(&format!("\"{digest}\"")), StatusCode::PARTIAL_CONTENT);
        assert_eq!(ask("\"other\""), StatusCode::OK);
    }
}
