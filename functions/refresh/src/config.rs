//! The configuration of `refresh`, read from the environment.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use devfile_registry::cache::{Cache, RetryPolicy};
use devfile_registry::directory::Directory;
use devfile_registry::environment::{Environment, InvalidEnvironment};
use devfile_registry::git::{GitCredentials, RepositoryUrl};
use devfile_registry::preview::Policy as PreviewPolicy;
use devfile_registry::public_url::PublicUrl;
use devfile_registry::publish::Strictness;
use devfile_registry::registry::{Credentials, EcrRepositories, ImageLayouts, OciRegistry, Record, RegistryAddress};
use devfile_registry::secret::Secret;
use devfile_registry::settings::{self, Setting};
use devfile_registry::source::feedback::{self, Feedback};
use devfile_registry::source::github::{self, AppKey, GitHub, GitHubCredentials};
use devfile_registry::source::{GitAccess, GitSource, LocalSource};
use devfile_registry::upstream::UpstreamFetcher;

use crate::auth::gate::Access;
use crate::auth::keys::Discovery;
use crate::auth::oidc::{OidcVerifier, Policy};
use crate::auth::webhook::WebhookSecret;
use crate::hosts;
use crate::source::{Hosted, RegistryRepository};

/// The configuration of `refresh`.
#[derive(Debug)]
pub struct Config {
    /// `REGISTRY_REPO_URL`, `REGISTRY_REPO_BRANCH`, `GIT_CREDENTIALS`, `GITHUB_API_URL`, and `GITHUB_TOKEN` or `GITHUB_APP_ID` with
    /// `GITHUB_APP_KEY`, `STATUS_TOKEN`: the registry repository.
    pub repository: RegistryRepository,
    /// `STORE`; or `CACHE_BUCKET`, `OCI_REGISTRY`, `OCI_ENDPOINT`, `ECR_KMS_KEY`, `ECR_TAGS`, `OCI_USERNAME` and `OCI_PASSWORD`
    pub stores: Stores,
    /// `STRICT`
    pub strictness: Strictness,
    /// `FETCH_HOSTS`, `FETCH_ALLOW_LOOPBACK`, `GIT_CREDENTIALS`, `STRICT_ICONS`, `OFFLINE`: limits on fetches of upstream content.
    pub fetcher: UpstreamFetcher,
    /// `PREVIEWS`, `PUBLIC_URL`: previews of proposals; `None` when they are off.
    pub previews: Option<PreviewSettings>,
    /// `WEBHOOK_SECRET`; `OIDC_AUDIENCE`, `OIDC_REPOSITORY_ID`, `OIDC_ISSUER`, `OIDC_JOB_WORKFLOW_REF`
    pub access: Access,
    /// `LISTEN_ADDR`
    pub listen: SocketAddr,
    /// `METRICS_ADDR`: the address of the metrics over plain HTTP; `None` when it is unset.
    pub metrics: Option<SocketAddr>,
}

/// The settings of previews.
#[derive(Debug)]
pub struct PreviewSettings {
    /// The proposals that get a preview.
    pub policy: PreviewPolicy,
    /// A separate client of the registry repository.
    pub repository: RegistryRepository,
    /// Fetches of upstream content without the credentials of `GIT_CREDENTIALS`: a proposal chooses
    /// the URLs, and its preview is public.
    pub fetcher: UpstreamFetcher,
    /// The URL of the registry, for links.
    pub public_url: Option<PublicUrl>,
}

/// The stores to publish to.
#[derive(Debug)]
pub enum Stores {
    /// A directory for both.
    Directory(Directory),
    /// A bucket on an S3 server, by its name, and an OCI registry.
    Servers {
        /// The name of the bucket.
        bucket: String,
        /// The OCI registry.
        registry: OciRegistry,
    },
}

impl Stores {
    /// Creates the clients. It sends nothing.
    pub(crate) async fn open(self) -> (Record, Cache) {
        match self {
            Self::Directory(directory) => {
                (Record::Layouts(ImageLayouts::new(directory.clone())), Cache::in_directory(directory))
            }
            Self::Servers { bucket, registry } => {
                (Record::Oci(registry), Cache::from_env(bucket, RetryPolicy::Writer).await)
            }
        }
    }
}

impl Config {
    /// Reads the environment. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// Returns all missing and malformed settings at once.
    pub fn from_env() -> Result<Self, InvalidEnvironment> {
        Self::read(Environment::of_process())
    }

    fn read(mut environment: Environment) -> Result<Self, InvalidEnvironment> {
        let hosts = GitCredentials::from_environment(&mut environment);
        let repository = repository(&mut environment, &hosts);
        let stores = stores(&mut environment);
        let strict: bool = environment.or_default(&settings::STRICT);
        let previews = previews(&mut environment, &hosts);
        let fetcher = UpstreamFetcher::from_environment(&mut environment, hosts);
        let access = Access { secret: secret(&mut environment), workflows: workflows(&mut environment) };
        let listen = environment.or_default(&settings::LISTEN_ADDR);
        let metrics = environment.optional(&settings::METRICS_ADDR);
        environment.finish()?;
        Ok(Self {
            repository: repository.unwrap_or(RegistryRepository::Off),
            stores: stores?,
            strictness: if strict { Strictness::Strict } else { Strictness::Quarantine },
            fetcher,
            previews,
            access,
            listen,
            metrics,
        })
    }
}

/// Fails when the environment or the directory of the stores is invalid; the environment records
/// the reason.
fn stores(environment: &mut Environment) -> Result<Stores, InvalidEnvironment> {
    if let Some(folder) = environment.store() {
        let opened = Directory::open(&folder).map(Stores::Directory);
        let refused = |error| format!("{}: cannot write {}: {error}", settings::STORE.name, folder.display());
        return opened.map_err(|error| environment.refuse(refused(error)));
    }
    let endpoint = environment.optional(&settings::OCI_ENDPOINT);
    let (kms_key, tags) = (environment.optional(&settings::ECR_KMS_KEY), environment.optional(&settings::ECR_TAGS));
    let username: Option<String> = environment.optional(&settings::OCI_USERNAME);
    let password = Secret::from_environment(environment, &settings::OCI_PASSWORD, any);
    let credentials = pair(environment, (&settings::OCI_USERNAME, username), (&settings::OCI_PASSWORD, password));
    let bucket: String = environment.required(&settings::CACHE_BUCKET);
    let address: Option<String> = environment.optional(&settings::OCI_REGISTRY);
    let address = address.ok_or_else(|| environment.refuse_missing(&settings::OCI_REGISTRY))?;
    let address = address
        .parse::<RegistryAddress>()
        .map_err(|reason| environment.refuse(format!("{}: {reason}", settings::OCI_REGISTRY.name)))?;
    let address = address.at(endpoint).creating(EcrRepositories { kms_key, tags });
    let credentials = credentials.map(|(username, password)| Credentials { username, password });
    Ok(Stores::Servers { bucket, registry: OciRegistry::new(address, credentials) })
}

fn previews(environment: &mut Environment, hosts: &GitCredentials) -> Option<PreviewSettings> {
    let policy: PreviewPolicy = environment.or_default(&settings::PREVIEWS);
    let public_url = environment.optional(&settings::PUBLIC_URL);
    if policy == PreviewPolicy::Off {
        return None;
    }
    let repository = repository(environment, hosts)?;
    let fetcher = UpstreamFetcher::from_environment(environment, GitCredentials::default());
    Some(PreviewSettings { policy, repository, fetcher, public_url })
}

/// Reads two settings that require each other, the second a secret.
fn pair(
    environment: &mut Environment,
    (setting, value): (&Setting, Option<String>),
    (of_secret, secret): (&Setting, Option<Secret>),
) -> Option<(String, Secret)> {
    if value.is_some() != of_secret.variables().any(|variable| environment.is_set(&variable)) {
        environment.reject(format!("{} and {} go together; set both or none", setting.name, of_secret.name));
    }
    value.zip(secret)
}

/// Accepts any value.
fn any(_: &str) -> Result<(), Infallible> {
    Ok(())
}

/// Unwraps a value, or records the fault of a variable.
fn accept<T, E: std::fmt::Display>(environment: &mut Environment, name: &str, value: Result<T, E>) -> Option<T> {
    value.map_err(|reason| environment.reject(format!("{name}: {reason}"))).ok()
}

fn secret(environment: &mut Environment) -> Option<Secret> {
    let check = |text: &str| WebhookSecret::new(text).map(drop);
    Secret::from_environment(environment, &settings::WEBHOOK_SECRET, check)
}

fn workflows(environment: &mut Environment) -> Option<OidcVerifier<Discovery>> {
    let issuer: String = environment.or_default(&settings::OIDC_ISSUER);
    let job_workflow_ref = environment.optional(&settings::OIDC_JOB_WORKFLOW_REF);
    let audience: Option<String> = environment.optional(&settings::OIDC_AUDIENCE);
    let repository_id: Option<u64> = environment.optional(&settings::OIDC_REPOSITORY_ID);
    let (audience, repository_id) = match (audience, repository_id) {
        (Some(audience), Some(repository_id)) => (audience, repository_id),
        (None, None) => {
            if job_workflow_ref.is_some() {
                environment.reject("OIDC_JOB_WORKFLOW_REF needs OIDC_AUDIENCE and OIDC_REPOSITORY_ID");
            }
            return None;
        }
        _ => {
            environment.reject("OIDC_AUDIENCE and OIDC_REPOSITORY_ID go together; set both or none");
            return None;
        }
    };
    let issuer = issuer.trim_end_matches('/').to_owned();
    let name = settings::OIDC_ISSUER.name;
    let claims =
        accept(environment, name, hosts::claims_of(&issuer).ok_or("no known host issues tokens under this URL"))?;
    let keys = accept(environment, name, Discovery::new(&issuer))?;
    Some(OidcVerifier::new(Policy { issuer, audience, claims, repository_id, job_workflow_ref }, keys))
}

/// Returns `None` when the variable is unset or invalid.
fn repository(environment: &mut Environment, hosts: &GitCredentials) -> Option<RegistryRepository> {
    let url: Option<String> = environment.optional(&settings::REGISTRY_REPO_URL);
    let branch: Option<String> = environment.optional(&settings::REGISTRY_REPO_BRANCH);
    let api_url: Option<String> = environment.optional(&settings::GITHUB_API_URL);
    let credentials = github_credentials(environment);
    let status_token = Secret::from_environment(environment, &settings::STATUS_TOKEN, feedback::check_token);
    let url = url?;
    if !url.contains("://") && !url.contains('@') {
        if branch.is_some() {
            environment.reject("REGISTRY_REPO_BRANCH needs the URL of a repository; a folder is published as it is");
        }
        let source = accept(environment, settings::REGISTRY_REPO_URL.name, LocalSource::new(Path::new(&url)))?;
        return Some(RegistryRepository::Local(source));
    }
    let mut repository: RepositoryUrl = accept(environment, settings::REGISTRY_REPO_URL.name, url.parse())?;
    if let Some(branch) = branch {
        repository = accept(environment, settings::REGISTRY_REPO_BRANCH.name, repository.on_branch(&branch))?;
    }
    let credentials = credentials?;
    let has_credentials = !matches!(credentials, GitHubCredentials::Anonymous);
    let github = if GitHub::is_host_of(&repository) || api_url.is_some() || has_credentials {
        let github = GitHub::new(&repository, api_url.as_deref(), credentials.clone());
        Some(Arc::new(accept(environment, settings::REGISTRY_REPO_URL.name, github)?))
    } else {
        None
    };
    let access = match (credentials, &github) {
        (GitHubCredentials::Token(token), _) => GitAccess::Token(token),
        (GitHubCredentials::App(_), Some(github)) => GitAccess::App(Arc::clone(github)),
        _ => GitAccess::of_host(hosts, &repository),
    };
    let feedback = match (status_token, &github) {
        (Some(token), _) => {
            let feedback = Feedback::with_token(&repository, token);
            Some(accept(environment, settings::STATUS_TOKEN.name, feedback)?)
        }
        (None, Some(github)) => Some(Feedback::on_github(Arc::clone(github))),
        (None, None) => None,
    };
    Some(RegistryRepository::Git(Box::new(Hosted { source: GitSource::new(repository, access), github, feedback })))
}

fn github_credentials(environment: &mut Environment) -> Option<GitHubCredentials> {
    let token = Secret::from_environment(environment, &settings::GITHUB_TOKEN, github::check_token);
    let id: Option<String> = environment.optional(&settings::GITHUB_APP_ID);
    let key = Secret::from_environment(environment, &settings::GITHUB_APP_KEY, AppKey::check);
    if token.is_some() && id.is_some() {
        environment.reject("GITHUB_TOKEN and GITHUB_APP_ID exclude each other; set one of them");
    }
    match (token, pair(environment, (&settings::GITHUB_APP_ID, id), (&settings::GITHUB_APP_KEY, key))) {
        (Some(token), _) => Some(GitHubCredentials::Token(token)),
        (None, Some((id, key))) => {
            accept(environment, settings::GITHUB_APP_ID.name, AppKey::new(&id, key)).map(GitHubCredentials::App)
        }
        (None, None) => Some(GitHubCredentials::Anonymous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &'static [(&'static str, &'static str)]) -> Result<Config, String> {
        let lookup = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Config::read(Environment::new(lookup)).map_err(|error| error.to_string())
    }

    const ENOUGH: [(&str, &str); 2] = [("OCI_REGISTRY", "127.0.0.1:5000"), ("CACHE_BUCKET", "bucket")];

    #[tokio::test]
    async fn settings_that_are_declared_for_this_function_are_read_and_no_others() {
        let read = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let noted = Arc::clone(&read);
        let lookup = move |name: &str| {
            noted.lock().unwrap().insert(name.to_owned());
            ENOUGH.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Config::read(Environment::new(lookup)).unwrap();
        let declared = settings::of(settings::Function::Refresh).flat_map(|(setting, _)| setting.variables());
        assert_eq!(*read.lock().unwrap(), declared.collect());
    }

    #[tokio::test]
    async fn store_takes_the_place_of_both_servers() {
        let folder = tempfile::tempdir().unwrap();
        let of = |more: &[(&str, &str)]| {
            let store = folder.path().join("a/store").display().to_string();
            let variables = [vec![("STORE", &*store)], more.to_vec()].concat();
            let leaked = |text: &str| -> &'static str { text.to_owned().leak() };
            let variables: Vec<_> = variables.into_iter().map(|(name, value)| (leaked(name), leaked(value))).collect();
            read(variables.leak())
        };
        assert!(matches!(of(&[]).unwrap().stores, Stores::Directory(_)));
        assert!(folder.path().join("a/store/tmp").is_dir(), "a directory that cannot be written would be named");
        for server in [
            ENOUGH[0],
            ENOUGH[1],
            ("OCI_ENDPOINT", "127.0.0.1:5000"),
            ("OCI_USERNAME", "somebody"),
            ("OCI_PASSWORD", "a password"),
            ("OCI_PASSWORD_FILE", "/run/secrets/password"),
            ("ECR_KMS_KEY", "alias/registry"),
            ("ECR_TAGS", "team=stacks"),
        ] {
            let error = of(&[server]).unwrap_err();
            assert_eq!(error.lines().count(), 2, "{error}");
            let expected =
                format!("STORE excludes {}; set STORE alone, or the settings of servers without it", server.0);
            assert!(error.ends_with(&expected), "{error}");
        }
        let error = of(&[ENOUGH[0], ENOUGH[1], ("OCI_USERNAME", "somebody")]).unwrap_err();
        assert!(error.contains("STORE excludes CACHE_BUCKET, OCI_REGISTRY, OCI_USERNAME; "), "{error}");
        std::fs::remove_dir_all(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a"), "a file").unwrap();
        let error = of(&[]).unwrap_err();
        assert!(error.contains("STORE: cannot write ") && error.lines().count() == 2, "{error}");
    }

    #[tokio::test]
    async fn configuration_without_repository_and_secret_is_valid() {
        let config = read(&ENOUGH).unwrap();
        assert!(matches!(config.repository, RegistryRepository::Off));
        assert!(config.access.secret.is_none() && config.access.workflows.is_none());
    }

    #[tokio::test]
    async fn previews_fetch_without_credentials() {
        let hosts = ("GIT_CREDENTIALS", "git.example.org=reader:secret");
        let repository = ("REGISTRY_REPO_URL", "https://git.example.org/clay/registry");
        let off = read(vec![ENOUGH[0], ENOUGH[1], repository, hosts].leak()).unwrap();
        assert!(off.previews.is_none());
        let on = read(vec![ENOUGH[0], ENOUGH[1], repository, hosts, ("PREVIEWS", "members")].leak()).unwrap();
        let has_credentials = |fetcher: &UpstreamFetcher| !format!("{fetcher:?}").contains("GitCredentials(None)");
        assert!(has_credentials(&on.fetcher) && !has_credentials(&on.previews.unwrap().fetcher));
        let error = read(vec![ENOUGH[0], ENOUGH[1], ("PREVIEWS", "all")].leak()).unwrap_err();
        assert!(error.contains("PREVIEWS is malformed; set it to off, members or labelled"), "{error}");
    }

    #[tokio::test]
    async fn configuration_has_the_value_of_every_setting() {
        let config = read(&[
            ENOUGH[0],
            ENOUGH[1],
            ("REGISTRY_REPO_URL", "https://github.com/example/registry"),
            ("REGISTRY_REPO_BRANCH", "stable"),
            ("GITHUB_TOKEN", "ghp_token"),
            ("STATUS_TOKEN", "gitea:status_token"),
            ("WEBHOOK_SECRET", "a secret of some length"),
            ("OIDC_AUDIENCE", "https://registry.example.com"),
            ("OIDC_REPOSITORY_ID", "42"),
        ])
        .unwrap();
        let RegistryRepository::Git(hosted) = &config.repository else { panic!("{:?}", config.repository) };
        let repository = hosted.source.repository();
        assert_eq!((repository.branch(), repository.path()), (Some("stable"), "example/registry"));
        assert!(hosted.github.is_some());
        assert!(config.access.secret.is_some() && config.access.workflows.is_some());
        let shown = format!("{:?}", config.access) + &format!("{:?}", config.repository);
        assert!(
            !shown.contains("ghp_token") && !shown.contains("status_token") && !shown.contains("some length"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn branch_of_a_folder_is_refused() {
        let folder = ("REGISTRY_REPO_URL", concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/registry"));
        let error = read(vec![ENOUGH[0], ENOUGH[1], folder, ("REGISTRY_REPO_BRANCH", "stable")].leak()).unwrap_err();
        assert!(error.contains("REGISTRY_REPO_BRANCH needs the URL of a repository"), "{error}");
        assert!(read(vec![ENOUGH[0], ENOUGH[1], folder].leak()).is_ok());
    }

    #[tokio::test]
    async fn all_mistakes_are_named_at_once() {
        let error = read(&[
            ("REGISTRY_REPO_URL", "https://user:s3cret@github.com/example/registry"),
            ("OCI_REGISTRY", "https://127.0.0.1"),
            ("OCI_USERNAME", "somebody"),
            ("GITHUB_APP_ID", "1"),
            ("WEBHOOK_SECRET", "short"),
            ("OIDC_AUDIENCE", "https://registry.example.com"),
            ("OIDC_REPOSITORY_ID", "example/registry"),
            ("STRICT", "maybe"),
        ])
        .unwrap_err();
        for name in [
            "REGISTRY_REPO_URL: the repository URL has credentials in it",
            "OCI_REGISTRY: ",
            "OCI_USERNAME and OCI_PASSWORD go together",
            "GITHUB_APP_ID and GITHUB_APP_KEY go together",
            "CACHE_BUCKET is not set",
            "WEBHOOK_SECRET: ",
            "OIDC_REPOSITORY_ID is malformed",
            "STRICT is malformed",
        ] {
            assert!(error.contains(name), "{name} in {error}");
        }
        assert!(!error.contains("s3cret"));
    }

    #[tokio::test]
    async fn repository_may_be_on_any_git_host_and_not_over_ssh() {
        let of = |url: &'static str| {
            let variables = vec![
                ENOUGH[0],
                ENOUGH[1],
                ("REGISTRY_REPO_URL", url),
                ("GIT_CREDENTIALS", "git.example.org=ci:s3cret"),
            ];
            read(Box::leak(variables.into_boxed_slice()))
        };
        let config = of("https://git.example.org/team/group/registry.git/tree/next").unwrap();
        let RegistryRepository::Git(hosted) = &config.repository else { panic!("{:?}", config.repository) };
        assert_eq!((hosted.source.repository().branch(), hosted.github.is_none()), (Some("next"), true));
        let shown = format!("{:?}", config.repository);
        assert!(!shown.contains("s3cret") && !shown.contains("Y2k6"), "{shown}");
        let error = of("git@git.example.org:team/registry.git").unwrap_err();
        assert!(error.contains("write https://git.example.org/team/registry.git"), "{error}");
    }

    #[tokio::test]
    async fn token_beside_an_app_is_refused() {
        let both = read(&[
            ENOUGH[0],
            ENOUGH[1],
            ("REGISTRY_REPO_URL", "https://github.com/example/registry"),
            ("GITHUB_TOKEN", "ghp_token"),
            ("GITHUB_APP_ID", "1"),
            ("GITHUB_APP_KEY", "key"),
        ]);
        assert!(both.unwrap_err().contains("exclude each other"));
    }
}
