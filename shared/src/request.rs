//! One line in the log and one span for each HTTP request, alike in both functions, with nothing in them that a client made up.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::telemetry::{Kind, Span};
use crate::trace::{TRACEPARENT, TraceParent};

/// Longest id of a request that is taken over from a proxy, in bytes.
const ID_BYTES: usize = 64;

/// Longest header of X-Ray that is logged, in bytes; it has about 100.
const XRAY_BYTES: usize = 256;

/// The statements of a request about its origin.
#[derive(Debug)]
pub struct RequestOrigin {
    id: RequestId,
    method: &'static str,
    span: Span,
    xray: Option<String>,
}

/// The name of a request in the log.
#[derive(Debug)]
enum RequestId {
    /// By the proxy that sent it on.
    Given(String),
    /// By us.
    Own(u64),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answered<'a> {
    /// The pattern that the path fits.
    pub route: &'static str,
    /// Status of the answer.
    pub status: StatusCode,
    /// Length of its body.
    pub bytes: u64,
    /// Time until it was ready to be sent.
    pub duration: Duration,
    /// The source of the body.
    pub cache: Option<&'static str>,
    /// Commit of the release that it is from.
    pub commit: Option<&'a str>,
}

impl RequestOrigin {
    /// Begins with a request: reads its headers, and the id that the Lambda runtime gave it. The runtime also puts X-Ray's header
    /// there; anywhere else that header is a client's.
    pub fn of(method: &Method, headers: &HeaderMap, lambda: Option<&str>) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let id = lambda.or_else(|| header("x-request-id").filter(|id| made_of(id, ID_BYTES, "-_.")));
        Self {
            id: id.map_or_else(|| RequestId::Own(fastrand::u64(..)), |id| RequestId::Given(id.to_owned())),
            method: known(method),
            span: Span::begin(Kind::Server, "request", header(TRACEPARENT).and_then(|value| value.parse().ok())),
            xray: lambda
                .and_then(|_| header("x-amzn-trace-id"))
                .filter(|value| made_of(value, XRAY_BYTES, "-=;:"))
                .map(str::to_owned),
        }
    }

    /// Returns the position of the request in a trace, if it belongs to one.
    pub fn trace(&self) -> Option<TraceParent> {
        self.span.position()
    }

    /// Ends the span and writes the line: a warning if the answer is a failure of ours, else for information.
    pub fn log(&self, answered: &Answered<'_>) {
        self.end_span(answered);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = %self.id,
                    method = self.method,
                    route = answered.route,
                    status = answered.status.as_u16(),
                    bytes = answered.bytes,
                    duration_ms = milliseconds(answered.duration),
                    cache = answered.cache,
                    commit = answered.commit,
                    trace_id = self.trace().map(|trace| tracing::field::display(trace.trace_id())),
                    xray = self.xray.as_deref(),
                    "request"
                )
            };
        }
        if answered.status.is_server_error() { line!(warn) } else { line!(info) }
    }

    /// Ends the span, with OpenTelemetry's conventions for HTTP servers, without values that the client invented.
    fn end_span(&self, answered: &Answered<'_>) {
        let (method, attribute) = if self.method == "other" { ("HTTP", "_OTHER") } else { (self.method, self.method) };
        self.span.rename(format_args!("{method} {}", answered.route));
        self.span.set("http.request.method", attribute);
        self.span.set("http.route", answered.route);
        self.span.set("http.response.status_code", answered.status.as_u16());
        self.span.set("http.response.body.size", answered.bytes);
        if answered.status.is_server_error() {
            self.span.fail(answered.status.as_str());
        }
        self.span.end();
    }
}

/// A duration as logs have it: in milliseconds, to the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Whether a text is short and made of letters, digits and some other characters.
fn made_of(text: &str, longest: usize, others: &str) -> bool {
    (1..=longest).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn known(method: &Method) -> &'static str {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]
        .iter()
        .position(|known| known == method)
        .map_or("other", |index| ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"][index])
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Own(id) => write!(f, "{id:016x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_tame_ids_are_taken_over() {
        let id = |value, lambda| {
            RequestOrigin::of(&Method::GET, &headers(&[("x-request-id", value)]), lambda).id.to_string()
        };
        assert_eq!(id("edge-1.a_b", None), "edge-1.a_b");
        assert_eq!(id("edge-1", Some("8476a536-e9f4-11e8-9739-2dfe598c3fcd")), "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
        for wild in ["", "a\"b", "a b", "{\"level\":\"ERROR\"}", &*"x".repeat(65).leak()] {
            assert_eq!(id(wild, None).len(), 16, "{wild}");
        }
    }

    #[test]
    fn x_ray_header_counts_only_in_lambda() {
        let headers = headers(&[("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")]);
        assert!(RequestOrigin::of(&Method::GET, &headers, Some("id")).xray.is_some());
        assert!(RequestOrigin::of(&Method::GET, &headers, None).xray.is_none());
    }

    #[test]
    fn method_of_a_request_is_a_known_one_or_other() {
        assert_eq!((known(&Method::PATCH), known(&Method::from_bytes(b"BREW").unwrap())), ("PATCH", "other"));
    }
}
