//! The functions of `scripts/dev`: one program in plain HTTP, or two behind the Lambda emulator.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::log::{self, Unchanged};
use super::settings::DevSettings;
use crate::console::step;
use crate::processes::Processes;
use crate::registry::binary;
use crate::servers::Folders;

/// Time between two refreshes that the schedule of the emulator's functions asks for.
const SCHEDULE: Duration = Duration::from_secs(2);

/// Longest until the emulator gives a report, with the build of a changed function.
const REPORT: Duration = Duration::from_secs(900);

/// Longest until the rest of the output of a program is shown that has ended.
const REST: Duration = Duration::from_secs(2);

/// The way in which the functions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runtime {
    /// As `devfile-registry run`, whose schedule publishes.
    Plain,
    /// Under `cargo lambda watch`. Its functions have no schedule, so this program invokes them.
    Emulated,
}

impl Runtime {
    /// Describes it.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Plain => "devfile-registry run",
            Self::Emulated => "Lambda emulator",
        }
    }
}

/// The functions, running.
#[derive(Debug)]
pub(super) struct Functions {
    name: &'static str,
    process: Child,
    output: Vec<JoinHandle<()>>,
}

impl Functions {
    /// Starts them.
    ///
    /// # Errors
    /// A program does not start.
    pub(super) fn start(
        runtime: Runtime,
        processes: &Processes,
        folders: &Folders,
        settings: &DevSettings,
    ) -> Result<Self> {
        let (name, mut command) = match runtime {
            Runtime::Plain => {
                let mut command = processes.command(binary("devfile-registry"));
                command.arg("run");
                ("registry", command)
            }
            Runtime::Emulated => {
                let mut command = processes.command(folders.tools.join("cargo-lambda"));
                command.args(["lambda", "watch", "-A", "127.0.0.1", "-P", &settings.port().to_string()]);
                command.env("AWS_ENDPOINT_URL_LAMBDA", settings.url());
                command
                    .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace has a folder")?);
                ("lambda", command)
            }
        };
        settings.apply(&mut command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start {}", runtime.describe()))?;
        let unchanged = if settings.follows_host() { Unchanged::Shown } else { Unchanged::Hidden };
        let output = log::show(&mut process, name, &folders.logs.join(format!("{name}.log")), unchanged)?;
        Ok(Self { name, process, output })
    }

    /// Waits for their end, and returns it as an error.
    pub(super) async fn ended(&mut self) -> Error {
        let status = self.process.wait().await;
        for reader in &mut self.output {
            // A process that it has started may hold the pipe.
            let _ = tokio::time::timeout(REST, reader).await;
        }
        match status {
            Ok(status) => anyhow!("{} ended ({status}); its log is above", self.name),
            Err(error) => error.into(),
        }
    }
}

/// Invokes `refresh` behind the emulator again and again, in place of a schedule.
///
/// # Errors
/// There is no report for too long.
pub(super) async fn publish_by_schedule(url: &str) -> Result<Infallible> {
    let mut schedule = interval(SCHEDULE);
    schedule.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut since, mut last) = (Instant::now(), String::new());
    loop {
        schedule.tick().await;
        // The emulator loses answers while it starts a function.
        match invoke(url).await {
            Ok(()) => (since, last) = (Instant::now(), String::new()),
            Err(error) => {
                ensure!(since.elapsed() < REPORT, "there is no report within {REPORT:?}: {error:#}");
                let message = error.to_string();
                if message != last {
                    step("publish", &format!("failed, and is tried again: {message}"));
                }
                last = message;
            }
        }
    }
}

/// Invokes `refresh` behind the emulator, once.
async fn invoke(url: &str) -> Result<()> {
    let url = format!("{url}/2015-03-31/functions/refresh/invocations");
    let event = json!({"action": "refresh"}).to_string();
    let answer = crate::http::client().post(url).body(event).send().await.context("the emulator does not answer")?;
    let text = answer.text().await.context("the emulator loses an answer")?;
    match serde_json::from_str::<Value>(&text) {
        Ok(report) if report.get("outcome").is_some() => Ok(()),
        _ => bail!("{text}"),
    }
}
