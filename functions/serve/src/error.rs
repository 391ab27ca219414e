//! Errors as clients see them: one JSON document, `{"status": message}` with a cause in `error` where there is one.
//!
//! The reference answers some errors with two documents in one body; clients that read the first keep working. What went
//! wrong inside is logged, never sent.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use devfile_registry::logging::foreign;
use devfile_registry::starter::NoSource;
use serde::Serialize;

use crate::http::body::{Caching, JSON};
use crate::http::content::OutOfRange;
use crate::release::blobs::BlobError;
use crate::starters::StarterError;
use crate::view::catalog::BadParameter;
use crate::workers::Busy;

/// Why a request has no better answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The path is not one that a client can mean.
    #[error("the path is not well formed")]
    BadPath,
    /// A query parameter has a value that it does not take.
    #[error(transparent)]
    BadParameter(#[from] BadParameter),
    /// The path is too long.
    #[error("the path is longer than {} bytes", devfile_registry::limits::PATH_BYTES)]
    PathTooLong,
    /// The query is too long.
    #[error("the query is longer than {} bytes", devfile_registry::limits::QUERY_BYTES)]
    QueryTooLong,
    /// What was asked for is not in the live release.
    #[error("{0}")]
    NotFound(String),
    /// Another method than GET or HEAD.
    #[error("Only GET requests are supported.")]
    Method,
    /// A range that the content does not have.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Content that cannot be given now.
    #[error("{}", .0.public())]
    Blob(#[from] Arc<BlobError>),
    /// A starter project whose devfile does not say where it is.
    #[error("the starter project `{0}` has no source that can be fetched")]
    NoSource(String, #[source] NoSource),
    /// A starter project that cannot be given now.
    #[error("the starter project `{0}` cannot be fetched")]
    Starter(String, #[source] Arc<StarterError>),
    /// There is no release to answer from.
    #[error("{0}")]
    NoRelease(&'static str),
    /// Too many requests want longer work.
    #[error(transparent)]
    Busy(#[from] Busy),
}

#[derive(Serialize)]
struct Document<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl ApiError {
    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadPath | Self::BadParameter(_) | Self::NoSource(..) => StatusCode::BAD_REQUEST,
            Self::Starter(_, error) if error.is_slow() => StatusCode::GATEWAY_TIMEOUT,
            Self::PathTooLong | Self::QueryTooLong => StatusCode::URI_TOO_LONG,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::OutOfRange(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Blob(_) | Self::Starter(..) => StatusCode::BAD_GATEWAY,
            Self::NoRelease(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer.
    pub(crate) fn answer(&self) -> Response<Body> {
        let message = self.to_string();
        let document = match self {
            // The reference's words, which clients compare.
            Self::Method => serde_json::json!({"message": message}).to_string(),
            Self::BadParameter(bad) => {
                let status = format!("the parameter {} is not valid", bad.parameter());
                to_json(&Document { status: &status, error: Some(message) })
            }
            Self::NoSource(_, cause) => to_json(&Document { status: &message, error: Some(cause.to_string()) }),
            Self::Starter(_, cause) => to_json(&Document { status: &message, error: Some(cause.public()) }),
            _ => to_json(&Document { status: &message, error: None }),
        };
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let caching = if matches!(self, Self::NotFound(_)) { Caching::Missing } else { Caching::Never };
        headers.insert(CACHE_CONTROL, caching.header());
        match self {
            Self::NoRelease(_) | Self::Busy(_) => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("5"))),
            Self::OutOfRange(range) => headers.extend([range.header()]),
            Self::Blob(error) => tracing::warn!(%error, "a blob cannot be given"),
            Self::Starter(name, error) => {
                tracing::warn!(starter = %foreign(name), %error, "a starter project cannot be given")
            }
            _ => {}
        }
        response
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
