//! `/devfiles/{name}[/{version}]`: the devfile of a stack or sample.

use axum::body::Body;
use axum::http::{HeaderMap, Response};

use crate::error::ApiError;
use crate::http::body::Caching;
use crate::release::snapshot::{DevfileVersion, Snapshot};
use crate::view::catalog::SchemaVersionRange;

/// The name that stands for the default version.
pub(crate) const DEFAULT: &str = "default";

/// The name that stands for the newest version.
const LATEST: &str = "latest";

/// Answers with a devfile. The range of schema versions counts for `latest` alone, and must be valid everywhere.
pub(crate) fn answer(
    snapshot: &Snapshot,
    name: &str,
    version: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let range = SchemaVersionRange::parse(query)?;
    let found = find(snapshot, name, version, &range)?;
    Ok(found.body.answer(headers, Caching::Minute))
}

/// The devfile of a version, by its number or one of the names for one.
pub(crate) fn find<'s>(
    snapshot: &'s Snapshot,
    name: &str,
    version: &str,
    range: &SchemaVersionRange,
) -> Result<&'s DevfileVersion, ApiError> {
    let missing = |what: String| ApiError::NotFound(what);
    let versions = snapshot.devfiles(name).ok_or_else(|| missing(format!("there is no stack or sample `{name}`")))?;
    let found = match version {
        DEFAULT => versions.iter().find(|candidate| candidate.default),
        LATEST => versions.iter().find(|candidate| range.admits(&candidate.schema_version)),
        version => versions.iter().find(|candidate| candidate.version == version),
    };
    found.ok_or_else(|| missing(format!("`{name}` has no version `{version}` with a devfile here")))
}
