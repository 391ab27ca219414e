//! HTTP without any registry: paths, bodies and their codings, conditional requests, ranges.

pub(crate) mod body;
pub(crate) mod content;
pub(crate) mod path;

use axum::http::header::HeaderName;

/// The commit that an answer is from.
pub(crate) const COMMIT: HeaderName = HeaderName::from_static("devfile-registry-commit");

/// Set when the source of an answer could not be asked whether there is something newer; the seconds since it last could.
pub(crate) const STALE: HeaderName = HeaderName::from_static("devfile-registry-stale");
