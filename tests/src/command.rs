//! The end of a command: signals, its exit status, and its lock.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::console;

/// Runs a program until it ends, or until a signal or the end of its output's reader ends it. Returns its exit status, as shells show it.
/// The reason of a failure is one line on standard error.
///
/// Without a handler of its own SIGHUP ends the process, unless `nohup` has it ignored.
pub async fn run(program: impl Future<Output = Result<u8>>) -> ExitCode {
    let status = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            status = program => status,
            _ = interrupt.recv() => Ok(130),
            _ = terminate.recv() => Ok(143),
            () = console::unread() => Ok(141),
        },
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    };
    ExitCode::from(status.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        1
    }))
}

/// Returns the exit status of another process as a shell shows it.
pub fn shell_status(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    signal.or(status.code()).and_then(|status| u8::try_from(status).ok()).unwrap_or(1)
}

/// Takes a lock on a file. It ends with the file's last holder.
///
/// # Errors
/// Another process has it, or the file cannot be written.
pub fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock().with_context(|| format!("{} is locked by another process", path.display()))?;
    Ok(file)
}
