//! Work that nobody waits for: one job after the other, in the order in which it came, on a thread that serves no connection.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

/// The queue of the process.
static QUEUE: Queue = Queue(Mutex::new(QueueState { waiting: VecDeque::new(), is_running: false }));

type Work = Box<dyn FnOnce() + Send>;

struct Queue(Mutex<QueueState>);

struct QueueState {
    waiting: VecDeque<Work>,
    is_running: bool,
}

/// Runs work after all that came before it. Without a runtime there are no requests that would gain by it, and it is left out.
pub(crate) fn run(work: impl FnOnce() + Send + 'static) {
    if let Ok(runtime) = Handle::try_current()
        && QUEUE.add(Box::new(work))
    {
        runtime.spawn_blocking(|| QUEUE.work());
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // No work runs while it is locked, so a panic leaves a consistent value behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work; returns whether somebody must begin to [work](Self::work).
    fn add(&self, work: Work) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(work);
        !std::mem::replace(&mut state.is_running, true)
    }

    /// Works until nothing waits.
    fn work(&self) {
        while let Some(work) = self.next() {
            // A panic has been logged, and ends this job alone.
            let _ended = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.is_running = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn jobs_run_in_the_order_in_which_they_came_and_survive_a_panic() {
        let (sender, receiver) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            run(move || {
                sender.send(number).unwrap();
                assert_ne!(number, 50, "a panic that a test causes");
            });
        }
        drop(sender);
        let ran: Vec<i32> = tokio::task::spawn_blocking(move || receiver.iter().collect()).await.unwrap();
        assert_eq!(ran, (0..100).collect::<Vec<_>>());
    }
}
