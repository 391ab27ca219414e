//! The subjects: programs, registries of their own that can be changed, and the ways to run them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::load::Load;
use super::table::megabytes;
use crate::memory::Peak;
use crate::registry::{Serving, TestRegistry, without_servers};

/// The folder `shared` beside the project, with the recorded registry; see `build.rs`.
const SHARED: Option<&str> = option_env!("COMMUNITY");

/// Longest until a server answers `/health` with 200.
const START: Duration = Duration::from_secs(30);

/// Longest that a refresh may take.
const REFRESH: Duration = Duration::from_secs(900);

/// Time between two questions for the health of a server that starts.
const POLL: Duration = Duration::from_millis(1);

/// The levels of logs, without the line that each request has: writing those would take much of the time.
const LEVELS: &str = "info,devfile_registry::request=warn";

/// The secret of the signed requests that trigger a refresh.
pub(super) const WEBHOOK_SECRET: &str = "a webhook secret of the bench";

/// Headers of a request, names and values.
pub(super) type Headers<'h> = [(&'h str, &'h str)];

/// The programs under test, and the registry that they are measured with.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) quick: bool,
    programs: PathBuf,
    published: OnceCell<TestRegistry>,
}

/// A server that has started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) serving: Serving,
    /// Seconds from its start until it was healthy.
    pub(super) seconds: f64,
}

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Seconds from its start to its end.
    pub(super) seconds: f64,
    /// The most memory that it took, in MB; only where it was asked for.
    pub(super) megabytes: f64,
    output: Vec<u8>,
}

impl Stage {
    /// Checks that the programs and the servers are there.
    pub(super) fn new(programs: &Path, quick: bool) -> Result<Self> {
        for variable in ["TEST_S3_ENDPOINT", "TEST_OCI_REGISTRY", "TEST_TOOLS"] {
            ensure!(
                std::env::var_os(variable).is_some(),
                "{variable} is not set; use scripts/bench, which starts servers"
            );
        }
        let programs = std::path::absolute(programs)?;
        let stage = Self { quick, programs, published: OnceCell::new() };
        // Registries start these two.
        stage.program("refresh")?;
        stage.program("serve")?;
        Ok(stage)
    }

    /// Returns one number for a quick run and another for a thorough one.
    pub(super) fn times(&self, quick: usize, thorough: usize) -> usize {
        if self.quick { quick } else { thorough }
    }

    /// Describes the registry.
    pub(super) fn description(&self) -> &'static str {
        if is_community() {
            "the community registry"
        } else {
            "the example of tests/fixtures, as ../shared is not here"
        }
    }

    /// Returns one of the programs, which must be there.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let program = self.programs.join(name);
        ensure!(program.is_file(), "{name} is not in {}; build it, or see --programs", self.programs.display());
        Ok(program)
    }

    /// Returns a copy of the registry that is not published yet.
    pub(super) async fn registry(&self) -> TestRegistry {
        match shared() {
            Some(shared) => self.of(&shared.join("community")).await,
            None => self.of(&TestRegistry::example()).await,
        }
    }

    /// Returns the registry, published.
    pub(super) async fn published(&self) -> Result<&TestRegistry> {
        let publish = async {
            let registry = self.registry().await;
            refresh(&registry).await?;
            anyhow::Ok(registry)
        };
        self.published.get_or_try_init(|| publish).await
    }

    /// Returns a made registry of so many stacks, of two versions on average; `None` where its generator is missing.
    pub(super) async fn large_registry(&self, stacks: usize) -> Result<Option<TestRegistry>> {
        let Some(generator) = shared().map(|shared| shared.join("tools/make-registry")).filter(|file| file.is_file())
        else {
            return Ok(None);
        };
        let empty = tempfile::tempdir()?;
        let registry = self.of(empty.path()).await;
        let mut command = Command::new("python3");
        command.arg(generator).arg(registry.repository.path()).args(["--stacks", &stacks.to_string()]);
        end("make-registry", command, false).await?;
        Ok(Some(registry))
    }

    /// Returns a copy of a registry repository that is not published yet.
    pub(super) async fn of(&self, content: &Path) -> TestRegistry {
        let registry = TestRegistry::of(content).await.with_programs(&self.programs);
        registry.without("REVALIDATE_SECONDS").with("WEBHOOK_SECRET", WEBHOOK_SECRET).with("RUST_LOG", LEVELS)
    }

    /// Starts `serve` and waits until it is healthy.
    pub(super) async fn serve(&self, registry: &TestRegistry) -> Result<Started> {
        started(registry.launch_serve(&[])).await
    }

    /// Starts `serve`, which revalidates with every request, and waits until it is healthy.
    pub(super) async fn serve_following(&self, registry: &TestRegistry) -> Result<Started> {
        started(registry.launch_serve(&[("REVALIDATE_SECONDS", "0")])).await
    }

    /// Starts `devfile-registry preview` and waits until it is healthy.
    pub(super) async fn preview(&self, registry: &TestRegistry) -> Result<Started> {
        let mut command = Command::new(self.program("devfile-registry")?);
        command.arg("preview").arg(registry.repository.path()).args(["--port", "0"]).env_remove("RUST_LOG");
        started(Serving::launch_printing(command, "registry preview ")).await
    }

    /// Starts `devfile-registry run` with a directory and waits until it has published.
    pub(super) async fn run(&self, registry: &TestRegistry, store: &Path) -> Result<Started> {
        let mut command = Command::new(self.program("devfile-registry")?);
        without_servers(&mut command);
        command.arg("run").env("STORE", store).env("REGISTRY_REPO_URL", registry.repository.path());
        let settings = [("LISTEN_ADDR", "127.0.0.1:0"), ("FETCH", "false"), ("RUST_LOG", LEVELS)];
        command.env("WEBHOOK_SECRET", WEBHOOK_SECRET).envs(settings);
        started(Serving::launch(command, "serving on ")).await
    }

    /// Runs `index-generator` with a registry repository, and watches its memory if wanted.
    pub(super) async fn generate_index(&self, registry: &TestRegistry, with_memory: bool) -> Result<Ended> {
        let index = tempfile::NamedTempFile::new()?;
        let mut command = Command::new(self.program("index-generator")?);
        command.args(["--force", "--offline"]).arg(registry.repository.path()).arg(index.path());
        end("index-generator", command, with_memory).await
    }

    /// Loads a path of a server with requests.
    pub(super) async fn load(&self, url: &str, path: &str, headers: &Headers<'_>) -> Result<Load> {
        let time = Duration::from_secs(if self.quick { 2 } else { 8 });
        Load::measure(&format!("{url}{path}"), headers, time).await
    }
}

/// Returns whether the registry is the recorded one, which the figures of the reference server are for.
pub(super) fn is_community() -> bool {
    shared().is_some()
}

fn shared() -> Option<&'static Path> {
    SHARED.map(Path::new).filter(|folder| folder.join("community").is_dir())
}

/// Returns the seconds that one refresh takes as a process, and its report.
pub(super) async fn refresh(registry: &TestRegistry) -> Result<(f64, Value)> {
    let ended = refresh_process(registry, false).await?;
    Ok((ended.seconds, serde_json::from_slice(&ended.output)?))
}

/// Runs one refresh as a process, and watches its memory if wanted.
pub(super) async fn refresh_process(registry: &TestRegistry, with_memory: bool) -> Result<Ended> {
    let command = registry.invocation(&json!({"action": "refresh"}));
    let ended = tokio::time::timeout(REFRESH, end("refresh", command, with_memory)).await;
    ended.with_context(|| format!("refresh does not end within {REFRESH:?}"))?
}

/// Runs a program to its end, to the instant.
async fn end(name: &str, mut command: Command, with_memory: bool) -> Result<Ended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let begin = Instant::now();
    let process = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let peak = process.id().filter(|_| with_memory).map(Peak::of);
    let output = process.wait_with_output().await?;
    let seconds = begin.elapsed().as_secs_f64();
    let megabytes = megabytes(peak.map_or(0, |peak| peak.so_far()));
    ensure!(output.status.success(), "{name} fails ({}): {}", output.status, last_line(&output.stderr));
    Ok(Ended { seconds, megabytes, output: output.stdout })
}

fn last_line(log: &[u8]) -> String {
    String::from_utf8_lossy(log).lines().next_back().unwrap_or_default().to_owned()
}

/// Starts a server and asks until it is healthy.
async fn started(start: impl Future<Output = Result<Serving>>) -> Result<Started> {
    let begin = Instant::now();
    let started = async {
        let mut serving = start.await?;
        let health = format!("{}/health", serving.url);
        let mut requests = tokio::time::interval(POLL);
        requests.tick().await;
        while !crate::http::get(&health).await.is_ok_and(|answer| answer.status() == 200) {
            if let Some(status) = serving.ended() {
                bail!("a server ended ({status}) before it was healthy");
            }
            requests.tick().await;
        }
        Ok(Started { seconds: begin.elapsed().as_secs_f64(), serving })
    };
    let started = tokio::time::timeout(START, started).await;
    started.with_context(|| format!("a server is not healthy within {START:?}"))?
}

/// Returns the body of an answer, which must be a good one.
pub(super) async fn read(serving: &Serving, path: &str, headers: &Headers<'_>) -> Result<Bytes> {
    let answer = serving.ask("GET", path, headers).await;
    // Starter projects are answered with 202.
    if !matches!(answer.status, 200 | 202) {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        bail!("{path} is answered with {}: {}", answer.status, body.chars().take(200).collect::<String>());
    }
    Ok(answer.body)
}

/// Returns the JSON of an answer, which must be a good one.
pub(super) async fn read_json(serving: &Serving, path: &str, headers: &Headers<'_>) -> Result<Value> {
    let body = read(serving, path, headers).await?;
    serde_json::from_slice(&body).with_context(|| format!("{path} is not JSON"))
}

/// Returns the memory that a server holds, in MB.
pub(super) fn memory(serving: &Serving) -> f64 {
    megabytes(serving.memory())
}

/// Returns the path of the viewer's page about a stack.
pub(super) async fn viewer_path(serving: &Serving, stack: &str) -> Result<String> {
    let status = read_json(serving, "/status", &[]).await?;
    let name = status["name"].as_str().context("the registry has a name")?.to_lowercase().replace(' ', "-");
    Ok(format!("/viewer/devfiles/{name}/{stack}"))
}
