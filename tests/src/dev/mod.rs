//! A whole registry on this machine, for those who change it: `scripts/dev`.
//!
//! - `settings`: the settings of the functions, and the Git host that they ask
//! - `functions`: the programs, in plain HTTP or behind the Lambda emulator
//! - `log`: their output, as people read it

mod functions;
mod log;
mod settings;

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::Value;

use self::functions::{Functions, Runtime, publish_by_schedule};
use self::settings::{DevSettings, secret, write_private};
use crate::command::lock;
use crate::console::{line, step, table};
use crate::github::GitHub;
use crate::ports::is_free;
use crate::processes::Processes;
use crate::servers::{Bucket, Folders, OciServer, S3Server};

/// Time between two requests until `serve` answers.
const INTERVAL: Duration = Duration::from_millis(500);

/// Delivers the push of the branch's head, with the proof of its host.
const DELIVER: &str = r#"curl "$HOST_CONTROL/deliver" -d '{"url": "'$WEBHOOK_URL'", "secret": "'$WEBHOOK_SECRET'"}'"#;

/// Run a devfile registry on this machine, with an S3 server and an OCI registry.
///
/// Publishes a registry repository from a folder, and again after each change of a file. Prints `ready URL` once the registry answers,
/// then shows logs. When it ends, everything ends that it started.
///
/// Data is kept between runs, so a restart is quick. `. .dev/env` gives a shell the environment that the functions run in.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/dev",
    after_help = "Exit status: 130 after Ctrl-C, 143 after TERM, 1 after an error, whose reason is on stderr."
)]
pub struct DevOptions {
    /// Run both functions behind the Lambda emulator, which builds them again when their code changes, and loses answers meanwhile.
    #[arg(long, conflicts_with_all = ["github", "gitlab"])]
    lambda: bool,
    /// Take the folder, a Git work tree, for a repository on GitHub: publish what is committed when a push is delivered, and preview
    /// proposals.
    #[arg(long, conflicts_with = "gitlab")]
    github: bool,
    /// As --github, for GitLab.
    #[arg(long)]
    gitlab: bool,
    /// Start with an empty bucket and an empty OCI registry.
    #[arg(long)]
    fresh: bool,
    /// The folder of the registry repository.
    #[arg(long, env = "DEV_SOURCE", value_name = "DIR", default_value = "tests/fixtures/registry")]
    source: PathBuf,
    /// The port of the registry.
    #[arg(long, env = "DEV_PORT", default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The folder of data, logs and secrets.
    #[arg(long, env = "DEV_DIR", value_name = "DIR", default_value = ".dev")]
    home: PathBuf,
    /// The folder of the programs `weed`, `docker-registry` and `cargo-lambda`.
    #[arg(long, value_name = "DIR", default_value = ".tools/bin")]
    tools: PathBuf,
    /// An OCI registry, `host:port`, to use instead of one that is started here.
    #[arg(long, env = "DEV_OCI_REGISTRY", value_name = "ADDRESS")]
    oci_registry: Option<String>,
}

/// A Git host that the stand-in can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    GitHub,
    GitLab,
}

impl Host {
    /// Returns its name in paths.
    fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
        }
    }
}

impl DevOptions {
    fn host(&self) -> Option<Host> {
        let hosts = [(self.github, Host::GitHub), (self.gitlab, Host::GitLab)];
        hosts.into_iter().find_map(|(is_wanted, host)| is_wanted.then_some(host))
    }

    /// Checks the options before anything is started, and returns the absolute path of the folder to publish.
    ///
    /// # Errors
    /// The folder cannot be published, or the port is taken.
    fn check(&self) -> Result<PathBuf> {
        let source = self.source.canonicalize();
        let source = source.with_context(|| {
            format!("there is no folder {} to publish; set DEV_SOURCE to a registry repository", self.source.display())
        })?;
        ensure!(
            source.join("stacks").is_dir() || source.join("extraDevfileEntries.yaml").is_file(),
            "{} is no registry repository: it has neither stacks/ nor extraDevfileEntries.yaml",
            source.display()
        );
        if let Some(host) = self.host() {
            ensure!(
                source.join(".git").exists(),
                "{} is no Git work tree, which --{} needs; set DEV_SOURCE to a clone",
                source.display(),
                host.name()
            );
        }
        ensure!(
            is_free(self.port),
            "port {} is taken; end the process that listens there, or set DEV_PORT to another port",
            self.port
        );
        Ok(source)
    }
}

/// Starts everything, and shows logs.
///
/// # Errors
/// Something does not start, or ends by itself.
pub async fn run(options: &DevOptions) -> Result<Infallible> {
    let source = options.check()?;
    let home = &options.home;
    std::fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
    let lock = lock(&home.join("lock"));
    let lock = lock.context("scripts/dev is running already, or ends just now; end it, or set DEV_DIR")?;
    if options.fresh {
        for part in ["s3", "oci"] {
            let folder = home.join(part);
            if folder.exists() {
                std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
    }
    let logs = std::path::absolute(home.join("logs"))?;
    let folders = Folders { tools: std::path::absolute(&options.tools)?, data: home.clone(), logs: logs.clone() };
    folders.create()?;
    // Dropped after the functions, which use the servers.
    let processes = Processes::start(Some(lock.try_clone()?))?;
    let other_registry = options.oci_registry.as_ref().filter(|address| !address.is_empty());
    step("start", if other_registry.is_some() { "SeaweedFS" } else { "SeaweedFS and Distribution" });
    let bucket = Bucket {
        name: "devfile-registry".to_owned(),
        access_key: "devfile".to_owned(),
        secret_key: secret(&home.join("s3-secret"))?,
    };
    let mut s3 = S3Server::start(&processes, &folders, bucket).await?;
    let mut oci = match other_registry {
        Some(_) => None,
        None => Some(OciServer::start(&processes, &folders).await?),
    };
    let oci_address = other_registry.or(oci.as_ref().map(|oci| &oci.address)).context("there is an OCI registry")?;

    let webhook_secret = secret(&home.join("webhook-secret"))?;
    let mut settings = DevSettings::new(&s3, oci_address, &source, &webhook_secret, options.port);
    let _github = match options.host() {
        Some(host) => {
            let github = GitHub::start_example(&source).await?;
            settings.set_host(host, &github);
            Some(github)
        }
        None => None,
    };
    write_private(&home.join("env"), &settings.shell())?;
    let runtime = if options.lambda { Runtime::Emulated } else { Runtime::Plain };
    let of_functions = Processes::start(Some(lock))?;
    let mut functions = Functions::start(runtime, &of_functions, &folders, &settings)?;
    table(&[
        ("registry", format!("{} ({})", settings.url(), runtime.describe())),
        ("bucket", format!("{} at {} (SeaweedFS)", s3.bucket.name, s3.endpoint)),
        ("OCI", format!("{oci_address} ({})", if oci.is_some() { "Distribution" } else { "DEV_OCI_REGISTRY" })),
        ("source", format!("{} ({})", source.display(), settings.get("REGISTRY_REPO_URL"))),
        ("logs", format!("{} (environment: {})", logs.display(), home.join("env").display())),
    ]);

    let url = settings.url();
    let publish = async {
        match runtime {
            Runtime::Plain => std::future::pending().await,
            Runtime::Emulated => publish_by_schedule(&url).await,
        }
    };
    let announce = async {
        ready(&url).await;
        if settings.follows_host() {
            let (folder, env) = (source.display(), home.join("env"));
            step("push", &format!("commit in {folder}, then deliver the push: `. {}; {DELIVER}`", env.display()));
        }
        std::future::pending().await
    };
    let oci_ended = async {
        match &mut oci {
            Some(oci) => oci.process.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = s3.process.ended() => Err(ended),
        ended = oci_ended => Err(ended),
        ended = functions.ended() => Err(ended),
        failed = publish => failed,
        never = announce => never,
    }
}

/// Waits until `serve` answers with the index, and prints its size.
async fn ready(url: &str) {
    let mut requests = tokio::time::interval(INTERVAL);
    let index = loop {
        requests.tick().await;
        if let Ok(answer) = crate::http::get(format!("{url}/v2index/all")).await
            && answer.status().is_success()
            && let Ok(text) = answer.text().await
            && let Ok(Value::Array(entries)) = serde_json::from_str(&text)
        {
            break entries;
        }
    };
    let versions: usize = index.iter().filter_map(|entry| Some(entry.get("versions")?.as_array()?.len())).sum();
    step("serve", &format!("answers with {} entries, {versions} versions", index.len()));
    line(&format!("ready {url}"));
}
