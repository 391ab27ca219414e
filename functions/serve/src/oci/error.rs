//! Errors of the OCI API: the codes of its specification, and the form that its clients read.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::json;

use crate::http::content::OutOfRange;
use crate::http::problem::Problem;
use crate::release::blobs::BlobError;
use crate::release::recent::Unavailable;

/// Says that this is a registry.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// Why a request has no better answer.
#[derive(Debug)]
pub(crate) struct OciError {
    pub(super) code: Code,
    problem: Problem,
}

/// Codes of the specification's table "Error Codes", as far as a registry that is only read from needs them, and
/// those that other registries use where the specification has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// There is no such blob.
    BlobUnknown,
    /// A digest is malformed.
    DigestInvalid,
    /// There is no such manifest.
    ManifestUnknown,
    /// There is no such repository.
    NameUnknown,
    /// `n` is not a number.
    PaginationNumberInvalid,
    /// The operation is not there.
    Unsupported,
    /// The range is beyond the content.
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
    /// The manifest or blob is not here.
    pub(crate) fn unknown(code: Code, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { code, problem: Problem::not_found(message) }
    }

    /// A parameter is invalid.
    pub(super) fn bad(code: Code, message: &'static str) -> Self {
        Self { code, problem: Problem::new(StatusCode::BAD_REQUEST, message) }
    }
}

impl From<Problem> for OciError {
    fn from(problem: Problem) -> Self {
        let code = match problem.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => Code::RangeInvalid,
            status if status.is_server_error() => Code::Unavailable,
            _ => Code::Unsupported,
        };
        Self { code, problem }
    }
}

impl From<OutOfRange> for OciError {
    fn from(error: OutOfRange) -> Self {
        Problem::from(error).into()
    }
}

impl From<Unavailable> for OciError {
    fn from(error: Unavailable) -> Self {
        Problem::from(error).into()
    }
}

impl From<Arc<BlobError>> for OciError {
    fn from(error: Arc<BlobError>) -> Self {
        Problem::from(error).into()
    }
}

impl IntoResponse for OciError {
    fn into_response(self) -> Response<Body> {
        let document = json!({"errors": [{"code": self.code.as_str(), "message": self.problem.message()}]});
        of_registry(self.problem.with_document(document.to_string()))
    }
}

/// The same answer, which says that it is a registry's.
pub(super) fn of_registry(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}
