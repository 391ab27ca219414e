//! Work that nobody waits for: one job after the other, in the order in which it came, on a thread that serves no connection.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

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
    if Handle::try_current().is_ok() && QUEUE.add(Box::new(work)) {
        // No runtime has this thread: one that ends would drop it before it begins, and the queue would stand still.
        thread::spawn(|| QUEUE.work());
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
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn work_of_a_runtime_that_ends_is_done() {
        let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (release, held) = mpsc::channel::<()>();
        let (sender, receiver) = mpsc::channel();
        runtime.block_on(async {
            // The only thread on which the runtime could begin it.
            tokio::task::spawn_blocking(move || held.recv());
            run(move || sender.send(()).unwrap());
        });
        runtime.shutdown_background();
        drop(release);
        receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    }

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
