//! A disk that fails: after so many steps of writes, every further one is an error.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

use super::Content;

/// How a disk, or the process that writes to it, fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed.
    Killed,
    /// Every step is this error.
    Error(ErrorKind),
}

/// The steps that are left until a fault. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<(u32, Fault)>>>);

impl Faults {
    /// Lets so many steps happen and no more.
    pub(crate) fn after(&self, steps: u32, fault: Fault) {
        *self.0.lock().unwrap() = Some((steps, fault));
    }

    /// Lets all steps happen; returns whether one has failed.
    pub(crate) fn heal(&self) -> bool {
        matches!(self.0.lock().unwrap().take(), Some((0, _)))
    }

    pub(super) fn is_killed(&self) -> bool {
        matches!(*self.0.lock().unwrap(), Some((0, Fault::Killed)))
    }

    /// Counts a step, or fails.
    pub(super) fn step(&self) -> io::Result<()> {
        match &mut *self.0.lock().unwrap() {
            None => Ok(()),
            Some((0, Fault::Killed)) => Err(io::Error::other("killed")),
            Some((0, Fault::Error(kind))) => Err((*kind).into()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Counts the step that writes the bytes. One that fails has written half of them.
    pub(super) fn write_half(&self, file: &mut File, content: Content<'_>) -> io::Result<()> {
        self.step().inspect_err(|_| {
            let bytes = match content {
                Content::Bytes(bytes) => bytes.to_vec(),
                Content::File(from) => {
                    let mut bytes = Vec::new();
                    File::open(from).unwrap().read_to_end(&mut bytes).unwrap();
                    bytes
                }
            };
            file.write_all(&bytes[..bytes.len() / 2]).unwrap();
        })
    }
}
