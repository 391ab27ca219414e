//! A runner of one refresh at a time, with at most one more in the queue (plain HTTP only; Lambda
//! has a process for each).
//!
//! Callers that arrive during a refresh join the queued one, which sees the cause of their
//! triggers. So a burst of any length ends in two refreshes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devfile_registry::context;
use devfile_registry::digest::CommitSha;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

/// A running or queued refresh. It continues when no caller waits for it.
pub(crate) type Run<T> = Shared<BoxFuture<'static, Option<T>>>;

type Work<T> = Box<dyn Fn(Option<CommitSha>) -> BoxFuture<'static, T> + Send + Sync>;

/// Runs refreshes one after the other.
pub(crate) struct Runner<T>(Arc<Inner<T>>);

struct Inner<T> {
    work: Work<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    running: Option<Run<T>>,
    waiting: Option<Waiting<T>>,
}

struct Waiting<T> {
    run: Run<T>,
    /// The requested commit of the newest trigger.
    requested: Option<CommitSha>,
}

impl<T: Clone + Send + Sync + 'static> Runner<T> {
    /// Creates a runner with an empty queue.
    pub(crate) fn new<F>(work: impl Fn(Option<CommitSha>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let state = Mutex::new(State { running: None, waiting: None });
        Self(Arc::new(Inner { work: Box::new(move |requested| work(requested).boxed()), state }))
    }

    /// Returns a run that begins after this call. Its result is `None` when it panicked.
    pub(crate) fn submit(&self, requested: Option<CommitSha>) -> Run<T> {
        let mut state = self.0.lock();
        if let Some(waiting) = &mut state.waiting {
            waiting.requested = requested.or(waiting.requested.take());
            return waiting.run.clone();
        }
        match state.running.clone().filter(|run| run.peek().is_none()) {
            None => {
                let run = spawn((self.0.work)(requested));
                state.running = Some(run.clone());
                run
            }
            Some(running) => {
                let inner = Arc::clone(&self.0);
                let run = spawn(async move {
                    running.await;
                    let requested = inner.promote();
                    (inner.work)(requested).await
                });
                state.waiting = Some(Waiting { run: run.clone(), requested });
                run
            }
        }
    }

    /// Waits until no refresh runs.
    pub(crate) async fn idle(&self) {
        loop {
            let last = {
                let state = self.0.lock();
                let waiting = state.waiting.as_ref().map(|waiting| waiting.run.clone());
                waiting.or_else(|| state.running.clone()).filter(|run| run.peek().is_none())
            };
            match last {
                Some(run) => drop(run.await),
                None => return,
            }
        }
    }
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic while the lock is held leaves a consistent value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the queued run, so that later callers get another one.
    fn promote(&self) -> Option<CommitSha>
    where
        T: Clone,
    {
        let mut state = self.lock();
        let waiting = state.waiting.take()?;
        state.running = Some(waiting.run);
        waiting.requested
    }
}

fn spawn<T: Clone + Send + Sync + 'static>(work: impl Future<Output = T> + Send + 'static) -> Run<T> {
    let task = tokio::spawn(context::inherit(work));
    async move { task.await.ok() }.boxed().shared()
}

impl<T> fmt::Debug for Runner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    fn commit(number: u32) -> CommitSha {
        format!("{number:040x}").parse().unwrap()
    }

    /// The requested commit of each run.
    type Seen = Arc<Mutex<Vec<Option<CommitSha>>>>;

    /// Returns a runner whose runs wait for a permit each.
    fn gated() -> (Runner<usize>, Arc<Semaphore>, Seen) {
        let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (gate_of_work, seen_by_work) = (Arc::clone(&gate), Arc::clone(&seen));
        let runner = Runner::new(move |requested| {
            let (gate, seen) = (Arc::clone(&gate_of_work), Arc::clone(&seen_by_work));
            async move {
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(requested);
                    seen.len()
                };
                gate.acquire().await.unwrap().forget();
                number
            }
        });
        (runner, gate, seen)
    }

    #[tokio::test]
    async fn a_burst_ends_in_two_runs() {
        let (runner, gate, seen) = gated();
        let first = runner.submit(Some(commit(1)));
        let burst: Vec<_> = (2..50).map(|number| runner.submit(Some(commit(number)))).collect();
        gate.add_permits(2);
        assert_eq!(first.await, Some(1));
        for run in burst {
            assert_eq!(run.await, Some(2));
        }
        assert_eq!(*seen.lock().unwrap(), [Some(commit(1)), Some(commit(49))]);
        gate.add_permits(1);
        assert_eq!(runner.submit(None).await, Some(3), "a finished run is not joined");
    }

    #[tokio::test]
    async fn request_while_the_second_refresh_runs_gets_a_third() {
        let (runner, gate, seen) = gated();
        let first = runner.submit(None);
        let second = runner.submit(None);
        gate.add_permits(1);
        first.await;
        while seen.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        let third = runner.submit(None);
        gate.add_permits(2);
        assert_eq!((second.await, third.await), (Some(2), Some(3)));
    }

    #[tokio::test]
    async fn work_goes_on_without_anybody_waiting_and_idle_waits_for_it() {
        let (runner, gate, seen) = gated();
        drop(runner.submit(None));
        drop(runner.submit(None));
        gate.add_permits(2);
        runner.idle().await;
        assert_eq!((seen.lock().unwrap().len(), gate.available_permits()), (2, 0));
    }

    #[tokio::test]
    async fn a_panic_ends_one_run_and_no_more() {
        let runner: Runner<u8> = Runner::new(|requested| async move {
            assert!(requested.is_none(), "this run was requested to panic");
            7
        });
        assert_eq!(runner.submit(Some(commit(1))).await, None);
        assert_eq!(runner.submit(None).await, Some(7));
    }
}
