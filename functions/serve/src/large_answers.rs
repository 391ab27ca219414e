//! Answers within the limit of AWS Lambda, which counts them as the runtime sends them.
//!
//! A large body is compressed if the client accepts it. An answer that is too large all the same becomes a redirect to a stored copy
//! if there is one, else an error that says so; a metric counts both. Plain HTTP has no such limit.

use axum::body::{Body, to_bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    LOCATION,
};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use devfile_registry::gateway::{ANSWER_BYTES, fits};
use devfile_registry::limits::COMPRESSED_ABOVE_BYTES;

use crate::http::body::{Caching, compressed, header, is_known};
use crate::http::problem::Problem;
use crate::release::blobs::URL_VALID;
use crate::state::App;

/// The key of the object in the bucket that has the bytes of an answer, as an extension of the answer.
#[derive(Debug, Clone)]
pub(crate) struct Stored(pub(crate) String);

/// The answer did not fit, as an extension of the one that took its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Oversized;

/// Makes an answer to a request with these headers fit.
pub(crate) async fn fit(app: &App, request: &HeaderMap, response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "an answer broke off");
            return Problem::new(StatusCode::BAD_GATEWAY, "the content in the store of this registry is damaged")
                .into_response();
        }
    };
    let mut response = Response::from_parts(head, bytes);
    if is_compressible(&response)
        && let Some((coding, bytes)) = compressed(request, response.body().clone()).await
    {
        response = coded(request, response, coding, bytes);
    }
    if fits(&response) {
        return response.map(Body::from);
    }
    let mut instead = match response.extensions().get::<Stored>() {
        Some(Stored(key)) => redirect(app, key).await.unwrap_or_else(|| too_large(&response)),
        None => too_large(&response),
    };
    // The route stays that of the answer, for the log.
    *instead.extensions_mut() = std::mem::take(response.extensions_mut());
    instead.extensions_mut().insert(Oversized);
    instead
}

/// Whether a body is large and in no coding yet, and compression gains something.
fn is_compressible(response: &Response<Bytes>) -> bool {
    let headers = response.headers();
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_text = media_type.starts_with("text/") || media_type.ends_with("json") || media_type.ends_with("+xml");
    response.body().len() > COMPRESSED_ABOVE_BYTES
        && is_text
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
}

fn coded(request: &HeaderMap, response: Response<Bytes>, coding: &'static str, bytes: Bytes) -> Response<Bytes> {
    let (mut head, _) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let tag = head.headers.get(ETAG).and_then(|tag| tag.to_str().ok()?.strip_suffix('"'));
    if let Some(tag) = tag.map(|tag| format!("{tag}-{coding}\"")) {
        head.headers.insert(ETAG, header(&tag));
        if is_known(request, &[&tag]) {
            head.status = StatusCode::NOT_MODIFIED;
            head.headers.remove(CONTENT_TYPE);
            return Response::from_parts(head, Bytes::new());
        }
    }
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    Response::from_parts(head, bytes)
}

async fn redirect(app: &App, key: &str) -> Option<Response<Body>> {
    let url = app.live.cache().presign(key, URL_VALID).await;
    let url = url.inspect_err(|error| tracing::warn!(%error, "cannot redirect a large answer")).ok()?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(LOCATION, header(&url));
    response.headers_mut().insert(CACHE_CONTROL, Caching::Never.header());
    Some(response)
}

fn too_large(response: &Response<Bytes>) -> Response<Body> {
    let bytes = response.body().len();
    tracing::warn!(bytes, limit = ANSWER_BYTES, "an answer is larger than AWS Lambda takes");
    let limit = format!("the answer is larger than the {ANSWER_BYTES} bytes that AWS Lambda takes");
    let problem = if response.headers().contains_key(CONTENT_ENCODING) || !is_compressible(response) {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{limit}; ask for less of it"))
    } else {
        Problem::new(StatusCode::NOT_ACCEPTABLE, format!("{limit}; send Accept-Encoding: gzip, or ask for less of it"))
    };
    problem.into_response()
}
