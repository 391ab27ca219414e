//! Bodies of answers: bytes with their entity tag, and their compressed forms, which are made once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
    LOCATION, RETRY_AFTER, VARY,
};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use devfile_registry::digest::Digest;
use devfile_registry::limits::INLINE_BYTES;

use crate::aside;

/// Media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// Seconds after which a client may retry a request for unavailable content.
pub(super) const RETRY_SECONDS: &str = "5";

/// Bytes below which a body goes out as it is.
const WORTH_COMPRESSING: usize = 512;

/// The time for which caches may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caching {
    /// Content that a refresh can change.
    Minute,
    /// A page that a refresh can change: a browser sees the change on reload, a CDN revalidates once a minute.
    Page,
    /// The same for a page that repeats the URL of the registry from the request: it is for its sender alone.
    Private,
    /// Content that a digest names.
    Immutable,
    /// Missing content, which may be there in a moment.
    Missing,
    /// Statements about this moment.
    Never,
}

impl Caching {
    /// The value of `Cache-Control`.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Minute => "public, max-age=60",
            Self::Page => "public, max-age=0, s-maxage=60, must-revalidate",
            Self::Private => "private, max-age=0, must-revalidate",
            Self::Immutable => "public, max-age=31536000, immutable",
            Self::Missing => "public, max-age=5",
            Self::Never => "no-store",
        })
    }
}

/// Bytes of an answer, with their compressed forms.
#[derive(Debug)]
pub(crate) struct Body {
    media_type: &'static str,
    identity: Bytes,
    tag: String,
    best: Coding,
    gzip: Arc<Coded>,
    brotli: Arc<Coded>,
}

/// A body in a content coding, once it is made.
#[derive(Debug, Default)]
struct Coded {
    bytes: OnceLock<Bytes>,
    /// Somebody has begun to make it.
    begun: AtomicBool,
}

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Body {
    /// A body that is answered again and again. Its entity tag follows from its bytes.
    pub(crate) fn new(media_type: &'static str, identity: Bytes) -> Self {
        let tag = Digest::of(&identity).hex()[..32].to_owned();
        Self { media_type, identity, tag, best: Coding::Brotli, gzip: Arc::default(), brotli: Arc::default() }
    }

    /// A body for one answer: the coding that takes longest, and the most memory, is left out.
    pub(crate) fn once(media_type: &'static str, identity: Bytes) -> Self {
        Self { best: Coding::Gzip, ..Self::new(media_type, identity) }
    }

    /// The bytes without a content coding.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.identity
    }

    /// Begins the compression that requests would otherwise begin.
    pub(crate) fn prepare(&self) {
        self.begin(Coding::Gzip);
        self.begin(Coding::Brotli);
    }

    /// The answer to a request with these headers, or 304: the body in the best coding that it takes and that is ready. No request
    /// waits for the compression of a large body; the first one begins it.
    pub(crate) fn answer(&self, request: &HeaderMap, caching: Caching) -> Response<axum::body::Body> {
        let coding = self.coding(request);
        if let Some(known) = self.known(request, coding) {
            return self.not_modified(known, caching);
        }
        let less = if coding == Coding::Brotli { accepted(request, Coding::Gzip) } else { Coding::Identity };
        let ready = [coding, less].into_iter().find(|coding| self.is_ready(*coding));
        if ready != Some(coding) {
            self.begin(coding);
        }
        self.coded_answer(ready.unwrap_or(Coding::Identity), caching)
    }

    /// The same from within [`workers`](crate::workers).
    pub(crate) fn answer_now(&self, request: &HeaderMap, caching: Caching) -> Response<axum::body::Body> {
        let coding = self.coding(request);
        match self.known(request, coding) {
            Some(known) => self.not_modified(known, caching),
            None => self.coded_answer(coding, caching),
        }
    }

    /// The answer with an error that the body describes. No condition of a request is about it (RFC 9110, section 13.2.1).
    pub(crate) fn answer_problem(
        &self,
        status: StatusCode,
        request: &HeaderMap,
        caching: Caching,
    ) -> Response<axum::body::Body> {
        let mut response = self.coded_answer(self.coding(request), caching);
        *response.status_mut() = status;
        response.headers_mut().remove(ETAG);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }

    /// The coding of the body that the client has: the best that it takes, or none.
    fn known(&self, request: &HeaderMap, coding: Coding) -> Option<Coding> {
        if !request.contains_key(IF_NONE_MATCH) {
            return None;
        }
        [coding, Coding::Identity].into_iter().find(|coding| is_known(request, &[&self.etag(*coding)]))
    }

    /// 304, with the entity tag that the client sent.
    fn not_modified(&self, known: Coding, caching: Caching) -> Response<axum::body::Body> {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        self.add_validators(response.headers_mut(), known, caching);
        response
    }

    fn add_validators(&self, headers: &mut HeaderMap, coding: Coding, caching: Caching) {
        headers.insert(ETAG, header(&self.etag(coding)));
        headers.insert(CACHE_CONTROL, caching.header());
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }

    /// The best coding that a request takes.
    fn coding(&self, request: &HeaderMap) -> Coding {
        if self.identity.len() < WORTH_COMPRESSING { Coding::Identity } else { accepted(request, self.best) }
    }

    fn etag(&self, coding: Coding) -> String {
        let suffix = match coding {
            Coding::Identity => "",
            Coding::Gzip => "-gzip",
            Coding::Brotli => "-br",
        };
        format!("\"{}{suffix}\"", self.tag)
    }

    fn coded_answer(&self, coding: Coding, caching: Caching) -> Response<axum::body::Body> {
        let mut response = Response::new(axum::body::Body::from(self.coded(coding).clone()));
        let headers = response.headers_mut();
        self.add_validators(headers, coding, caching);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        match coding {
            Coding::Identity => {}
            Coding::Gzip => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"))),
            Coding::Brotli => drop(headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"))),
        }
        response
    }

    /// Whether a coding takes no time worth mentioning.
    fn is_ready(&self, coding: Coding) -> bool {
        self.identity.len() <= INLINE_BYTES
            || match coding {
                Coding::Identity => true,
                Coding::Gzip => self.gzip.bytes.get().is_some(),
                Coding::Brotli => self.brotli.bytes.get().is_some(),
            }
    }

    /// Compresses the body on a thread of its own, once, unless the body is gone when its turn comes.
    fn begin(&self, coding: Coding) {
        let (coded, compress): (_, fn(&[u8]) -> Bytes) = match coding {
            Coding::Identity => return,
            Coding::Gzip => (&self.gzip, gzip),
            Coding::Brotli => (&self.brotli, brotli),
        };
        if self.is_ready(coding) || coded.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let (coded, identity) = (Arc::downgrade(coded), self.identity.clone());
        aside::run(move || {
            if let Some(coded) = coded.upgrade() {
                coded.bytes.get_or_init(|| compress(&identity));
            }
        });
    }

    fn coded(&self, coding: Coding) -> &Bytes {
        match coding {
            Coding::Identity => &self.identity,
            Coding::Gzip => self.gzip.bytes.get_or_init(|| gzip(&self.identity)),
            Coding::Brotli => self.brotli.bytes.get_or_init(|| brotli(&self.identity)),
        }
    }
}

/// Encodes a body in the quickest coding that a request takes; returns its name and the bytes. `None` when it takes none.
pub(crate) async fn compressed(request: &HeaderMap, identity: Bytes) -> Option<(&'static str, Bytes)> {
    let (name, compress): (_, fn(&[u8]) -> Bytes) = match accepted(request, Coding::Gzip) {
        Coding::Identity if accepted(request, Coding::Brotli) == Coding::Brotli => ("br", brotli),
        Coding::Identity => return None,
        _ => ("gzip", gzip),
    };
    let bytes = tokio::task::spawn_blocking(move || compress(&identity)).await.ok()?;
    Some((name, bytes))
}

/// The answer that sends a client to another path of this registry.
pub(crate) fn redirect(path: &str) -> Response<axum::body::Body> {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, header(path));
    response
}

/// Whether `If-None-Match` names one of these entity tags (RFC 9110, section 13.1.2: compared weakly).
pub(crate) fn is_known(request: &HeaderMap, tags: &[&str]) -> bool {
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || tags.contains(&known.strip_prefix("W/").unwrap_or(known)))
}

/// A header value of text that we made ourselves.
pub(crate) fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether the parameters of an item in a list of preferences refuse it: a weight of 0 (RFC 9110, section 12.4.2).
pub(crate) fn is_refused<'a>(mut parameters: impl Iterator<Item = &'a str>) -> bool {
    parameters.any(|parameter| {
        let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
        quality.is_some_and(|quality| quality.parse::<f32>().is_ok_and(|q| q <= 0.0))
    })
}

/// The best coding up to a limit that a request takes (RFC 9110, section 12.5.3): brotli, else gzip, else none.
fn accepted(request: &HeaderMap, limit: Coding) -> Coding {
    let mut best = Coding::Identity;
    let values = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = is_refused(parts);
        let coding = match name.to_ascii_lowercase().as_str() {
            "br" => Coding::Brotli,
            "gzip" | "x-gzip" => Coding::Gzip,
            _ => continue,
        };
        if !refused && coding <= limit {
            best = best.max(coding);
        }
    }
    best
}

fn gzip(identity: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(identity).and_then(|()| encoder.finish()).expect("memory takes all bytes").into()
}

fn brotli(identity: &[u8]) -> Bytes {
    // Quality 5 of 11 is within a few percent of the best for JSON, in a fiftieth of the time. A window larger than the content
    // costs memory and gains nothing.
    let lgwin = (usize::BITS - identity.len().leading_zeros()).clamp(17, 20) as i32;
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: 5, lgwin, size_hint: identity.len(), ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &identity[..], &mut out, &parameters).expect("memory takes all bytes");
    out.into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    /// Holds up the queue of compressions until the sender is dropped.
    fn hold_queue() -> mpsc::Sender<()> {
        let (sender, receiver) = mpsc::channel();
        aside::run(move || {
            let _ended = receiver.recv();
        });
        sender
    }

    fn headers(list: &[(axum::http::HeaderName, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn coding_is_the_best_that_the_client_accepts() {
        let cases = [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("gzip, deflate, br", Coding::Brotli),
            ("GZIP;q=0.5", Coding::Gzip),
            ("br;q=0, gzip", Coding::Gzip),
            ("gzip;q=0", Coding::Identity),
            ("gzip; q=0.0, br ; q=0", Coding::Identity),
        ];
        for (value, coding) in cases {
            let request = headers(&[(ACCEPT_ENCODING, value)]);
            assert_eq!(accepted(&request, Coding::Brotli), coding, "{value}");
            assert_eq!(accepted(&request, Coding::Identity), Coding::Identity, "{value}");
        }
        assert_eq!(accepted(&headers(&[(ACCEPT_ENCODING, "gzip, br")]), Coding::Gzip), Coding::Gzip);
    }

    #[test]
    fn every_coding_has_an_entity_tag_of_its_own() {
        let body = Body::new(JSON, Bytes::from(vec![b'a'; 1000]));
        let plain = body.answer(&HeaderMap::new(), Caching::Minute);
        let brotli = body.answer(&headers(&[(ACCEPT_ENCODING, "br")]), Caching::Minute);
        assert_ne!(plain.headers()[ETAG], brotli.headers()[ETAG]);
        assert_eq!(brotli.headers()[CONTENT_ENCODING], "br");
        let mut again = headers(&[(ACCEPT_ENCODING, "br")]);
        again.insert(IF_NONE_MATCH, brotli.headers()[ETAG].clone());
        let unchanged = body.answer(&again, Caching::Minute);
        assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(unchanged.headers()[ETAG], brotli.headers()[ETAG]);
        again.insert(IF_NONE_MATCH, plain.headers()[ETAG].clone());
        assert_eq!(body.answer(&again, Caching::Minute).headers()[ETAG], plain.headers()[ETAG]);
    }

    #[test]
    fn problem_stays_one_whatever_the_client_has() {
        let body = Body::once(JSON, Bytes::from_static(b"{}"));
        let any = headers(&[(IF_NONE_MATCH, "*")]);
        assert_eq!(body.answer_now(&any, Caching::Never).status(), StatusCode::NOT_MODIFIED);
        let unavailable = body.answer_problem(StatusCode::SERVICE_UNAVAILABLE, &any, Caching::Never);
        assert_eq!(
            (unavailable.status(), &unavailable.headers()[RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("5"))
        );
    }

    #[tokio::test]
    async fn large_body_leaves_in_the_best_coding_that_is_ready() {
        let body = Body::new(JSON, Bytes::from(vec![b'a'; INLINE_BYTES + 1]));
        let request = headers(&[(ACCEPT_ENCODING, "gzip, br")]);
        let coding = || body.answer(&request, Caching::Minute).headers().get(CONTENT_ENCODING).cloned();
        let held = hold_queue();
        assert_eq!(coding(), None, "nobody waits");
        drop(held);
        let (sender, all_compressed) = oneshot::channel();
        aside::run(move || sender.send(()).unwrap());
        all_compressed.await.unwrap();
        assert_eq!(coding().unwrap(), "br");
        let _held = hold_queue();
        let gzip = headers(&[(ACCEPT_ENCODING, "gzip")]);
        assert_eq!(
            body.answer(&gzip, Caching::Minute).headers().get(CONTENT_ENCODING),
            None,
            "nobody asked for it before"
        );
    }

    #[tokio::test]
    async fn body_that_is_gone_is_not_compressed() {
        let body = Body::new(JSON, Bytes::from(vec![b'a'; INLINE_BYTES + 1]));
        let coded = Arc::downgrade(&body.brotli);
        let _held = hold_queue();
        body.prepare();
        drop(body);
        assert_eq!(coded.strong_count(), 0, "the work in the queue holds no release");
    }

    #[test]
    fn if_none_match_with_a_known_tag_is_recognised() {
        for (value, known) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            assert_eq!(is_known(&headers(&[(IF_NONE_MATCH, value)]), &["\"a\""]), known, "{value}");
        }
    }
}
