//! Icons as pictures of the release, and letters in their place.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use devfile_registry::digest::Digest;

use crate::http::body::{Caching, header, is_known};
use crate::release::blobs::{BlobError, Blobs};
use crate::release::snapshot::Snapshot;

/// Answers with an icon; `None` when there is none of that name.
///
/// # Errors
/// The bucket does not give it.
pub(super) async fn answer(
    name: &str,
    snapshot: &Snapshot,
    blobs: &Blobs,
    request: &HeaderMap,
) -> Result<Option<Response<Body>>, Arc<BlobError>> {
    let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else { return Ok(None) };
    let Some((media_type, size)) = snapshot.viewer_index.pictures.find(&digest) else { return Ok(None) };
    let etag = format!("\"{}\"", digest.hex());
    let mut response = Response::new(Body::empty());
    if is_known(request, &[&etag]) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let bytes = match snapshot.content(&digest) {
            Some(bytes) => bytes.clone(),
            None => blobs.read(digest, size).await?,
        };
        *response.body_mut() = Body::from(bytes);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    let headers = response.headers_mut();
    headers.insert(ETAG, header(&etag));
    headers.insert(CACHE_CONTROL, Caching::Immutable.header());
    // An SVG that somebody opens by itself is a document: it must run nothing and fetch nothing.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    Ok(Some(response))
}

/// Two letters that stand for an entry without an icon, and one of [`TONES`] colours.
pub(super) fn placeholder(name: &str) -> (String, usize) {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or("?");
    let letters: String = match words.next() {
        Some(second) => first.chars().take(1).chain(second.chars().take(1)).collect(),
        None => first.chars().take(2).collect(),
    };
    let sum = name.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    (letters.to_uppercase(), sum % TONES)
}

/// Number of colours of placeholders.
pub(super) const TONES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholder_has_the_initials_of_the_name() {
        for (name, letters) in
            [("Go Runtime", "GR"), ("kiln", "KI"), (".NET 8.0", "N8"), ("", "?"), ("<b>", "B"), ("élan vital", "ÉV")]
        {
            let (shown, tone) = placeholder(name);
            assert_eq!(shown, letters, "{name}");
            assert!(tone < TONES);
        }
    }
}
