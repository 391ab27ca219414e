//! A disk that fails: after so many steps of writes, every further one is an error.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

use super::BlobSource;

/// A failure of a disk, or of the process that writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// The process is killed.
    Killed,
    /// Every step is this error.
    Error(ErrorKind),
}

/// A fault and the steps that are left until it. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Coming>>>);

#[derive(Debug)]
struct Coming {
    left: u32,
    fault: DiskFault,
    has_come: bool,
}

impl Faults {
    /// Lets so many steps happen and no more.
    pub(crate) fn after(&self, left: u32, fault: DiskFault) {
        *self.0.lock().unwrap() = Some(Coming { left, fault, has_come: false });
    }

    /// Lets all steps happen; returns whether one has failed.
    pub(crate) fn heal(&self) -> bool {
        self.0.lock().unwrap().take().is_some_and(|coming| coming.has_come)
    }

    pub(super) fn is_killed(&self) -> bool {
        self.0.lock().unwrap().as_ref().is_some_and(|coming| coming.has_come && coming.fault == DiskFault::Killed)
    }

    /// Counts a step, or fails.
    pub(super) fn step(&self) -> io::Result<()> {
        let mut coming = self.0.lock().unwrap();
        let Some(coming) = coming.as_mut() else { return Ok(()) };
        if coming.left > 0 {
            coming.left -= 1;
            return Ok(());
        }
        coming.has_come = true;
        Err(match coming.fault {
            DiskFault::Killed => io::Error::other("killed"),
            DiskFault::Error(kind) => kind.into(),
        })
    }

    /// Counts the step that writes the bytes. One that fails has written half of them.
    pub(super) fn write_half(&self, file: &mut File, content: BlobSource<'_>) -> io::Result<()> {
        self.step().inspect_err(|_| {
            let bytes = match content {
                BlobSource::Bytes(bytes) => bytes.to_vec(),
                BlobSource::File(from) => {
                    let mut bytes = Vec::new();
                    File::open(from).unwrap().read_to_end(&mut bytes).unwrap();
                    bytes
                }
            };
            file.write_all(&bytes[..bytes.len() / 2]).unwrap();
        })
    }
}
