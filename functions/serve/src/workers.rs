//! Work of more than a few milliseconds, away from the threads that serve connections: pages, filters of a large index, compression.
//!
//! The thread that a request is on gives its other requests to another one and then works on. So little runs at once that the
//! processor is used once, and little waits, so that no burst piles up in memory.

use std::sync::LazyLock;

use devfile_registry::limits::{PAGE_FILES_BYTES, WAITING_REQUESTS};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::block_in_place;

static WORKERS: LazyLock<Workers> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Workers::new(processors, WAITING_REQUESTS, PAGE_FILES_BYTES)
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

/// Admits a request whose work has several steps, such as reads between them.
///
/// # Errors
/// [`WAITING_REQUESTS`] wait already.
pub(crate) fn admit() -> Result<Admitted<'static>, Busy> {
    WORKERS.admit()
}

/// A request that counts among those that wait or run, until this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted<'w> {
    workers: &'w Workers,
    _permit: SemaphorePermit<'w>,
}

/// Content that a request holds in memory, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved<'w> {
    _permit: SemaphorePermit<'w>,
}

impl<'w> Admitted<'w> {
    /// Runs work when a processor is free for it.
    ///
    /// # Errors
    /// The process ends.
    pub(crate) async fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, Busy> {
        let _running = self.workers.running.acquire().await.map_err(|_| Busy)?;
        Ok(run_now(work))
    }

    /// Waits until the content that all requests hold leaves room for so many bytes. One that needs more than there is waits for all
    /// others.
    ///
    /// # Errors
    /// The process ends.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<Reserved<'w>, Busy> {
        let units = self.workers.content_units.min(units(bytes));
        let permit = self.workers.content.acquire_many(units).await.map_err(|_| Busy)?;
        Ok(Reserved { _permit: permit })
    }
}

/// Bytes in units of 1 KiB, rounded up: permits are counted in 32 bits.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// Runs work at once. There is little of it at a time, for the caller has waited for something else.
pub(crate) fn run_now<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        // There is no other thread to give requests to.
        _ => work(),
    }
}

/// Bounds of the work that runs at once, that waits, and of the content that waits with it.
#[derive(Debug)]
struct Workers {
    admitted: Semaphore,
    running: Semaphore,
    content: Semaphore,
    content_units: u32,
}

impl Workers {
    fn new(running: usize, waiting: usize, content_bytes: u64) -> Self {
        let content_units = units(content_bytes);
        Self {
            admitted: Semaphore::new(running.saturating_add(waiting)),
            running: Semaphore::new(running),
            content: Semaphore::new(content_units as usize),
            content_units,
        }
    }

    fn admit(&self) -> Result<Admitted<'_>, Busy> {
        let permit = self.admitted.try_acquire().map_err(|_| Busy)?;
        Ok(Admitted { workers: self, _permit: permit })
    }

    async fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, Busy> {
        self.admit()?.run(work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_leaves_the_only_thread_to_other_requests() {
        let workers = Arc::new(Workers::new(1, 1, 1024));
        let (sender, receiver) = mpsc::channel();
        let running = Arc::clone(&workers);
        let long = tokio::spawn(async move { running.run(move || receiver.recv()).await });
        let other = tokio::spawn(async move { sender.send("another request") });
        assert_eq!((other.await.unwrap(), long.await.unwrap()), (Ok(()), Ok(Ok("another request"))));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_beyond_those_that_wait_is_refused() {
        let workers = Arc::new(Workers::new(1, 1, 1024));
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

    #[test]
    fn admitted_request_counts_until_it_ends() {
        let workers = Workers::new(1, 0, 1024);
        let admitted = workers.admit().unwrap();
        assert_eq!(workers.admit().map(|_| ()), Err(Busy));
        drop(admitted);
        assert!(workers.admit().is_ok());
    }

    #[tokio::test]
    async fn content_beyond_the_memory_for_it_waits_until_another_request_ends() {
        let workers = Workers::new(1, 3, 4096);
        let (first, second, large) = (workers.admit().unwrap(), workers.admit().unwrap(), workers.admit().unwrap());
        let held = first.reserve(3000).await.unwrap();
        let small = first.reserve(1000).await.unwrap();
        let mut waiting = Box::pin(second.reserve(1));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop((held, small));
        drop(waiting.await.unwrap());
        drop(large.reserve(u64::MAX).await.unwrap());
    }
}
