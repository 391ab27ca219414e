//! What `refresh` is told by its environment.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use devfile_registry::environment::Environment;
use devfile_registry::publish::Strictness;
use devfile_registry::registry::{Credentials, RegistryAddress};
use devfile_registry::source::LocalSource;
use devfile_registry::source::github::{self, GitHubRepository, GitHubSource};

use crate::auth::webhook::WebhookSecret;
use crate::source::Repository;

/// The configuration of `refresh`.
#[derive(Debug)]
pub struct Config {
    /// `REGISTRY_REPO_URL`, `REGISTRY_REPO_BRANCH`, `GITHUB_API_URL`, `GITHUB_TOKEN`: the registry repository; none when
    /// dynamic updates are off.
    pub repository: Option<Repository>,
    /// `OCI_REGISTRY`
    pub registry: RegistryAddress,
    /// `OCI_USERNAME`, `OCI_PASSWORD`
    pub credentials: Option<Credentials>,
    /// `CACHE_BUCKET`
    pub bucket: String,
    /// `STRICT`
    pub strictness: Strictness,
    /// `WEBHOOK_SECRET`
    pub secret: Option<WebhookSecret>,
    /// `LISTEN_ADDR`
    pub listen: SocketAddr,
    /// `METRICS_ADDR`: where plain HTTP shows metrics; none when it does not.
    pub metrics: Option<SocketAddr>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Everything that is missing or malformed, at once.
    pub fn from_env() -> anyhow::Result<Self> {
        let mut environment = Environment::of_process();
        let url: Option<String> = environment.optional("REGISTRY_REPO_URL", "a GitHub URL or a local folder");
        let branch: Option<String> = environment.optional("REGISTRY_REPO_BRANCH", "the name of a branch");
        let api_url: Option<String> = environment.optional("GITHUB_API_URL", "the URL of a GitHub API");
        let token: Option<String> = environment.optional("GITHUB_TOKEN", "a token of GitHub");
        let registry =
            environment.required::<String>("OCI_REGISTRY", "the OCI registry: host, host:port or host/namespace");
        let address = registry.parse::<RegistryAddress>();
        if let Err(reason) = &address
            && !registry.is_empty()
        {
            environment.reject(format!("OCI_REGISTRY: {reason}"));
        }
        let username: Option<String> = environment.optional("OCI_USERNAME", "a user name");
        let password: Option<String> = environment.optional("OCI_PASSWORD", "a password");
        if username.is_some() != password.is_some() {
            environment.reject("OCI_USERNAME and OCI_PASSWORD go together; set both or none");
        }
        let bucket = environment.required("CACHE_BUCKET", "the name of the S3 bucket that serve reads");
        let strict = environment.or("STRICT", "true or false", false);
        let secret: Option<String> = environment.optional("WEBHOOK_SECRET", "the secret of the webhook");
        let secret = secret.and_then(|secret| match WebhookSecret::new(&secret) {
            Ok(secret) => Some(secret),
            Err(reason) => {
                environment.reject(format!("WEBHOOK_SECRET: {reason}"));
                None
            }
        });
        let listen = environment.or("LISTEN_ADDR", "an address and port", SocketAddr::from(([127, 0, 0, 1], 8080)));
        let metrics = environment.optional("METRICS_ADDR", "an address and port, such as 127.0.0.1:9101");
        environment.finish()?;
        let repository = url.map(|url| repository(&url, branch.as_deref(), api_url.as_deref(), token)).transpose()?;
        Ok(Self {
            repository,
            registry: address?,
            credentials: username.zip(password).map(|(username, password)| Credentials { username, password }),
            bucket,
            strictness: if strict { Strictness::Strict } else { Strictness::Quarantine },
            secret,
            listen,
            metrics,
        })
    }
}

fn repository(
    url: &str,
    branch: Option<&str>,
    api_url: Option<&str>,
    token: Option<String>,
) -> anyhow::Result<Repository> {
    if !url.contains("://") {
        return Ok(Repository::Local(LocalSource::new(Path::new(url)).context("REGISTRY_REPO_URL")?));
    }
    let mut repository: GitHubRepository = url.parse().context("REGISTRY_REPO_URL")?;
    if let Some(branch) = branch {
        repository = repository.on_branch(branch).context("REGISTRY_REPO_BRANCH")?;
    }
    let credentials = token.map_or(github::Credentials::Anonymous, github::Credentials::Token);
    Ok(Repository::GitHub(Box::new(GitHubSource::new(repository, api_url, credentials)?)))
}
