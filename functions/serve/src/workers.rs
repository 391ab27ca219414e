//! Work of more than a few milliseconds, away from the threads that serve connections: pages, filters of a large index, compression.
//!
//! The thread that a request is on gives its other requests to another one and then works on. So little runs at once that the
//! processor is used once, and little waits, so that no burst piles up in memory.

use std::sync::LazyLock;

use devfile_registry::limits::WAITING_REQUESTS;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::{block_in_place, spawn_blocking};

static WORKERS: LazyLock<Workers> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Workers::new(processors, WAITING_REQUESTS)
});

/// Why work was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registry answers as many requests as it can; try again in a moment")]
pub(crate) struct Busy;

/// Runs work when a processor is free for it.
///
/// # Errors
/// [`WAITING_REQUESTS`] wait already.
pub(crate) async fn run<T>(work: impl FnOnce() -> T) -> Result<T, Busy> {
    WORKERS.run(work).await
}

/// Runs work that nobody waits for, one such at a time, on a thread of its own.
pub(crate) fn run_aside(work: impl FnOnce() + Send + 'static) {
    static ASIDE: Semaphore = Semaphore::const_new(1);
    // Without a runtime there are no requests either.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            let _turn = ASIDE.acquire().await;
            // A panic has been logged.
            let _ended = spawn_blocking(work).await;
        });
    }
}

/// Runs work at once. There is little of it at a time, for the caller has waited for something else.
pub(crate) fn run_now<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // There is no other thread to give requests to.
        _ => work(),
    }
}

/// How much runs at once, and how much waits.
#[derive(Debug)]
struct Workers {
    admitted: Semaphore,
    running: Semaphore,
}

impl Workers {
    fn new(running: usize, waiting: usize) -> Self {
        Self { admitted: Semaphore::new(running.saturating_add(waiting)), running: Semaphore::new(running) }
    }

    async fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, Busy> {
        let _admitted = self.admitted.try_acquire().map_err(|_| Busy)?;
        let _running = self.running.acquire().await.map_err(|_| Busy)?;
        Ok(run_now(work))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_leaves_the_only_thread_to_other_requests() {
        let workers = Arc::new(Workers::new(1, 1));
        let (sender, receiver) = mpsc::channel();
        let running = Arc::clone(&workers);
        let long = tokio::spawn(async move { running.run(move || receiver.recv()).await });
        let other = tokio::spawn(async move { sender.send("another request") });
        assert_eq!((other.await.unwrap(), long.await.unwrap()), (Ok(()), Ok(Ok("another request"))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_beyond_those_that_wait_is_refused() {
        let workers = Arc::new(Workers::new(1, 1));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (end, ends) = mpsc::channel::<()>();
        let running = Arc::clone(&workers);
        let first = tokio::spawn(async move {
            let work = move || (begun.send(()), ends.recv());
            running.run(work).await.map(|_| ())
        });
        begins.await.unwrap();
        let mut second = Box::pin(workers.run(|| ()));
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(workers.run(|| ()).await, Err(Busy));
        drop(end);
        assert_eq!((first.await.unwrap(), second.await), (Ok(()), Ok(())));
        assert_eq!(workers.run(|| 7).await, Ok(7));
    }
}
