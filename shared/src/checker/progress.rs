//! Says on a terminal what takes so long.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long there is silence, and how often the line changes after that.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on the terminal that goes away in the end. Without a terminal there is none.
#[derive(Debug)]
pub(super) struct Progress(Option<(Sender<&'static str>, JoinHandle<()>)>);

impl Progress {
    /// Begins with a step.
    pub(super) fn start(step: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (sender, steps) = channel();
        let line = std::thread::spawn(move || {
            let (mut step, started, mut shown) = (step, Instant::now(), false);
            loop {
                match steps.recv_timeout(PATIENCE) {
                    Ok(next) => step = next,
                    Err(RecvTimeoutError::Timeout) => {
                        shown = true;
                        eprint!("\r\x1b[K{step} ... {} s", started.elapsed().as_secs());
                        let _ = std::io::stderr().flush();
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if shown {
                eprint!("\r\x1b[K");
            }
        });
        Self(Some((sender, line)))
    }

    /// Goes on to another step.
    pub(super) fn now(&self, step: &'static str) {
        if let Some((sender, _)) = &self.0 {
            let _ = sender.send(step);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, line)) = self.0.take() {
            drop(sender);
            let _ = line.join();
        }
    }
}
