//! Parts common to the clients of AWS's APIs, those of S3 aside: region, time, retries, and errors in our words.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::chain;

/// Time for a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// Returns the configuration of a client in a region, whose calls take `time` at most, retries included. Endpoint and credentials are
/// those that the AWS SDK finds in the environment.
pub(crate) async fn config(region: &str, attempts: u32, time: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder();
    let timeouts =
        timeouts.connect_timeout(CONNECT).operation_attempt_timeout(time / 2).operation_timeout(time).build();
    let loader = aws_config::from_env().region(Region::new(region.to_owned())).timeout_config(timeouts);
    loader.retry_config(RetryConfig::standard().with_max_attempts(attempts)).load().await
}

/// Returns the reason of a failed call: the code and the message of the service, or the fault on the way to it. The answer itself, which
/// may hold a secret, is left out.
pub(crate) fn explain<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: Debug,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => chain(error),
    }
}
