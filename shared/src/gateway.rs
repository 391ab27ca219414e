//! HTTP requests as API Gateway and function URLs hand them to a function, and the answers that they take back (payload format
//! version 2.0).
//!
//! `lambda_http` has conversions as well. They panic on a query with a raw `<` and on a list in `x-forwarded-proto`, fold dot
//! segments, and decide by the media type whether a body is text. Here every event becomes a request that is answered, and
//! bytes leave as they are.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Largest answer of a function, in bytes, as the runtime sends it (AWS Lambda quotas, "Invocation payload", synchronous).
pub const ANSWER_BYTES: usize = 6_291_556;

/// Characters that a URI cannot have, but for `%`, which begins an encoded one.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The same in a path, which ends where a query begins.
const UNSAFE_IN_PATH: &AsciiSet = &UNSAFE.add(b'?');

/// The same in a path that the gateway has decoded.
const DECODED: &AsciiSet = &UNSAFE_IN_PATH.add(b'%');

/// Domains of senders that pass on the path as the client sent it: function URLs, and the emulator of cargo-lambda.
const PATH_AS_SENT: [&str; 2] = [".on.aws", "localhost"];

/// A request, as far as a function needs it. Missing fields are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    cookies: Option<Vec<String>>,
    request_context: RequestContext,
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestContext {
    domain_name: Option<String>,
    http: HttpContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HttpContext {
    method: String,
}

/// An answer for the gateway.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    /// Always empty: the emulator of cargo-lambda refuses an answer without it.
    multi_value_headers: BTreeMap<String, String>,
    /// As that.
    cookies: [String; 0],
    body: String,
    is_base64_encoded: bool,
}

/// Why an event is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the request: {0} is malformed")]
pub struct MalformedEvent(&'static str);

impl Event {
    /// Returns the request. Headers that HTTP does not allow are left out.
    ///
    /// # Errors
    /// The method or a base64 body is malformed.
    pub fn into_request(self) -> Result<Request<Bytes>, MalformedEvent> {
        let uri = self.uri()?;
        let method = Method::from_bytes(self.request_context.http.method.as_bytes());
        let method = method.map_err(|_| MalformedEvent("the method"))?;
        let body = self.body.unwrap_or_default();
        let body = match self.is_base64_encoded {
            true => STANDARD.decode(body).map_err(|_| MalformedEvent("the body"))?.into(),
            false => body.into(),
        };
        let cookies = self.cookies.map(|cookies| (COOKIE.to_string(), Some(cookies.join("; "))));
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.into_iter().flatten().chain(cookies) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value.unwrap_or_default()))
            {
                headers.append(name, value);
            }
        }
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Ok(request)
    }

    fn uri(&self) -> Result<Uri, MalformedEvent> {
        let domain = self.request_context.domain_name.as_deref().unwrap_or_default();
        let as_sent = PATH_AS_SENT.iter().any(|suffix| domain.ends_with(suffix));
        let path = self.raw_path.as_deref().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut uri = format!("{slash}{}", utf8_percent_encode(path, if as_sent { UNSAFE_IN_PATH } else { DECODED }));
        if let Some(query) = self.raw_query_string.as_deref().filter(|query| !query.is_empty()) {
            uri.push('?');
            uri.extend(utf8_percent_encode(query, UNSAFE));
        }
        Uri::try_from(uri).map_err(|_| MalformedEvent("the path"))
    }
}

impl Answer {
    /// The answer with these bytes. They leave as text when they are UTF-8 in no content coding, else encoded: the media type
    /// decides nothing, because a range may cut a character in two.
    pub fn new(response: Response<Bytes>) -> Self {
        let (head, bytes) = response.into_parts();
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let all = headers.entry(name.as_str().to_owned()).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(&value);
        }
        let is_text = !head.headers.contains_key(CONTENT_ENCODING);
        let (body, is_base64_encoded) = match std::str::from_utf8(&bytes) {
            Ok(text) if is_text => (text.to_owned(), false),
            _ => (STANDARD.encode(&bytes), true),
        };
        let status_code = head.status.as_u16();
        Self { status_code, headers, multi_value_headers: BTreeMap::new(), cookies: [], body, is_base64_encoded }
    }
}

/// Whether an answer is within [`ANSWER_BYTES`] when the runtime sends it: as JSON, with all escapes, or in base64.
pub fn fits(response: &Response<Bytes>) -> bool {
    // Six bytes for one is the longest escape; the head has another limit, far below the rest.
    const SURELY_BYTES: usize = ANSWER_BYTES / 6 - (32 << 10);
    if response.body().len() <= SURELY_BYTES {
        return true;
    }
    let mut length = Length(0);
    serde_json::to_writer(&mut length, &Answer::new(response.clone())).is_ok() && length.0 <= ANSWER_BYTES
}

/// Counts the written bytes.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn request(event: serde_json::Value) -> Request<Bytes> {
        serde_json::from_value::<Event>(event).unwrap().into_request().unwrap()
    }

    fn uri(path: &str, query: &str, domain: &str) -> String {
        let context = json!({"domainName": domain, "http": {"method": "GET"}});
        let event = json!({"rawPath": path, "rawQueryString": query, "requestContext": context});
        request(event).uri().to_string()
    }

    #[test]
    fn path_is_encoded_unless_it_is_as_the_client_sent_it() {
        for (path, query, decoded, as_sent) in [
            ("/a b/%41", "", "/a%20b/%2541", "/a%20b/%41"),
            ("//a/../b", "", "//a/../b", "//a/../b"),
            ("/a?b#c", "d?<e>", "/a%3Fb%23c?d?%3Ce%3E", "/a%3Fb%23c?d?%3Ce%3E"),
            ("", "n=%31&m= \"", "/?n=%31&m=%20%22", "/?n=%31&m=%20%22"),
            ("x", "", "/x", "/x"),
            ("/\u{e9}", "\u{e9}", "/%C3%A9?%C3%A9", "/%C3%A9?%C3%A9"),
        ] {
            assert_eq!(uri(path, query, "registry.example.org"), decoded, "{path}");
            assert_eq!(uri(path, query, "x.lambda-url.eu-north-1.on.aws"), as_sent, "{path}");
        }
    }

    #[test]
    fn headers_cookies_and_body_are_taken_over() {
        let request = request(json!({
            "rawPath": "/",
            "headers": {"host": "x", "x-forwarded-proto": "https,http", "bad name": "y", "bad": "\u{1}"},
            "cookies": ["a=1", "b=2"],
            "requestContext": {"http": {"method": "POST"}},
            "body": "AP8=",
            "isBase64Encoded": true,
        }));
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.headers().len(), 3, "{:?}", request.headers());
        assert_eq!(request.headers()[COOKIE], "a=1; b=2");
        assert_eq!(request.body().as_ref(), [0, 255]);
    }

    #[test]
    fn null_in_an_event_counts_as_missing() {
        let event = json!({
            "rawPath": null, "rawQueryString": null, "headers": {"a": null}, "cookies": null, "body": null,
            "requestContext": {"domainName": null, "http": {"method": "GET"}},
        });
        assert_eq!(request(event).uri(), "/");
    }

    #[test]
    fn malformed_event_is_named() {
        let bad = |event| serde_json::from_value::<Event>(event).unwrap().into_request().unwrap_err().0;
        assert_eq!(bad(json!({"requestContext": {"http": {"method": "G T"}}})), "the method");
        let body = json!({"requestContext": {"http": {"method": "GET"}}, "body": "?", "isBase64Encoded": true});
        assert_eq!(bad(body), "the body");
    }

    #[test]
    fn bytes_leave_as_they_are() {
        let bom = "\u{feff}schemaVersion: 2.2.2\n";
        for (media_type, coding, bytes, is_text) in [
            ("text/plain; charset=utf-8", None, "schemaVersion: 2.2.2\n".as_bytes(), true),
            ("text/plain; charset=utf-8", None, bom.as_bytes(), true),
            ("text/plain; charset=utf-8", None, &"é".as_bytes()[..1], false),
            ("image/svg+xml", None, b"\x89\xff\x00", false),
            ("application/json", None, b"{}", true),
            ("application/json", Some("gzip"), b"all of it ASCII", false),
        ] {
            let mut response = Response::builder().header(CONTENT_TYPE, media_type);
            if let Some(coding) = coding {
                response = response.header(CONTENT_ENCODING, coding);
            }
            let answer = Answer::new(response.body(Bytes::from_static(bytes)).unwrap());
            let sent =
                if answer.is_base64_encoded { STANDARD.decode(&answer.body).unwrap() } else { answer.body.into() };
            assert_eq!((sent.as_slice(), answer.is_base64_encoded), (bytes, !is_text), "{media_type} {bytes:?}");
        }
    }

    #[test]
    fn repeated_headers_are_joined() {
        let response = Response::builder().header("link", "<a>").header("link", "<b>").body(Bytes::new()).unwrap();
        assert_eq!(Answer::new(response).headers["link"], "<a>, <b>");
    }

    #[test]
    fn size_counts_escapes_and_base64() {
        let fits = |byte: u8, count: usize| fits(&Response::new(Bytes::from(vec![byte; count])));
        assert!(fits(b'a', ANSWER_BYTES - 200) && !fits(b'a', ANSWER_BYTES));
        assert!(fits(b'"', ANSWER_BYTES / 2 - 200) && !fits(b'"', ANSWER_BYTES / 2));
        assert!(fits(1, ANSWER_BYTES / 6 - 200) && !fits(1, ANSWER_BYTES / 6));
        assert!(fits(255, ANSWER_BYTES / 4 * 3 - 200) && !fits(255, ANSWER_BYTES / 4 * 3));
    }

    proptest! {
        #[test]
        fn every_path_query_and_header_gives_a_request(
            path in any::<String>(),
            query in any::<String>(),
            header in any::<(String, String)>(),
            domain in "(x\\.on\\.aws|x)",
        ) {
            let headers = json!({header.0: header.1});
            let context = json!({"domainName": domain, "http": {"method": "GET"}});
            let event = json!({"rawPath": path, "rawQueryString": query, "headers": headers, "requestContext": context});
            let request = request(event);
            prop_assert!(request.uri().path().starts_with('/'));
        }
    }
}
