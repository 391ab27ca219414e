//! The way of answers through AWS Lambda, byte for byte.
//!
//! An answer of a function is JSON, so its body is either a text or encoded with base64. Which of them does not follow from the
//! media type here: what calls itself text may be something else, or a range that cuts a character in two.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use axum::http::header::CONTENT_ENCODING;
use devfile_registry::telemetry;
use lambda_http::{Body as LambdaBody, IntoResponse, Request, service_fn};

use crate::Observer;

/// Takes requests from the Lambda runtime and answers them, for ever.
///
/// # Errors
/// The runtime ends the connection.
pub async fn run(observer: Arc<Observer>) -> Result<(), lambda_http::Error> {
    // No request has a body that is read.
    let answer = |request: Request| {
        let observer = Arc::clone(&observer);
        async move { Ok::<_, std::convert::Infallible>(Exact(observer.answer(request.map(|_| Body::empty())).await)) }
    };
    lambda_http::run(service_fn(answer)).await
}

/// An answer that leaves as it is.
struct Exact(Response<Body>);

impl IntoResponse for Exact {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<LambdaBody>> + Send>> {
        Box::pin(async move {
            let (mut head, body) = self.0.into_parts();
            let bytes = match axum::body::to_bytes(body, usize::MAX).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::error!(%error, "an answer broke off");
                    head.status = axum::http::StatusCode::BAD_GATEWAY;
                    Default::default()
                }
            };
            // Once the answer has left, the process may be frozen.
            telemetry::flush().await;
            let coded = head.headers.contains_key(CONTENT_ENCODING);
            let body = match String::from_utf8(bytes.into()) {
                Ok(text) if !coded => LambdaBody::Text(text),
                Ok(text) => LambdaBody::Binary(text.into_bytes()),
                Err(other) => LambdaBody::Binary(other.into_bytes()),
            };
            Response::from_parts(head, body)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::CONTENT_TYPE;

    #[tokio::test]
    async fn bytes_stay_what_they_are() {
        let bom = "\u{feff}schemaVersion: 2.2.2\n";
        for (media_type, coding, bytes, is_text) in [
            ("text/plain; charset=utf-8", None, "schemaVersion: 2.2.2\n".as_bytes(), true),
            ("text/plain; charset=utf-8", None, bom.as_bytes(), true),
            ("text/plain; charset=utf-8", None, &"é".as_bytes()[..1], false),
            ("image/svg+xml", None, b"\x89\xff\x00", false),
            ("application/json", None, b"{}", true),
            ("application/json", Some("gzip"), b"all of it ASCII", false),
        ] {
            let mut answer = Response::builder().header(CONTENT_TYPE, media_type);
            if let Some(coding) = coding {
                answer = answer.header(CONTENT_ENCODING, coding);
            }
            let sent = Exact(answer.body(Body::from(bytes.to_vec())).unwrap()).into_response().await;
            assert_eq!(sent.body().as_ref(), bytes, "{media_type}");
            assert_eq!(matches!(sent.body(), LambdaBody::Text(_)), is_text, "{media_type} {bytes:?}");
        }
    }
}
