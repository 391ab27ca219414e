//! Amazon ECR: the addresses of its registries, their tokens, and the creation of repositories, which pushes do not cause by themselves.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::BuildError;
use aws_sdk_ecr::operation::create_repository::CreateRepositoryError;
use aws_sdk_ecr::types::{EncryptionConfiguration, EncryptionType, ImageTagMutability, Tag};
use futures_util::future::{BoxFuture, FutureExt};
use http::HeaderValue;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

use super::answer::CallError;
use crate::aws;
use crate::limits;

/// Time for one call of the ECR API, further attempts included.
const TIME: Duration = Duration::from_secs(20);

/// Most attempts at one call. ECR limits the rate of creations, and a first publication creates a repository for each stack.
const ATTEMPTS: u32 = 6;

/// Seconds before its end at which a token is no longer used: longer than any call takes.
const SPARE_SECONDS: i64 = 300;

/// A host of ECR, `ACCOUNT.dkr.ecr.REGION.amazonaws.com` with `.cn` behind it in China.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EcrHost {
    account: String,
    region: String,
}

impl EcrHost {
    /// Returns the parts of a host; `None` when it is no host of ECR.
    pub(super) fn parse(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once(".dkr.ecr.")?;
        let (region, domain) = rest.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_region = region.split('-').count() >= 3 && region.split('-').all(|word| !word.is_empty());
        let is_domain = matches!(domain, "amazonaws.com" | "amazonaws.com.cn");
        (is_account && is_region && is_domain).then(|| Self { account: account.to_owned(), region: region.to_owned() })
    }
}

/// The repositories of Amazon ECR that are created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EcrRepositories {
    /// The key that encrypts them in place of ECR's own.
    pub kms_key: Option<KmsKey>,
    /// Their tags.
    pub tags: Option<EcrTags>,
}

/// A key of KMS: its ARN, its id or `alias/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKey(String);

/// Tags of repositories, as `KEY=VALUE,KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrTags(Vec<(String, String)>);

/// A text is no [`KmsKey`] or no [`EcrTags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not accepted by Amazon ECR")]
pub struct InvalidEcrOption;

impl FromStr for KmsKey {
    type Err = InvalidEcrOption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '/');
        let is_key = (1..=limits::KMS_KEY_CHARS).contains(&text.len()) && text.chars().all(is_known);
        is_key.then(|| Self(text.to_owned())).ok_or(InvalidEcrOption)
    }
}

impl FromStr for EcrTags {
    type Err = InvalidEcrOption;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_known =
            |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@');
        let mut tags: Vec<(String, String)> = Vec::new();
        for tag in text.split(',') {
            let (key, value) = tag.split_once('=').ok_or(InvalidEcrOption)?;
            let (key, value) = (key.trim(), value.trim());
            let is_tag = (1..=limits::ECR_TAG_KEY_CHARS).contains(&key.chars().count())
                && value.chars().count() <= limits::ECR_TAG_VALUE_CHARS
                && !key.to_ascii_lowercase().starts_with("aws:")
                && key.chars().chain(value.chars()).all(is_known);
            if !is_tag || tags.iter().any(|(other, _)| other == key) || tags.len() == limits::ECR_TAGS {
                return Err(InvalidEcrOption);
            }
            tags.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(tags))
    }
}

impl EcrRepositories {
    fn encryption(&self) -> Result<EncryptionConfiguration, BuildError> {
        let kind = if self.kms_key.is_some() { EncryptionType::Kms } else { EncryptionType::Aes256 };
        let key = self.kms_key.as_ref().map(|KmsKey(key)| key.clone());
        EncryptionConfiguration::builder().encryption_type(kind).set_kms_key(key).build()
    }

    fn tags(&self) -> Result<Vec<Tag>, BuildError> {
        let tags = self.tags.iter().flat_map(|EcrTags(tags)| tags);
        tags.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
    }
}

/// The ECR API for one registry.
pub(super) struct Ecr {
    host: EcrHost,
    repositories: EcrRepositories,
    client: OnceCell<Client>,
    token: Mutex<Option<Token>>,
    /// The repositories that were created, and when.
    created: Mutex<HashMap<String, Instant>>,
}

/// A token, which opens all repositories.
struct Token {
    header: HeaderValue,
    expires_at_seconds: i64,
}

impl Ecr {
    /// Connects nothing yet.
    pub(super) fn new(host: EcrHost, repositories: EcrRepositories) -> Self {
        Self { host, repositories, client: OnceCell::new(), token: Mutex::default(), created: Mutex::default() }
    }

    async fn client(&self) -> &Client {
        let connect = || async { Client::new(&aws::config(&self.host.region, ATTEMPTS, TIME).await) };
        self.client.get_or_init(connect).await
    }

    /// Returns the value of an `Authorization` header, from a token that lasts for the call.
    ///
    /// API: `GetAuthorizationToken`; a token is a user name and a password as basic authentication wants them, and lasts 12 hours.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, CallError> {
        let mut token = self.token.lock().await;
        let soon = jiff::Timestamp::now().as_second().saturating_add(SPARE_SECONDS);
        if let Some(known) = token.as_ref().filter(|known| known.expires_at_seconds > soon) {
            return Ok(known.header.clone());
        }
        Ok(token.insert(self.new_token().await?).header.clone())
    }

    /// Gets a new token.
    fn new_token(&self) -> BoxFuture<'_, Result<Token, CallError>> {
        // Of no named type, because the futures of a refresh nest deeper than the compiler follows.
        async {
            let failed = |reason: &str| CallError::Final(format!("cannot get a token from ECR: {reason}"));
            let answer = self.client().await.get_authorization_token().send().await;
            let answer = answer.map_err(|error| failed(&aws::explain(&error)))?;
            let data = answer.authorization_data().first().ok_or_else(|| failed("its answer has none"))?;
            let text = data.authorization_token().ok_or_else(|| failed("its answer has none"))?;
            let expires_at_seconds = data.expires_at().map_or(0, |end| end.secs());
            let header = HeaderValue::try_from(format!("Basic {text}"));
            let mut header = header.map_err(|_| failed("its answer has control characters"))?;
            header.set_sensitive(true);
            Ok(Token { header, expires_at_seconds })
        }
        .boxed()
    }

    /// Forgets a token that the registry refused.
    pub(super) async fn refused(&self, header: Option<&HeaderValue>) {
        // Another call may have a new one already.
        self.token.lock().await.take_if(|known| Some(&known.header) == header);
    }

    /// Creates a repository that the registry did not know, unless another call has created it since then.
    pub(super) async fn create(&self, repository: &str, since: Instant) -> Result<(), CallError> {
        let mut created = self.created.lock().await;
        if created.get(repository).is_some_and(|time| *time >= since) {
            return Ok(());
        }
        self.ensure(repository).await?;
        created.insert(repository.to_owned(), Instant::now());
        Ok(())
    }

    /// Creates a repository, unless it exists.
    ///
    /// API: `CreateRepository`; tags must be mutable, because those of versions and of the index move.
    fn ensure<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<(), CallError>> {
        async move {
            let failed = |reason: String| {
                CallError::Final(format!("cannot create the repository {repository} in ECR: {reason}"))
            };
            let encryption = self.repositories.encryption().map_err(|error| failed(error.to_string()))?;
            let tags = self.repositories.tags().map_err(|error| failed(error.to_string()))?;
            let call = self.client().await.create_repository().registry_id(&self.host.account);
            let call = call.repository_name(repository).image_tag_mutability(ImageTagMutability::Mutable);
            match call.encryption_configuration(encryption).set_tags(Some(tags)).send().await {
                Ok(_) => {
                    tracing::info!(repository, "created a repository in ECR");
                    Ok(())
                }
                Err(error) => match error.as_service_error() {
                    Some(CreateRepositoryError::RepositoryAlreadyExistsException(_)) => Ok(()),
                    _ => Err(failed(aws::explain(&error))),
                },
            }
        }
        .boxed()
    }
}

impl fmt::Debug for Ecr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ecr").field("host", &self.host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_what_ecr_takes() {
        let tags: EcrTags = "team=stacks, cost centre=12/b@x,empty=".parse().unwrap();
        let expected = [("team", "stacks"), ("cost centre", "12/b@x"), ("empty", "")];
        assert_eq!(tags.0, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let (long, many) = (format!("{}=x", "k".repeat(129)), ["k=v"; 2].join(","));
        let too_many = (0..51).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
        for wrong in ["", "team", "=x", "aws:x=1", "AWS:x=1", "a=1;b=2", "a=1,", &long, &many, &too_many] {
            assert_eq!(wrong.parse::<EcrTags>(), Err(InvalidEcrOption), "{wrong}");
        }
    }

    #[test]
    fn key_is_an_arn_an_id_or_an_alias() {
        let arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        for key in [arn, "1234abcd-12ab-34cd-56ef-1234567890ab", "alias/registry"] {
            assert_eq!(key.parse::<KmsKey>(), Ok(KmsKey(key.to_owned())));
        }
        for wrong in ["", "a key", "{}", &"k".repeat(2049)] {
            assert_eq!(wrong.parse::<KmsKey>(), Err(InvalidEcrOption));
        }
    }

    #[test]
    fn host_of_ecr_has_an_account_and_a_region() {
        for (host, region) in [
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
            ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ] {
            let found = EcrHost::parse(host).unwrap();
            assert_eq!((found.account.as_str(), found.region.as_str()), ("123456789012", region));
        }
        for host in [
            "ghcr.io",
            "public.ecr.aws",
            "12345.dkr.ecr.eu-central-1.amazonaws.com",
            "12345678901x.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-central-1.evil.example",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com:443",
            "evil.123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        ] {
            assert_eq!(EcrHost::parse(host), None, "{host}");
        }
    }
}
