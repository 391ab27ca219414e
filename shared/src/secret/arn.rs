//! Secrets in AWS, by their ARNs.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::OnceCell;

use crate::aws;

/// Time for one read, further attempts included: somebody may wait for the answer to a webhook.
const TIME: Duration = Duration::from_secs(5);

/// Most attempts at one read.
const ATTEMPTS: u32 = 3;

/// The ARN of a secret in Secrets Manager, or of a parameter in the SSM Parameter Store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretArn {
    text: String,
    region: String,
    service: Service,
}

/// The service that an ARN names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    SecretsManager,
    ParameterStore,
}

/// A text is not a [`SecretArn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the ARN of a secret in Secrets Manager (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME) or of a parameter \
     (arn:aws:ssm:REGION:ACCOUNT:parameter/NAME)"
)]
pub(super) struct InvalidArn;

impl FromStr for SecretArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let &["arn", partition, service, region, account, resource] = fields.as_slice() else { return Err(InvalidArn) };
        let (service, name) = match service {
            "secretsmanager" => (Service::SecretsManager, resource.strip_prefix("secret:")),
            "ssm" => (Service::ParameterStore, resource.strip_prefix("parameter/")),
            _ => return Err(InvalidArn),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_whole = partition.starts_with("aws")
            && !region.is_empty()
            && region.chars().all(is_region)
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && name.is_some_and(|name| !name.is_empty() && name.chars().all(is_name));
        is_whole.then(|| Self { text: text.to_owned(), region: region.to_owned(), service }).ok_or(InvalidArn)
    }
}

/// Reads the value of a secret that is current. The error is its reason.
pub(super) type Reader = Box<dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// Returns the reader of a secret; connects nothing yet.
pub(super) fn reader(arn: SecretArn) -> Reader {
    let stored = Arc::new(StoredSecret::new(arn));
    Box::new(move || {
        let stored = Arc::clone(&stored);
        async move { stored.read().await }.boxed()
    })
}

/// A secret in AWS and the client that reads it.
struct StoredSecret {
    arn: SecretArn,
    client: OnceCell<AwsClient>,
}

enum AwsClient {
    SecretsManager(aws_sdk_secretsmanager::Client),
    ParameterStore(aws_sdk_ssm::Client),
}

impl StoredSecret {
    fn new(arn: SecretArn) -> Self {
        Self { arn, client: OnceCell::new() }
    }

    /// Reads the value that is current. The error is its reason.
    ///
    /// API: `GetSecretValue`, `GetParameter`.
    async fn read(&self) -> Result<String, String> {
        let none = || "it has no text".to_owned();
        match self.client.get_or_init(|| self.connect()).await {
            AwsClient::SecretsManager(client) => {
                let read = client.get_secret_value().secret_id(&self.arn.text).send().await;
                read.map_err(|error| aws::explain(&error))?.secret_string.ok_or_else(none)
            }
            AwsClient::ParameterStore(client) => {
                let read = client.get_parameter().name(&self.arn.text).with_decryption(true).send().await;
                let parameter = read.map_err(|error| aws::explain(&error))?.parameter;
                parameter.and_then(|parameter| parameter.value).ok_or_else(none)
            }
        }
    }

    async fn connect(&self) -> AwsClient {
        let config = aws::config(&self.arn.region, ATTEMPTS, TIME).await;
        match self.arn.service {
            Service::SecretsManager => AwsClient::SecretsManager(aws_sdk_secretsmanager::Client::new(&config)),
            Service::ParameterStore => AwsClient::ParameterStore(aws_sdk_ssm::Client::new(&config)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arn_names_its_service_and_region() {
        for (text, region, service) in [
            (
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a/b-x1y2z3",
                "eu-central-1",
                Service::SecretsManager,
            ),
            ("arn:aws-cn:ssm:cn-north-1:123456789012:parameter/a/b", "cn-north-1", Service::ParameterStore),
        ] {
            let arn: SecretArn = text.parse().unwrap();
            assert_eq!((arn.region.as_str(), arn.service, arn.text.as_str()), (region, service, text));
        }
        for text in [
            "",
            "a secret itself",
            "arn:aws:s3:::bucket",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:",
            "arn:aws:secretsmanager::123456789012:secret:a",
            "arn:aws:secretsmanager:eu/central:123456789012:secret:a",
            "arn:aws:secretsmanager:eu-central-1:1234:secret:a",
            "arn:aws:ssm:eu-central-1:123456789012:parameter:a",
            "arn:aws:ssm:eu-central-1:123456789012:document/a",
        ] {
            assert_eq!(text.parse::<SecretArn>(), Err(InvalidArn), "{text}");
        }
    }
}
