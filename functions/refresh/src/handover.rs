//! Continuation of work after an answer. Lambda freezes a function once it has answered, so the
//! function passes the work to another invocation: of itself, or of the function that the template
//! names.

use std::fmt;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;

use crate::action::Action;

/// Time limit for the call with its retries. A webhook gets its answer within two seconds.
const TIME: Duration = Duration::from_millis(1400);

/// Time limit for a connection.
const CONNECT: Duration = Duration::from_millis(500);

/// A client that invokes the refresh function.
pub(crate) struct Handover {
    client: Client,
    function: String,
    answers: Answers,
}

/// The moment at which a call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// After Lambda has queued the work.
    AtOnce,
    /// After the work is done. Emulators of Lambda process one event at a time, so a caller inside
    /// an event would wait forever; they do not freeze the function either.
    AtTheEnd,
}

/// The reason why another invocation did not accept the work.
#[derive(Debug, thiserror::Error)]
#[error("the function {function} could not be invoked: {reason}")]
pub(crate) struct HandoverError {
    function: String,
    reason: String,
}

impl Handover {
    /// Returns a client of `REFRESH_FUNCTION`, which only the template sets, or else of this
    /// function, `AWS_LAMBDA_FUNCTION_NAME`; `None` outside AWS Lambda. The AWS SDK finds the
    /// endpoint and the credentials.
    pub(crate) async fn from_env() -> Option<Self> {
        let named = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
        std::env::var_os("AWS_LAMBDA_RUNTIME_API")?;
        let own = named("AWS_LAMBDA_FUNCTION_NAME")?;
        let function = named("REFRESH_FUNCTION").unwrap_or(own);
        let emulated = std::env::var_os("AWS_ENDPOINT_URL_LAMBDA").is_some_and(|url| !url.is_empty());
        let answers = if emulated { Answers::AtTheEnd } else { Answers::AtOnce };
        let mut timeouts = TimeoutConfig::builder();
        timeouts.set_connect_timeout(Some(CONNECT));
        timeouts.set_operation_timeout((answers == Answers::AtOnce).then_some(TIME));
        let config = aws_config::from_env()
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(timeouts.build())
            .load()
            .await;
        Some(Self { client: Client::new(&config), function, answers })
    }

    /// Invokes the function with an action, without waiting for the result.
    pub(crate) async fn invoke(&self, action: &Action) -> Result<(), HandoverError> {
        let failed = |reason: String| HandoverError { function: self.function.clone(), reason };
        let payload = serde_json::to_vec(action).map_err(|error| failed(error.to_string()))?;
        let call = self.client.invoke().function_name(&self.function).invocation_type(InvocationType::Event);
        let sent = call.payload(Blob::new(payload)).send();
        match self.answers {
            Answers::AtOnce => sent.await.map(drop).map_err(|error| failed(DisplayErrorContext(error).to_string())),
            Answers::AtTheEnd => {
                tokio::spawn(async move {
                    if let Err(error) = sent.await {
                        tracing::error!(error = %DisplayErrorContext(error), "the action in the other invocation failed");
                    }
                });
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("function", &self.function).finish_non_exhaustive()
    }
}
