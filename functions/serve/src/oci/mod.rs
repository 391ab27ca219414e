//! The pull half of the OCI distribution API (distribution specification 1.1) under `/v2/`, from the snapshot and the bucket.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, VARY};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use devfile_registry::artifact::{CATALOG, MANIFEST_MEDIA_TYPE};
use devfile_registry::digest::Digest;
use serde_json::{Value, json};

use crate::http::body::{Body as Document, Caching, JSON, header, is_known, is_refused};
use crate::http::content::{Content, Delivery, OutOfRange, offer_ranges};
use crate::release::blobs::{BUCKET_FAILS, BlobError, Blobs};
use crate::release::earlier::Unavailable;
use crate::release::snapshot::Snapshot;

/// Media type of an OCI image index, which the answer about referrers is.
pub(crate) const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Why a request has no better answer.
#[derive(Debug)]
pub(crate) struct OciError {
    status: StatusCode,
    code: Code,
    message: String,
    out_of_range: Option<OutOfRange>,
}

/// Codes of the specification's table "Error Codes", as far as a registry that is only read from needs them, and
/// those that other registries use where the specification has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// There is no such blob.
    BlobUnknown,
    /// What should be a digest is none.
    DigestInvalid,
    /// There is no such manifest.
    ManifestUnknown,
    /// There is no such repository.
    NameUnknown,
    /// `n` is not a number.
    PaginationNumberInvalid,
    /// The operation is not there.
    Unsupported,
    /// The range cannot be given.
    RangeInvalid,
    /// The registry itself fails.
    Unavailable,
}

impl Code {
    /// Every code.
    pub(crate) const ALL: [Self; 8] = [
        Self::BlobUnknown,
        Self::DigestInvalid,
        Self::ManifestUnknown,
        Self::NameUnknown,
        Self::PaginationNumberInvalid,
        Self::Unsupported,
        Self::RangeInvalid,
        Self::Unavailable,
    ];

    /// The code as clients read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unsupported => "UNSUPPORTED",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

impl OciError {
    /// What is asked for is not here.
    pub(crate) fn unknown(code: Code, message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, message: message.into(), out_of_range: None }
    }

    /// The request cannot be meant.
    fn bad(code: Code, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), out_of_range: None }
    }

    /// An error of another part of this server, in the form of this API.
    pub(crate) fn of(status: StatusCode, message: String) -> Self {
        let code = if status.is_server_error() { Code::Unavailable } else { Code::Unsupported };
        Self { status, code, message, out_of_range: None }
    }

    /// The answer.
    pub(crate) fn answer(self) -> Response<Body> {
        let caching = if self.status == StatusCode::NOT_FOUND { Caching::Missing } else { Caching::Never };
        let document = json!({"errors": [{"code": self.code.as_str(), "message": self.message}]});
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(CACHE_CONTROL, caching.header());
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.extend(self.out_of_range.map(OutOfRange::header));
        response
    }
}

impl From<OutOfRange> for OciError {
    fn from(error: OutOfRange) -> Self {
        let (status, message) = (StatusCode::RANGE_NOT_SATISFIABLE, error.to_string());
        Self { status, code: Code::RangeInvalid, message, out_of_range: Some(error) }
    }
}

impl From<Unavailable> for OciError {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(%error, "cannot look for a digest in earlier releases");
        Self::of(StatusCode::BAD_GATEWAY, BUCKET_FAILS.into())
    }
}

impl From<Arc<BlobError>> for OciError {
    fn from(error: Arc<BlobError>) -> Self {
        tracing::warn!(%error, "a blob cannot be given");
        Self::of(StatusCode::BAD_GATEWAY, error.public().into())
    }
}

/// Answers a GET or HEAD; `segments` are the path's after `v2`.
pub(crate) async fn answer(
    snapshot: &Snapshot,
    blobs: &Blobs,
    segments: &[&str],
    request: &Parts,
) -> Result<Response<Body>, OciError> {
    match segments {
        [] => Ok(listing(&json!({}), JSON, request)),
        ["_catalog"] => {
            let names = snapshot.repositories().map(|stack| format!("{CATALOG}/{stack}")).collect();
            page("/v2/_catalog", request, names, |names| json!({"repositories": names}))
        }
        [CATALOG, stack, rest @ ..] => {
            let unknown = || OciError::unknown(Code::NameUnknown, "there is no such repository");
            if !snapshot.has_repository(stack) {
                return Err(unknown());
            }
            match rest {
                ["tags", "list"] => {
                    // Content of earlier releases has digests, but no tags.
                    let repository = snapshot.repository(stack).ok_or_else(unknown)?;
                    let tags = repository.tags.keys().cloned().collect();
                    let name = format!("{CATALOG}/{stack}");
                    page(&format!("/v2/{name}/tags/list"), request, tags, |tags| json!({"name": name, "tags": tags}))
                }
                ["manifests", reference] => {
                    let mut answer = manifest(snapshot, [stack, reference], request).unwrap_or_else(OciError::answer);
                    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                    Ok(answer)
                }
                ["blobs", digest] => blob(snapshot, blobs, [stack, digest], request).await,
                ["referrers", digest] => referrers(digest, request),
                _ => Err(OciError::unknown(Code::Unsupported, "there is nothing at this path")),
            }
        }
        _ => Err(OciError::unknown(Code::NameUnknown, "there is no such repository")),
    }
}

/// Whether a path names a manifest or blob by its digest.
pub(crate) fn names_digest(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("sha256:"))
}

/// What refers to a manifest: nothing does, in this registry.
fn referrers(digest: &str, request: &Parts) -> Result<Response<Body>, OciError> {
    parse_digest(digest)?;
    let empty = json!({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": []});
    let mut response = listing(&empty, INDEX_MEDIA_TYPE, request);
    if request.uri.query().unwrap_or_default().split('&').any(|pair| pair.starts_with("artifactType=")) {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

fn parse_digest(text: &str) -> Result<Digest, OciError> {
    text.parse().map_err(|_| OciError::bad(Code::DigestInvalid, "the digest is not sha256: and 64 digits"))
}

/// A page of sorted names after `last`, at most `n` of them, with a link to the next page (RFC 8288).
fn page(
    path: &str,
    request: &Parts,
    names: Vec<String>,
    document: impl Fn(&[String]) -> Value,
) -> Result<Response<Body>, OciError> {
    let mut count = names.len();
    let mut start = 0;
    for pair in request.uri.query().unwrap_or_default().split('&') {
        match pair.split_once('=') {
            Some(("n", n)) => {
                let invalid = || OciError::bad(Code::PaginationNumberInvalid, "n is not a number");
                let digits = !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit());
                // A number of any length: more than there are is all of them.
                count = digits.then(|| n.parse().unwrap_or(usize::MAX)).ok_or_else(invalid)?;
            }
            Some(("last", last)) => {
                let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
                start = names.partition_point(|name| name.as_str() <= last.as_ref());
            }
            _ => {}
        }
    }
    let end = start.saturating_add(count).min(names.len());
    let shown = &names[start..end];
    let mut response = listing(&document(shown), JSON, request);
    if let Some(last) = shown.last()
        && end < names.len()
    {
        let last = percent_encoding::utf8_percent_encode(last, percent_encoding::NON_ALPHANUMERIC);
        response.headers_mut().insert(LINK, header(&format!("<{path}?n={count}&last={last}>; rel=\"next\"")));
    }
    Ok(response)
}

fn listing(document: &Value, media_type: &'static str, request: &Parts) -> Response<Body> {
    let body = Document::once(media_type, document.to_string().into());
    let mut response = body.answer(&request.headers, Caching::Minute);
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

fn manifest(snapshot: &Snapshot, [stack, reference]: [&str; 2], request: &Parts) -> Result<Response<Body>, OciError> {
    let unknown = || OciError::unknown(Code::ManifestUnknown, "there is no such manifest");
    let (digest, caching) = if reference.contains(':') {
        (parse_digest(reference)?, Caching::Immutable)
    } else {
        let tagged = snapshot.repository(stack).and_then(|repository| repository.tags.get(reference));
        (*tagged.ok_or_else(unknown)?, Caching::Minute)
    };
    let manifest = snapshot.manifest(stack, &digest).ok_or_else(unknown)?;
    if !admits_manifests(&request.headers) {
        let message = format!("Accept does not admit manifests; send Accept: {MANIFEST_MEDIA_TYPE}");
        return Err(OciError::unknown(Code::ManifestUnknown, message));
    }
    let content = Content { digest, size: manifest.len() as u64, media_type: MANIFEST_MEDIA_TYPE, caching };
    // The reference takes the digest without quotation marks, too.
    let mut response = if is_known(&request.headers, &[&digest.to_string()]) {
        content.not_modified()
    } else {
        content.whole(manifest.clone(), request)
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    Ok(response)
}

/// Whether `Accept` admits manifests (RFC 9110, section 12.5.1): it names their type or `*/*`, or is missing. `application/*` does
/// not admit them, as in the reference's recorded answers.
fn admits_manifests(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(',')).filter(|range| !range.trim().is_empty()).peekable();
    if ranges.peek().is_none() {
        return true;
    }
    let (mut by_name, mut by_any) = (None, None);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let admitted = !is_refused(parts);
        if media_type.eq_ignore_ascii_case(MANIFEST_MEDIA_TYPE) {
            by_name = Some(admitted);
        } else if media_type == "*/*" {
            by_any = Some(admitted);
        }
    }
    by_name.or(by_any).unwrap_or(false)
}

async fn blob(
    snapshot: &Snapshot,
    blobs: &Blobs,
    [stack, digest]: [&str; 2],
    request: &Parts,
) -> Result<Response<Body>, OciError> {
    let digest = parse_digest(digest)?;
    let unknown = || OciError::unknown(Code::BlobUnknown, "there is no such blob");
    let size = snapshot.blob_size(stack, &digest).ok_or_else(unknown)?;
    let content = Content { digest, size, media_type: "application/octet-stream", caching: Caching::Immutable };
    let mut response = match content.without_bytes(request) {
        Some(response) => response,
        None => {
            let delivery = match snapshot.content(&digest) {
                Some(bytes) => Delivery::Bytes(bytes.clone()),
                None => blobs.deliver(digest, size).await?,
            };
            content.delivered(delivery, &request.headers)?
        }
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    Ok(offer_ranges(response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_that_admits_manifests_is_met() {
        let admits = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            admits_manifests(&headers)
        };
        assert!(
            admits(&[]) && admits(&[""]) && admits(&["*/*"]) && admits(&["*/*;q=0.1"]) && admits(&["text/html, */*"])
        );
        assert!(admits(&[MANIFEST_MEDIA_TYPE]) && admits(&["application/vnd.OCI.image.manifest.v1+json ; q=0.5"]));
        assert!(admits(&[INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE]) && admits(&["application/json", "*/*"]));
        assert!(
            !admits(&["application/*"]) && !admits(&["application/json"]) && !admits(&[INDEX_MEDIA_TYPE, "text/html"])
        );
        assert!(!admits(&["*/*;q=0"]) && !admits(&["application/vnd.oci.image.manifest.v1+json;q=0, */*"]));
        assert!(admits(&["application/vnd.oci.image.manifest.v1+json, */*;q=0.0"]));
    }

    #[test]
    fn pages_link_to_the_next() {
        let ask = |query: &str| {
            let names = ["a", "b+", "c"].map(str::to_owned).to_vec();
            let (request, ()) = axum::http::Request::get(format!("/?{query}")).body(()).unwrap().into_parts();
            page("/v2/_catalog", &request, names, |names| json!(names))
        };
        assert_eq!(ask("n=2").unwrap().headers()[LINK], "</v2/_catalog?n=2&last=b%2B>; rel=\"next\"");
        for last in ["n=2&last=b%2B", "n=0", "n=3", "n=99999999999999999999999", "last=zzz", ""] {
            assert!(ask(last).unwrap().headers().get(LINK).is_none(), "{last}");
        }
        for bad in ["n=x", "n=", "n=-1", "n=+1", "n=1.5"] {
            assert_eq!(ask(bad).unwrap_err().code, Code::PaginationNumberInvalid, "{bad}");
        }
    }
}
