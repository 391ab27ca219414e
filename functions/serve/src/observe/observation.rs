//! The facts of a request that metrics and logs have.

use axum::http::StatusCode;
use devfile_registry::request::Answered;

use super::usage::Usage;

/// The facts of a request.
#[derive(Debug)]
pub(super) struct Observation<'a> {
    /// The answer.
    pub(super) answered: Answered<'a>,
    /// Whether the bucket could not be asked for something newer.
    pub(super) stale: bool,
    /// Whether it is too large for AWS Lambda.
    pub(super) oversized: bool,
    /// The event that it is, if it is one.
    pub(super) usage: Option<&'a Usage>,
}

/// The class of a status, such as `2xx`.
pub(super) fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
