//! Processes that end with the program that starts them, even if that one is killed.
//!
//! Each carries a mark in its environment. All that it starts inherit the mark, also those that open a session of their own, as the
//! functions of the Lambda emulator do. A guardian (`bin/guardian.rs`) waits for the end of a pipe whose other end only the starter
//! has, and then ends all that carry the mark.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::ports::random;
use crate::registry::binary;

/// The variable that carries the marks: of this program, after those of the programs that started it, with slashes between.
const MARKS: &str = "DEVFILE_REGISTRY_RUN";

/// Time that marked processes have to end. An orderly end of the S3 server takes two seconds, more when the machine is busy. A caller that ends
/// this program must wait for longer (scripts/lib/processes.py).
const GRACE: Duration = Duration::from_secs(8);

/// Time between two lists of the marked processes.
const INTERVAL: Duration = Duration::from_millis(50);

/// A group of processes. All that they have started have ended once this is dropped.
#[derive(Debug)]
pub struct Processes {
    marks: String,
    guardian: std::process::Child,
}

/// A running process whose output is a file.
#[derive(Debug)]
pub struct Logged {
    name: &'static str,
    process: Child,
    log: PathBuf,
}

impl Processes {
    /// Starts the guardian, which keeps a lock until all has ended.
    ///
    /// # Errors
    /// The guardian does not start.
    pub fn start(lock: Option<File>) -> Result<Self> {
        let mark = format!("{}-{:x}", std::process::id(), random());
        let mut command = std::process::Command::new(binary("guardian"));
        command.arg(&mark).env_remove(MARKS).stdin(Stdio::piped()).process_group(0);
        command.stdout(lock.map_or_else(Stdio::null, Stdio::from)).stderr(Stdio::null());
        let guardian = command.spawn().context("cannot start the guardian of processes")?;
        let marks = std::env::var(MARKS).into_iter().chain([mark]).collect::<Vec<_>>().join("/");
        Ok(Self { marks, guardian })
    }

    /// Returns the command that starts a marked process. It gets no input, and no signal from the terminal.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = std::process::Command::new(program);
        command.process_group(0).env(MARKS, &self.marks).stdin(Stdio::null());
        Command::from(command)
    }

    /// Starts a marked process, with the few variables that every server needs and its own, and with its output in a file. Servers take
    /// other variables for settings: Distribution any that begins with `REGISTRY_`, and some of those are ours.
    ///
    /// # Errors
    /// It does not start, or the file cannot be written.
    pub fn start_logged(
        &self,
        name: &'static str,
        command: &[OsString],
        variables: &[(&str, &str)],
        log: &Path,
    ) -> Result<Logged> {
        let (program, arguments) = command.split_first().context("a command has a program")?;
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let inherited = ["PATH", "HOME", "TMPDIR", "LANG"];
        let inherited = inherited.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = self.command(program);
        command.env_clear().env(MARKS, &self.marks).envs(inherited).envs(variables.iter().copied()).args(arguments);
        command.stdout(output.try_clone()?).stderr(output);
        let process = command.spawn().with_context(|| format!("cannot start {name} ({})", program.display()))?;
        Ok(Logged { name, process, log: log.to_owned() })
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        // Its status says nothing.
        let _ = self.guardian.wait();
    }
}

impl Logged {
    /// Returns its name and its log, for messages.
    pub fn describe(&self) -> String {
        format!("{} (log: {})", self.name, self.log.display())
    }

    /// Waits for its end, and returns an error with its status and the last line of its log.
    pub async fn ended(&mut self) -> Error {
        let status = match self.process.wait().await {
            Ok(status) => status,
            Err(error) => return error.into(),
        };
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty");
        anyhow!("{} ended ({status}): {}", self.describe(), last.trim())
    }
}

/// Waits for the end of standard input, and then ends every process with a mark: asks first, insists after [`GRACE`].
///
/// # Errors
/// Standard input cannot be read.
pub async fn guard(mark: &str) -> Result<()> {
    // A signal with a receiver does not end the process.
    let _received = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    let (begin, mut asked, mut system) = (Instant::now(), HashSet::new(), System::new());
    let mut empty = 0;
    // Only the parents of processes learn of their end, and the marked ones have others.
    let mut lists = interval(INTERVAL);
    lists.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A process that ends while the list is made can hide the one that it has just started.
    while empty < 2 {
        lists.tick().await;
        let marked = marked(&mut system, mark);
        empty = if marked.is_empty() { empty + 1 } else { 0 };
        for process in marked {
            if begin.elapsed() > GRACE {
                process.kill();
            } else if asked.insert(process.pid()) {
                process.kill_with(Signal::Term);
            }
        }
    }
    Ok(())
}

/// Returns the processes that carry a mark. Those that have ended (zombies) have no environment any more.
fn marked<'a>(system: &'a mut System, mark: &str) -> Vec<&'a Process> {
    let environment = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, environment);
    let carries = |process: &&Process| process.environ().iter().any(|variable| has_mark(variable, mark));
    system.processes().values().filter(carries).collect()
}

fn has_mark(variable: &OsStr, mark: &str) -> bool {
    let marks = variable.to_str().and_then(|variable| variable.strip_prefix(MARKS)?.strip_prefix('='));
    marks.is_some_and(|marks| marks.split('/').any(|other| other == mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_one_of_those_in_the_variable() {
        for (variable, has) in [
            ("DEVFILE_REGISTRY_RUN=7-a", true),
            ("DEVFILE_REGISTRY_RUN=1-b/7-a", true),
            ("DEVFILE_REGISTRY_RUN=7-a/9-c", true),
            ("DEVFILE_REGISTRY_RUN=17-a", false),
            ("DEVFILE_REGISTRY_RUN=", false),
            ("OTHER=7-a", false),
        ] {
            assert_eq!(has_mark(OsStr::new(variable), "7-a"), has, "{variable}");
        }
    }
}
