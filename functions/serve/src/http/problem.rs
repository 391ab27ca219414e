//! Errors as clients see them: one JSON document, `{"status": message}` with a cause in `error` where there is one.
//!
//! The reference answers some errors with two documents in one body; clients that read the first keep working. Each module says
//! which of its errors is which problem. The chain of causes is logged there, never sent.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use super::body::{Caching, JSON, RETRY_SECONDS};
use super::content::OutOfRange;
use crate::workers::Busy;

/// Why a request has no better answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    message: Cow<'static, str>,
    cause: Option<String>,
    out_of_range: Option<OutOfRange>,
}

impl Problem {
    /// A problem with a status and a message for everybody.
    pub(crate) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), cause: None, out_of_range: None }
    }

    /// The path is not one that a client can mean.
    pub(crate) fn bad_path() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the path is not well formed")
    }

    /// There is nothing of that name.
    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// The registry cannot answer now, and will be able to in a moment.
    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The same problem with its cause.
    #[must_use]
    pub(crate) fn because(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The fault, in words that everybody may read.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The answer with a document of any form: the status and the headers are those of the problem.
    pub(crate) fn with_document(&self, document: String) -> Response<Body> {
        let mut response = Response::new(Body::from(document));
        *response.status_mut() = self.status;
        self.add_headers(response.headers_mut());
        response
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        let caching = if self.status == StatusCode::NOT_FOUND { Caching::Missing } else { Caching::Never };
        headers.insert(CACHE_CONTROL, caching.header());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        headers.extend(self.out_of_range.map(OutOfRange::header));
    }
}

impl From<OutOfRange> for Problem {
    fn from(error: OutOfRange) -> Self {
        let problem = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, error.to_string());
        Self { out_of_range: Some(error), ..problem }
    }
}

impl From<Busy> for Problem {
    fn from(error: Busy) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        #[derive(Serialize)]
        struct Document<'a> {
            // The reference's word for a method that is not allowed, which clients compare.
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<&'a str>,
        }
        let message = Some(self.message.as_ref());
        let document = match self.status {
            StatusCode::METHOD_NOT_ALLOWED => Document { message, status: None, error: None },
            _ => Document { message: None, status: message, error: self.cause.as_deref() },
        };
        self.with_document(serde_json::to_string(&document).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::header::CONTENT_RANGE;

    use super::*;

    async fn shown(problem: Problem) -> (u16, String) {
        let response = problem.into_response();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn problem_is_one_json_document() {
        assert_eq!(shown(Problem::not_found("no")).await, (404, r#"{"status":"no"}"#.into()));
        let bad = Problem::new(StatusCode::BAD_REQUEST, "bad").because("why");
        assert_eq!(shown(bad).await, (400, r#"{"status":"bad","error":"why"}"#.into()));
        let method = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Only GET requests are supported.");
        assert_eq!(shown(method).await, (405, r#"{"message":"Only GET requests are supported."}"#.into()));
    }

    #[test]
    fn problem_says_when_to_ask_again_and_what_range_there_is() {
        assert_eq!(Problem::from(Busy).into_response().headers()[RETRY_AFTER], "5");
        assert_eq!(Problem::from(OutOfRange(7)).into_response().headers()[CONTENT_RANGE], "bytes */7");
        assert_eq!(Problem::not_found("no").into_response().headers()[CACHE_CONTROL], "public, max-age=5");
        assert_eq!(Problem::bad_path().into_response().headers()[CACHE_CONTROL], "no-store");
    }
}
