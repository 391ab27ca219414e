//! The functions of `scripts/dev`: one program in plain HTTP, or two behind the Lambda emulator.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::task::JoinSet;

use super::log::{self, Unchanged};
use super::settings::DevSettings;
use super::step;
use crate::processes::Processes;
use crate::registry::binary;
use crate::servers::Folders;

/// Time between two refreshes that the schedule of the emulator's functions asks for.
const SCHEDULE: Duration = Duration::from_secs(2);

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
    runtime: Runtime,
    url: String,
    name: &'static str,
    process: Child,
    /// Readers of its output.
    _readers: JoinSet<()>,
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
                ("lambda", command)
            }
        };
        settings.apply(&mut command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start {}", runtime.describe()))?;
        let unchanged = if settings.follows_host() { Unchanged::Shown } else { Unchanged::Hidden };
        let readers = log::follow(&mut process, name, &folders.logs.join(format!("{name}.log")), unchanged)?;
        Ok(Self { runtime, url: settings.url(), name, process, _readers: readers })
    }

    /// Publishes for the first time.
    ///
    /// # Errors
    /// The functions have ended.
    pub(super) async fn publish(&mut self) -> Result<()> {
        if self.runtime == Runtime::Emulated {
            self.invoke().await?;
        }
        Ok(())
    }

    /// Publishes changes, for ever.
    ///
    /// # Errors
    /// The functions have ended.
    pub(super) async fn follow<T>(&mut self) -> Result<T> {
        loop {
            tokio::select! {
                biased;
                ended = self.process.wait() => bail!("{} ended ({}); its log is above", self.name, ended?),
                () = tokio::time::sleep(SCHEDULE), if self.runtime == Runtime::Emulated => {}
            }
            self.invoke().await?;
        }
    }

    /// Asks the emulator for refreshes until one gives a report. It loses answers while it starts a function.
    async fn invoke(&mut self) -> Result<()> {
        let mut last = String::new();
        loop {
            let answer = tokio::select! {
                biased;
                ended = self.process.wait() => bail!("{} ended ({}); its log is above", self.name, ended?),
                answer = invocation(&self.url) => answer,
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if error.to_string() == last => {}
                Err(error) => {
                    last = error.to_string();
                    step("publish", &format!("failed, and is tried again: {last}"));
                }
            }
            tokio::time::sleep(SCHEDULE).await;
        }
    }
}

/// Invokes `refresh` behind the emulator.
async fn invocation(url: &str) -> Result<()> {
    let url = format!("{url}/2015-03-31/functions/refresh/invocations");
    let event = json!({"action": "refresh"}).to_string();
    let answer = crate::http::client().post(url).body(event).send().await.context("the emulator does not answer")?;
    let text = answer.text().await.context("the emulator loses an answer")?;
    match serde_json::from_str::<Value>(&text) {
        Ok(report) if report.get("outcome").is_some() => Ok(()),
        _ => bail!("{text}"),
    }
}
