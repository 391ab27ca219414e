//! The world of a run: a repository, GitHub, stores, proxies in front of them, and the programs under test.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::functions::{RunningFunction, Secret};
use super::plan::Target;
use super::releases::{Known, Publisher, Repository};
use crate::github::GitHub;
use crate::registry::{TestRegistry, server};
use crate::tcp_proxy::{TcpFault, TcpProxy};

/// Longest until a function answers `/health` as it must.
const START: Duration = Duration::from_secs(30);

/// All that runs; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct World {
    /// The first answers readers, the last takes triggers; one may do both.
    pub(super) functions: Vec<RunningFunction>,
    pub(super) proxies: HashMap<Target, TcpProxy>,
    pub(super) known: Arc<Known>,
    pub(super) publisher: Arc<Publisher>,
    _github: GitHub,
    _store: TempDir,
}

/// The settings of programs, and the secrets among them.
struct Settings {
    variables: Vec<(String, String)>,
    secrets: Vec<Secret>,
}

impl Settings {
    fn set(&mut self, variable: &str, value: impl Into<String>) {
        self.variables.push((variable.to_owned(), value.into()));
    }

    fn set_secret(&mut self, variable: &str, name: &'static str) -> String {
        let value = format!("secret-of-{name}-{}", std::process::id());
        self.set(variable, &value);
        self.secrets.push((name, value.clone()));
        value
    }
}

impl World {
    /// Starts everything, with a directory or with servers, and publishes for the first time.
    pub(super) async fn start(programs: &Path, in_directory: bool) -> Result<Self> {
        let known = Arc::new(Known::default());
        let repository = Arc::new(Repository::new(Arc::clone(&known))?);
        repository.commit()?;
        let github = GitHub::start_example(repository.folder()).await?;
        let to_github = TcpProxy::start(address(github.url())).await?;
        let url = format!("http://{}", to_github.address());
        let mut settings = Settings { variables: Vec::new(), secrets: Vec::new() };
        settings.set("REGISTRY_REPO_URL", format!("{url}/example/registry"));
        settings.set("GITHUB_API_URL", url);
        settings.set_secret("GITHUB_TOKEN", "github");
        let webhook = settings.set_secret("WEBHOOK_SECRET", "webhook");
        settings.set("REVALIDATE_SECONDS", "1");
        settings.set("LISTEN_ADDR", "127.0.0.1:0");

        let (store, mut proxies) = (tempfile::tempdir()?, HashMap::from([(Target::GitHub, to_github)]));
        let functions = if in_directory {
            settings.set("STORE", store.path().join("store").display().to_string());
            settings.set("SCHEDULE_SECONDS", "5");
            vec![start_one(programs, &settings).await?]
        } else {
            let to_oci = TcpProxy::start(&server("TEST_OCI_REGISTRY")).await?;
            let mut to_bucket = TcpProxy::start(address(&server("TEST_S3_ENDPOINT"))).await?;
            let name = TestRegistry::of(store.path()).await.name;
            settings.secrets.push(("s3", server("AWS_SECRET_ACCESS_KEY")));
            settings.set("AWS_ENDPOINT_URL_S3", format!("http://{}", to_bucket.address()));
            settings.set("CACHE_BUCKET", &name);
            settings.set("OCI_REGISTRY", format!("{}/{name}", to_oci.address()));
            settings.set("OCI_USERNAME", "soak");
            settings.set_secret("OCI_PASSWORD", "oci");
            let functions = start_both(programs, &settings, &mut to_bucket).await?;
            proxies.extend([(Target::Bucket, to_bucket), (Target::OciRegistry, to_oci)]);
            functions
        };
        let triggered = functions.last().context("a function runs")?;
        let publisher = Publisher::new(repository, triggered.url(), webhook);
        ensure!(publisher.publish().await?, "the first refresh fails");
        until_health(&functions[0], 200).await?;
        Ok(Self { functions, proxies, known, publisher: Arc::new(publisher), _github: github, _store: store })
    }
}

/// Starts the single process, and waits until it answers from a release.
async fn start_one(programs: &Path, settings: &Settings) -> Result<RunningFunction> {
    let program = programs.join("devfile-registry");
    let start =
        RunningFunction::start("serve", &program, &["run"], "serving on ", &settings.variables, &settings.secrets);
    let function = start.await?;
    until_health(&function, 200).await?;
    Ok(function)
}

/// Starts both functions while nobody listens at the bucket, so that `serve` has no release yet.
async fn start_both(programs: &Path, settings: &Settings, to_bucket: &mut TcpProxy) -> Result<Vec<RunningFunction>> {
    to_bucket.fail(TcpFault::Refuse).await?;
    let Settings { variables, secrets } = settings;
    let serve =
        RunningFunction::start("serve", &programs.join("serve"), &[], "serving on ", variables, secrets).await?;
    let refresh =
        RunningFunction::start("refresh", &programs.join("refresh"), &[], "listening on ", variables, secrets).await?;
    until_health(&serve, 503).await?;
    to_bucket.heal().await?;
    Ok(vec![serve, refresh])
}

async fn until_health(function: &RunningFunction, status: u16) -> Result<()> {
    let answered = async { while function.health().await.status != status {} };
    let waited = tokio::time::timeout(START, answered).await;
    waited.with_context(|| format!("{} does not answer /health with {status} within {START:?}", function.name))
}

/// Returns the address, `host:port`, of a base URL.
pub(super) fn address(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}
