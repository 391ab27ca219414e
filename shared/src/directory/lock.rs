//! Exclusive locks between processes, by flock(2) or its counterpart on the system.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The longest wait. A lock is held for one write, and ends with its process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// The first and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// A lock; it ends when this is dropped, or with the process.
#[derive(Debug)]
#[must_use = "the lock ends with it"]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of a file, and creates the file when it is missing.
    ///
    /// # Errors
    /// The file cannot be written, or another process holds the lock for too long.
    pub(super) fn acquire(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).write(true).truncate(false).open(path)?;
        let (began, (mut pause, longest)) = (Instant::now(), PAUSES);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if began.elapsed() >= LOCK_TIMEOUT => {
                    let reason =
                        format!("another process holds the lock {} for {} s", path.display(), LOCK_TIMEOUT.as_secs());
                    return Err(io::Error::new(ErrorKind::TimedOut, reason));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(pause),
            }
            pause = pause.saturating_mul(2).min(longest);
        }
    }
}
