//! Paths of requests.

use axum::http::request::Parts;
use lambda_http::RequestExt;

/// The segments of a path. One slash at the end adds none, so the path with it is answered like the path without it.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty() && !bare.ends_with('/'));
    bare.unwrap_or(path).split('/').skip(1)
}

/// The path as the client sent it: on its way to the URI of a request, lambda_http folds dot segments.
pub(crate) fn path_as_sent(parts: &Parts) -> &str {
    match parts.raw_http_path() {
        "" => parts.uri.path(),
        raw => raw,
    }
}
