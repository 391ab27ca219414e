//! All calls to the S3 server: time limits, retries, spans and errors.

use std::time::Duration;

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::context;
use crate::error::chain;
use crate::telemetry::{Kind, Span};
use crate::trace::TRACEPARENT;

/// Slowest connection over which a write still succeeds, in bytes per second.
const SLOWEST_UPLOAD: u64 = 1 << 20;

/// S3's codes for a conditional write that met another one. It asks for the same request again (S3 user guide, "How to prevent
/// object overwrites with conditional writes").
const CONFLICTS: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];

/// Returns the time that a write of so many bytes takes at most, beside `waiting`, which is the time of a write without bytes.
pub(super) fn write_time(size: u64, waiting: Duration) -> Duration {
    waiting.saturating_add(Duration::from_secs(size / SLOWEST_UPLOAD))
}

/// Returns the configuration of a call with other time limits: for one attempt, and for all of them.
pub(super) fn within(attempt: Duration, all: Duration) -> Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(all).build();
    Builder::new().timeout_config(timeouts)
}

/// Adds [`CONFLICTS`] to the answers that the SDK retries. It retries 503 `SlowDown` by itself, with growing pauses.
#[derive(Debug)]
pub(super) struct RetryConflicts;

impl ClassifyRetry for RetryConflicts {
    fn classify_retry(&self, call: &InterceptorContext) -> RetryAction {
        let error = call.output_or_error().and_then(Result::err);
        let error = error.and_then(|error| error.as_operation_error());
        let code = error.and_then(|error| error.downcast_ref::<PutObjectError>()).and_then(|error| error.code());
        if code.is_some_and(|code| CONFLICTS.contains(&code)) {
            return RetryAction::transient_error();
        }
        RetryAction::NoActionIndicated
    }

    fn name(&self) -> &'static str {
        "RetryConflicts"
    }
}

/// Makes each call, retries included, a span below that of its cause, and counts it there.
#[derive(Debug)]
pub(super) struct InContext;

impl Storable for Span {
    type Storer = StoreReplace<Self>;
}

impl Intercept for InContext {
    fn name(&self) -> &'static str {
        "InContext"
    }

    // The request is signed by now. A header that is not part of the signature is allowed, and proxies may change it.
    fn modify_before_transmit(
        &self,
        call: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        known: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context::count_bucket_call();
        let span = Span::begin(Kind::Client, "S3", context::trace());
        if let Some(operation) = known.load::<Metadata>() {
            span.rename(format_args!("S3.{}", operation.name()));
            span.set("rpc.method", operation.name());
        }
        span.set("rpc.system", "aws-api");
        span.set("rpc.service", "S3");
        if let Some(position) = span.position() {
            call.request_mut().headers_mut().insert(TRACEPARENT, position.to_string());
        }
        known.interceptor_state().store_put(span);
        Ok(())
    }

    /// The SDK takes every 2xx for a success. One that the operation does not have is of something else than an S3 server.
    fn read_before_deserialization(
        &self,
        call: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        known: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = call.response().status().as_u16();
        let expected: &[u16] = match known.load::<Metadata>().map(|operation| operation.name()) {
            Some("DeleteObject") => &[200, 204],
            // The latter to a range.
            Some("GetObject") => &[200, 206],
            _ => &[200],
        };
        if (200..300).contains(&status) && !expected.contains(&status) {
            return Err(format!("the server answered {status} where {} is the answer of success", expected[0]).into());
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        call: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        known: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(span) = known.load::<Span>() else { return Ok(()) };
        match call.response().map(|response| response.status().as_u16()) {
            Some(status) => {
                span.set("http.response.status_code", status);
                // A missing object, or one in another state than the condition, is an answer like any other.
                if status >= 400 && !matches!(status, 404 | 409 | 412) {
                    span.fail(status.to_string().as_str());
                }
            }
            None => span.fail("no_answer"),
        }
        span.end();
        Ok(())
    }
}

pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Returns the shortest text that names the fault: the server's words, or the chain down to the refused connection.
pub(super) fn explain<E>(error: SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match (status(&error), error.code(), error.message()) {
        (Some(status), Some(code), Some(message)) => format!("{status} {code}: {message}"),
        (Some(status), Some(code), None) => format!("{status} {code}"),
        _ => chain(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{RELEASE_BYTES, STARTER_BYTES, TREE_BYTES};

    #[test]
    fn time_of_a_write_is_never_below_what_its_size_needs() {
        let waiting = Duration::from_secs(15);
        assert_eq!(write_time(1000, waiting), waiting, "a small body keeps the minimum");
        for size in [STARTER_BYTES, RELEASE_BYTES, TREE_BYTES] {
            assert_eq!(write_time(size, waiting), waiting + Duration::from_secs(size >> 20));
        }
    }
}
