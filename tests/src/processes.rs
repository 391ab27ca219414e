//! Processes that end with the program that starts them, however that ends.
//!
//! Each carries a mark in its environment. All that it starts inherit the mark, also those that open a session of their own, as the
//! functions of the Lambda emulator do. A guardian (`bin/guardian.rs`) waits for the end of a pipe whose other end only the starter
//! has, and then ends whatever carries the mark.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::registry::binary;

/// The variable that carries the mark.
const MARK: &str = "DEVFILE_REGISTRY_RUN";

/// Time that marked processes have to end. An orderly end of the S3 server takes two seconds, more when the machine is busy.
const GRACE: Duration = Duration::from_secs(8);

/// Time between two looks for marked processes.
const LOOK: Duration = Duration::from_millis(50);

/// The processes of a program. All that they have started have ended once this is dropped.
#[derive(Debug)]
pub struct Processes {
    mark: String,
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
        command
            .arg(&mark)
            .stdin(Stdio::piped())
            .stdout(lock.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::null());
        let guardian = own_group(&mut command).spawn().context("cannot start the guardian of processes")?;
        Ok(Self { mark, guardian })
    }

    /// Returns the command that starts a marked process. It gets no input, and no signal from the terminal.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = std::process::Command::new(program);
        own_group(&mut command).env(MARK, &self.mark).stdin(Stdio::null());
        Command::from(command)
    }

    /// Starts a marked process, with no variables but the few that every server needs and its own, and with its output in a file.
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
        let inherited =
            ["PATH", "HOME", "TMPDIR", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = self.command(program);
        command.env_clear().env(MARK, &self.mark).envs(inherited).envs(variables.iter().copied()).args(arguments);
        command.stdout(output.try_clone()?).stderr(output);
        let process = command.spawn().with_context(|| format!("cannot start {name} ({})", program.display()))?;
        Ok(Logged { name, process, log: log.to_owned() })
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        // It ends by itself, and has no status that says something.
        let _ = self.guardian.wait();
    }
}

impl Logged {
    /// Returns its name and its log, for messages.
    pub fn describe(&self) -> String {
        format!("{} (log: {})", self.name, self.log.display())
    }

    /// Waits for its end, which is an error.
    ///
    /// # Errors
    /// It has ended; the message has its status and the last line of its log.
    pub async fn lasts<T>(&mut self) -> Result<T> {
        let status = self.process.wait().await?;
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty");
        bail!("{} ended ({status}): {}", self.describe(), last.trim())
    }
}

/// Waits for the end of standard input, and then ends every process with a mark: asks first, insists after [`GRACE`].
///
/// # Errors
/// Signals cannot be ignored.
pub async fn guard(mark: &str) -> Result<()> {
    // A signal with a receiver does not end the process.
    let _ignored = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    let (begin, mut asked, mut system) = (Instant::now(), HashSet::new(), System::new());
    loop {
        let marked = marked(&mut system, mark);
        if marked.is_empty() {
            return Ok(());
        }
        for process in marked {
            if begin.elapsed() > GRACE {
                process.kill();
            } else if asked.insert(process.pid()) {
                process.kill_with(Signal::Term);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Returns the processes that carry a mark. Those that have ended (zombies) have no environment any more.
fn marked<'a>(system: &'a mut System, mark: &str) -> Vec<&'a Process> {
    let environment = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, environment);
    let wanted = OsString::from(format!("{MARK}={mark}"));
    system.processes().values().filter(|process| process.environ().contains(&wanted)).collect()
}

/// Waits for a signal that asks this program to end, and returns the exit status that shells expect then.
async fn stopped() -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
        _ = hangup.recv() => 129,
    })
}

/// Runs a program until it ends or is asked to, and returns its exit status. The reason of a failure is one line on standard error.
pub async fn run_until_stopped(program: impl Future<Output = Result<u8>>) -> ExitCode {
    let status = tokio::select! {
        status = program => status,
        status = stopped() => status,
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        1
    }))
}

/// Returns the exit status of a process as a shell shows it.
pub fn shell_status(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.signal().map(|signal| 128 + signal);
    signal.or(status.code()).and_then(|status| u8::try_from(status).ok()).unwrap_or(1)
}

/// Takes a lock on a file, which ends with the file's last holder.
///
/// # Errors
/// Another process has it, or the file cannot be written.
pub fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock().with_context(|| format!("{} is locked by another process", path.display()))?;
    Ok(file)
}

/// Returns loopback ports that are free, below those that systems hand out to outgoing connections: nothing but another server takes
/// them between this look and their use.
///
/// # Errors
/// There are not so many.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    const RANGE: std::ops::Range<u16> = 20_000..32_000;
    let start = u16::try_from(random() % 12_000)?;
    let ports = RANGE.map(|port| RANGE.start + (port - RANGE.start + start) % (RANGE.end - RANGE.start));
    let ports: Vec<u16> = ports.filter(|port| is_free(*port)).take(count).collect();
    if ports.len() < count {
        bail!("there are no free ports on 127.0.0.1");
    }
    Ok(ports)
}

/// Returns whether a server could listen on a loopback port now.
pub fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Returns a number that differs with each call.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn own_group(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    command.process_group(0)
}
