//! The Lambda runtime: each event of the gateway becomes a request, and its answer leaves byte for byte.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use devfile_registry::gateway::{Answer, Event};
use devfile_registry::telemetry;
use lambda_http::{Error, LambdaEvent, RequestExt, lambda_runtime, service_fn};

use crate::http::problem::Problem;
use crate::observe::Observer;

/// Takes requests from the Lambda runtime and answers them, for ever.
///
/// # Errors
/// The runtime ends the connection.
pub(super) async fn run(observer: Arc<Observer>) -> Result<(), Error> {
    let answer = |event: LambdaEvent<Event>| {
        let observer = Arc::clone(&observer);
        async move { Ok::<_, Error>(answer(&observer, event).await) }
    };
    lambda_runtime::run(service_fn(answer)).await
}

async fn answer(observer: &Observer, LambdaEvent { payload, context }: LambdaEvent<Event>) -> Answer {
    let response = match payload.into_request() {
        Ok(request) => {
            // No request has a body that is read.
            let mut request = request.map(|_| Body::empty());
            if let Some(trace) = context.xray_trace_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
                request.headers_mut().insert("x-amzn-trace-id", trace);
            }
            observer.answer(request.with_lambda_context(context)).await
        }
        Err(malformed) => Problem::new(StatusCode::BAD_REQUEST, malformed.to_string()).into_response(),
    };
    let (mut head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer broke off");
        head.status = StatusCode::BAD_GATEWAY;
        Bytes::new()
    });
    // Once the answer has left, the process may be frozen.
    telemetry::flush().await;
    Answer::new(Response::from_parts(head, bytes))
}
