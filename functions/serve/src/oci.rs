//! The pull half of the OCI distribution API (distribution specification 1.1) under `/v2/`, from the snapshot and the bucket.

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LINK,
    RANGE,
};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use devfile_registry::artifact::{CATALOG, MANIFEST_MEDIA_TYPE};
use devfile_registry::cache::{Bucket, Cache, blob_key};
use devfile_registry::digest::Digest;
use devfile_registry::limits;
use serde_json::{Value, json};

use crate::body::{Caching, JSON, header, is_known};
use crate::snapshot::{Repository, Snapshot};

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An error of the API: status, code of the specification's table "Error Codes", and message.
#[derive(Debug)]
pub(crate) struct OciError(pub(crate) StatusCode, pub(crate) &'static str, pub(crate) String);

impl OciError {
    /// What is asked for is not here.
    pub(crate) fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self(StatusCode::NOT_FOUND, code, message.into())
    }

    /// The answer.
    pub(crate) fn answer(self) -> Response<Body> {
        let Self(status, code, message) = self;
        let caching = if status == StatusCode::NOT_FOUND { Caching::Missing } else { Caching::Never };
        let document = json!({"errors": [{"code": code, "message": message}]});
        document_answer(status, &document, caching)
    }
}

/// Answers a GET or HEAD; `segments` are the path's after `v2`.
pub(crate) async fn answer(
    snapshot: &Snapshot,
    cache: &Cache,
    segments: &[&str],
    query: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, OciError> {
    match segments {
        [] | [""] => Ok(document_answer(StatusCode::OK, &json!({}), Caching::Minute)),
        ["_catalog"] => {
            let names = snapshot.repositories().map(|stack| format!("{CATALOG}/{stack}")).collect();
            page("/v2/_catalog", query, names, |names| json!({"repositories": names}))
        }
        [CATALOG, stack, rest @ ..] => {
            let unknown = || OciError::unknown("NAME_UNKNOWN", format!("there is no repository {CATALOG}/{stack}"));
            let repository = snapshot.repository(stack).ok_or_else(unknown)?;
            match rest {
                ["tags", "list"] => {
                    let tags = repository.tags.keys().cloned().collect();
                    let name = format!("{CATALOG}/{stack}");
                    page(&format!("/v2/{name}/tags/list"), query, tags, |tags| json!({"name": name, "tags": tags}))
                }
                ["manifests", reference] => manifest(repository, reference, headers),
                ["blobs", digest] => blob(snapshot, cache, repository, digest, headers).await,
                ["referrers", digest] => {
                    parse_digest(digest)?;
                    let empty = json!({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": []});
                    let mut response = document_answer(StatusCode::OK, &empty, Caching::Minute);
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(INDEX_MEDIA_TYPE));
                    Ok(response)
                }
                _ => Err(OciError::unknown("UNSUPPORTED", "there is nothing at this path")),
            }
        }
        _ => Err(OciError::unknown("NAME_UNKNOWN", "there is no such repository")),
    }
}

const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

fn parse_digest(text: &str) -> Result<Digest, OciError> {
    text.parse().map_err(|_| {
        OciError(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest is not sha256: and 64 digits".into())
    })
}

/// A page of sorted names after `last`, at most `n` of them, with a link to the next page (RFC 8288).
fn page(
    path: &str,
    query: &str,
    names: Vec<String>,
    document: impl Fn(&[String]) -> Value,
) -> Result<Response<Body>, OciError> {
    let mut count = names.len();
    let mut start = 0;
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("n", n)) => {
                let invalid =
                    || OciError(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n is not a number".into());
                count = n.parse::<usize>().map_err(|_| invalid())?;
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
    let mut response = document_answer(StatusCode::OK, &document(shown), Caching::Minute);
    if let Some(last) = shown.last()
        && end < names.len()
    {
        let last = percent_encoding::utf8_percent_encode(last, percent_encoding::NON_ALPHANUMERIC);
        response.headers_mut().insert(LINK, header(&format!("<{path}?last={last}&n={count}>; rel=\"next\"")));
    }
    Ok(response)
}

fn document_answer(status: StatusCode, document: &Value, caching: Caching) -> Response<Body> {
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, caching.header());
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

fn manifest(repository: &Repository, reference: &str, headers: &HeaderMap) -> Result<Response<Body>, OciError> {
    let unknown = || OciError::unknown("MANIFEST_UNKNOWN", "there is no such manifest");
    let (digest, caching) = if reference.contains(':') {
        (parse_digest(reference)?, Caching::Immutable)
    } else {
        (*repository.tags.get(reference).ok_or_else(unknown)?, Caching::Minute)
    };
    let manifest = repository.manifests.get(&digest).ok_or_else(unknown)?;
    if !admits_manifest(headers) {
        return Err(OciError::unknown(
            "MANIFEST_UNKNOWN",
            format!("the manifest is {MANIFEST_MEDIA_TYPE}, which is not accepted"),
        ));
    }
    let tag = digest.to_string();
    let known = is_known(headers, &[&format!("\"{tag}\""), &tag]);
    Ok(content(manifest.clone(), MANIFEST_MEDIA_TYPE, digest, caching, known))
}

/// Whether `Accept` admits an image manifest: by its type, by a wildcard, or by not being there.
fn admits_manifest(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .peekable();
    ranges.peek().is_none() || ranges.any(|range| matches!(range, MANIFEST_MEDIA_TYPE | "application/*" | "*/*" | ""))
}

fn content(bytes: Bytes, media_type: &'static str, digest: Digest, caching: Caching, known: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(if known { Bytes::new() } else { bytes }));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(DOCKER_CONTENT_DIGEST, header(&digest.to_string()));
    headers.insert(ETAG, header(&format!("\"{digest}\"")));
    headers.insert(CACHE_CONTROL, caching.header());
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

async fn blob(
    snapshot: &Snapshot,
    cache: &Cache,
    repository: &Repository,
    digest: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, OciError> {
    let digest = parse_digest(digest)?;
    let unknown = || OciError::unknown("BLOB_UNKNOWN", "there is no such blob");
    let size = *repository.blobs.get(&digest).ok_or_else(unknown)?;
    let bytes = match snapshot.content(&digest) {
        Some(bytes) => bytes.clone(),
        None => stored(cache, digest, size).await?,
    };
    let known = is_known(headers, &[&format!("\"{digest}\"")]);
    let mut response = content(bytes.clone(), "application/octet-stream", digest, Caching::Immutable, known);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(range) = headers.get(RANGE).filter(|_| !known) {
        let length = bytes.len();
        let Some((from, to)) = range.to_str().ok().and_then(|range| single_range(range, length)) else {
            let mut refused =
                OciError(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "the range cannot be given".into())
                    .answer();
            refused.headers_mut().insert(CONTENT_RANGE, header(&format!("bytes */{length}")));
            return Ok(refused);
        };
        *response.body_mut() = Body::from(bytes.slice(from..=to));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response.headers_mut().insert(CONTENT_RANGE, header(&format!("bytes {from}-{to}/{length}")));
    }
    Ok(response)
}

/// A file of the stacks' folders, by its path in the registry repository.
pub(crate) async fn file(
    snapshot: &Snapshot,
    cache: &Cache,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, OciError> {
    let unknown = || OciError::unknown("BLOB_UNKNOWN", "there is no such file");
    let stored_file = snapshot.file(path).ok_or_else(unknown)?;
    let bytes = match snapshot.content(&stored_file.digest) {
        Some(bytes) => bytes.clone(),
        None => stored(cache, stored_file.digest, stored_file.size).await?,
    };
    let known = is_known(headers, &[&format!("\"{}\"", stored_file.digest)]);
    let media_type = match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("zip" | "tar" | "vsx") => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = content(bytes, media_type, stored_file.digest, Caching::Minute, known);
    // A file of a stack is shown, not run.
    let policy = HeaderValue::from_static("sandbox; default-src 'none'");
    response.headers_mut().insert(axum::http::header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// First and last byte of a single range `bytes=a-b`, `bytes=a-` or `bytes=-n` (RFC 9110, section 14.1.2).
fn single_range(range: &str, length: usize) -> Option<(usize, usize)> {
    let last = length.checked_sub(1)?;
    match range.strip_prefix("bytes=")?.split_once('-')? {
        ("", n) => n.parse::<usize>().ok().filter(|n| *n > 0).map(|n| (length.saturating_sub(n), last)),
        (from, "") => from.parse().ok().filter(|from| *from <= last).map(|from| (from, last)),
        (from, to) => {
            let (from, to) = (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?.min(last));
            (from <= to).then_some((from, to))
        }
    }
}

/// A blob of the bucket, checked against its digest before it leaves.
async fn stored(cache: &Cache, digest: Digest, size: u64) -> Result<Bytes, OciError> {
    let failed = |message: &str| OciError(StatusCode::BAD_GATEWAY, "UNKNOWN", message.to_owned());
    let found = cache.get(&blob_key(digest), size.min(limits::TREE_BYTES)).await.map_err(|error| {
        tracing::warn!(%error, "a blob cannot be read");
        failed("the blob cannot be read now")
    })?;
    let object = found.ok_or_else(|| failed("the blob cannot be read now"))?;
    if Digest::of(&object.bytes) == digest {
        Ok(object.bytes)
    } else {
        tracing::error!(%digest, "a blob in the cache bucket does not have its digest");
        Err(failed("the stored blob is damaged"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=5-", Some((5, 9))),
            ("bytes=-4", Some((6, 9))),
            ("bytes=-40", Some((0, 9))),
            ("bytes=8-99", Some((8, 9))),
            ("bytes=10-", None),
            ("bytes=-0", None),
            ("bytes=3-1", None),
            ("items=0-1", None),
            ("bytes=0-1,3-4", None),
        ];
        for (range, expected) in cases {
            assert_eq!(single_range(range, 10), expected, "{range}");
        }
        assert_eq!(single_range("bytes=0-", 0), None);
    }

    #[test]
    fn accept() {
        let admits =
            |value: &'static str| admits_manifest(&[(ACCEPT, HeaderValue::from_static(value))].into_iter().collect());
        assert!(admits_manifest(&HeaderMap::new()));
        assert!(admits("*/*") && admits("application/*") && admits(MANIFEST_MEDIA_TYPE));
        assert!(!admits("application/json") && !admits(INDEX_MEDIA_TYPE));
    }

    #[test]
    fn pages_link_to_the_next() {
        let names = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let first = page("/v2/_catalog", "n=2", names(), |names| json!(names)).unwrap();
        assert_eq!(first.headers()[LINK], "</v2/_catalog?last=b&n=2>; rel=\"next\"");
        let last = page("/v2/_catalog", "n=2&last=b", names(), |names| json!(names)).unwrap();
        assert!(last.headers().get(LINK).is_none());
        assert!(page("/v2/_catalog", "n=x", names(), |names| json!(names)).is_err());
    }
}
