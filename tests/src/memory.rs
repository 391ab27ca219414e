//! The memory of other processes, on any system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Time between two samples. Memory that is needed for less is hardly ever seen.
const SAMPLE: Duration = Duration::from_millis(2);

/// Returns the resident memory of a process, in bytes; `None` when there is no such process.
pub fn resident(id: u32) -> Option<u64> {
    read(&mut System::new(), id)
}

fn read(system: &mut System, id: u32) -> Option<u64> {
    let id = Pid::from_u32(id);
    let memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[id]), true, memory);
    system.process(id).map(sysinfo::Process::memory)
}

/// The most memory of a process, sampled by a thread until this is dropped.
#[derive(Debug)]
pub struct Peak {
    id: u32,
    most: Arc<AtomicU64>,
    _stop: mpsc::Sender<()>,
}

impl Peak {
    /// Watches a process.
    pub fn of(id: u32) -> Self {
        let (stop, stopped) = mpsc::channel();
        let most = Arc::new(AtomicU64::new(0));
        let (watched, mut system) = (Arc::clone(&most), System::new());
        std::thread::spawn(move || {
            // Nothing is ever sent; the drop of the other end ends the thread.
            while stopped.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Timeout) {
                watched.fetch_max(read(&mut system, id).unwrap_or_default(), Ordering::Relaxed);
            }
        });
        Self { id, most, _stop: stop }
    }

    /// Returns the most memory so far, in bytes. The process may have ended.
    pub fn so_far(&self) -> u64 {
        let now = resident(self.id).unwrap_or_default();
        self.most.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_has_memory_that_was_given_back() {
        const LARGE: u64 = 256 << 20;
        let id = std::process::id();
        let peak = Peak::of(id);
        let large = vec![1_u8; LARGE as usize];
        // The thread sees it.
        while peak.most.load(Ordering::Relaxed) < LARGE {
            std::thread::yield_now();
        }
        drop(large);
        assert!(resident(id).unwrap() < LARGE);
        assert!(peak.so_far() >= LARGE);
    }

    #[test]
    fn process_that_is_not_there_has_no_memory() {
        assert_eq!(resident(u32::MAX >> 1), None);
        assert_eq!(Peak::of(u32::MAX >> 1).so_far(), 0);
    }
}
