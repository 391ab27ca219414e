//! The programs under test, and their logs, which are read to their end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::registry::{Serving, announced, without_servers};

/// Longest that a program may take to end, and its log.
const END: Duration = Duration::from_secs(30);

const REQUEST: &str = r#""message":"request""#;

/// A secret: its name, and its value, which no log may hold.
pub(super) type Secret = (&'static str, String);

/// A log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Lines about requests.
    pub(super) requests: u64,
    /// The names of the secrets in it.
    pub(super) leaks: BTreeSet<&'static str>,
    /// Its last line.
    pub(super) last: String,
}

impl Log {
    fn add(&mut self, line: String, secrets: &[Secret]) {
        self.requests += u64::from(line.contains(REQUEST));
        self.leaks.extend(secrets.iter().filter(|(_, value)| line.contains(value)).map(|(name, _)| *name));
        self.last = line;
    }

    async fn read(mut self, mut lines: UnboundedReceiver<String>, secrets: Vec<Secret>) -> Self {
        while let Some(line) = lines.recv().await {
            self.add(line, &secrets);
        }
        self
    }
}

/// A running program.
#[derive(Debug)]
pub(super) struct RunningFunction {
    pub(super) name: &'static str,
    serving: Serving,
    /// The URL of its metrics.
    pub(super) metrics: String,
    log: JoinHandle<Log>,
    polls: AtomicU64,
}

impl RunningFunction {
    /// Starts a program and waits until it listens, for metrics as well.
    pub(super) async fn start(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        announcement: &str,
        variables: &[(String, String)],
        secrets: &[Secret],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        if variables.iter().any(|(variable, _)| variable == "STORE") {
            without_servers(&mut command);
        }
        command.args(arguments).envs(variables.iter().cloned()).env("METRICS_ADDR", "127.0.0.1:0");
        let mut serving = Serving::launch(command, announcement).await?;
        let mut lines = serving.take_log();
        let mut log = Log::default();
        let metrics = loop {
            let line = lines.recv().await.with_context(|| format!("{name} ended: {}", log.last))?;
            let metrics = announced(&line, "metrics at ");
            log.add(line, secrets);
            if let Some(metrics) = metrics {
                break metrics;
            }
        };
        let log = tokio::spawn(log.read(lines, secrets.to_vec()));
        Ok(Self { name, serving, metrics, log, polls: AtomicU64::new(0) })
    }

    /// Returns its URL.
    pub(super) fn url(&self) -> &str {
        &self.serving.url
    }

    /// Asks for its health.
    pub(super) async fn health(&self) -> Answer {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.serving.ask("GET", "/health", &[]).await
    }

    /// Returns the number of times that its health was asked for.
    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Returns the memory that it holds now, in MB.
    pub(super) fn memory_mb(&self) -> f64 {
        self.serving.memory() as f64 / f64::from(1 << 20)
    }

    /// Fails if it has ended.
    pub(super) async fn check(&mut self) -> Result<()> {
        if let Some(status) = self.serving.ended() {
            let log = tokio::time::timeout(END, &mut self.log).await.context("its log does not end")??;
            bail!("{} ended ({status}): {}", self.name, log.last);
        }
        Ok(())
    }

    /// Asks it to end, and returns its whole log.
    pub(super) async fn end(self) -> Result<Log> {
        let Self { name, serving, log, .. } = self;
        let ended = async {
            serving.stop().await;
            log.await
        };
        let ended = tokio::time::timeout(END, ended).await;
        Ok(ended.with_context(|| format!("{name} does not end within {END:?}"))??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_counted_and_secrets_found() {
        let secrets = vec![("webhook", "f00d".to_owned()), ("s3", "cafe".to_owned())];
        for (lines, requests, leaks) in [
            (&[][..], 0, &[][..]),
            (&[r#"{"message":"request","status":200}"#, r#"{"message":"requested"}"#], 1, &[]),
            (&["caf", r#"{"message":"request","id":"f00d"}"#, r#"{"message":"request"}"#], 2, &["webhook"]),
            (&["f00d and cafe"], 0, &["s3", "webhook"]),
        ] {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            for line in lines {
                sender.send((*line).to_owned()).unwrap();
            }
            drop(sender);
            let log = Log::default().read(receiver, secrets.clone()).await;
            assert_eq!(
                (log.requests, log.leaks.into_iter().collect::<Vec<_>>()),
                (requests, leaks.to_vec()),
                "{lines:?}"
            );
        }
    }
}
