//! Work that outlasts an answer: a Lambda function that has answered is frozen, so it hands the work to another invocation of
//! itself.

use std::fmt;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use crate::action::Action;

/// Time for the call, its tries included: a webhook is answered within two seconds.
const TIME: Duration = Duration::from_millis(1900);

/// The function itself, to be invoked.
pub(crate) struct Handover {
    client: Client,
    function: String,
}

/// Why the work was not taken.
#[derive(Debug, thiserror::Error)]
#[error("the function {function} could not be invoked: {reason}")]
pub(crate) struct HandoverError {
    function: String,
    reason: String,
}

impl Handover {
    /// This function, if it is one: `AWS_LAMBDA_FUNCTION_NAME`. Endpoint and credentials are found as the AWS SDK does.
    pub(crate) async fn from_env() -> Option<Self> {
        let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok().filter(|name| !name.is_empty())?;
        std::env::var_os("AWS_LAMBDA_RUNTIME_API")?;
        let timeouts =
            TimeoutConfig::builder().connect_timeout(Duration::from_millis(500)).operation_timeout(TIME).build();
        let config = aws_config::from_env()
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts)
            .load()
            .await;
        Some(Self { client: Client::new(&config), function })
    }

    /// Hands an action over. Nobody waits for its result.
    pub(crate) async fn invoke(&self, action: &Action) -> Result<(), HandoverError> {
        let failed = |reason: String| HandoverError { function: self.function.clone(), reason };
        let payload = serde_json::to_vec(action).map_err(|error| failed(error.to_string()))?;
        let call = self.client.invoke().function_name(&self.function).invocation_type(InvocationType::Event);
        let sent = call.payload(Blob::new(payload)).send().await;
        sent.map(drop).map_err(|error| failed(DisplayErrorContext(error).to_string()))
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("function", &self.function).finish_non_exhaustive()
    }
}
