//! The context of one request or one refresh, down to the calls it makes: the caller's trace, and a tally of those calls.
//!
//! It is bound to the task, so that nothing in between has to hand it on. A spawned task [inherits](inherit) it where it
//! belongs to its cause.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::trace::TraceParent;

tokio::task_local! {
    static CURRENT: Arc<Context>;
}

/// The trace of a request or refresh, and a tally of its calls.
#[derive(Debug, Default)]
pub struct Context {
    trace: Option<TraceParent>,
    bucket_calls: AtomicU64,
    artifacts_pushed: AtomicU64,
    bytes_pushed: AtomicU64,
    progress: Arc<CallProgress>,
}

/// The progress of an action: its calls to the stores that are known so far, and those that have ended.
#[derive(Debug, Default)]
pub struct CallProgress {
    expected: AtomicU64,
    done: AtomicU64,
}

impl CallProgress {
    /// Steps that are known so far.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Steps that have ended.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

impl Context {
    /// Creates the context of a request, in the trace that it names.
    pub fn new(trace: Option<TraceParent>) -> Arc<Self> {
        Arc::new(Self { trace, ..Self::default() })
    }

    /// Creates the context of a part: a tally of its own in the current trace.
    pub fn within_current() -> Arc<Self> {
        Self::child(trace())
    }

    /// Creates the context of a step at a position of a trace. It counts on the progress of the current context.
    pub fn child(trace: Option<TraceParent>) -> Arc<Self> {
        let progress = CURRENT.try_with(|current| Arc::clone(&current.progress)).unwrap_or_default();
        Arc::new(Self { trace, progress, ..Self::default() })
    }

    /// The progress of the action of this context.
    pub fn progress(&self) -> Arc<CallProgress> {
        Arc::clone(&self.progress)
    }

    /// Runs a future with this context.
    pub fn scope<F: Future>(self: Arc<Self>, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// Returns its position in a trace, if it belongs to one.
    pub fn trace(&self) -> Option<TraceParent> {
        self.trace
    }

    /// Calls to the bucket, further attempts included.
    pub fn bucket_calls(&self) -> u64 {
        self.bucket_calls.load(Ordering::Relaxed)
    }

    /// Manifests that the OCI registry took, tags and index artifacts not counted.
    pub fn artifacts_pushed(&self) -> u64 {
        self.artifacts_pushed.load(Ordering::Relaxed)
    }

    /// Bytes that the bucket and the OCI registry took.
    pub fn bytes_pushed(&self) -> u64 {
        self.bytes_pushed.load(Ordering::Relaxed)
    }
}

/// Gives a future that is spawned the context of its spawner.
pub fn inherit<F: Future>(future: F) -> impl Future<Output = F::Output> {
    CURRENT.try_with(Arc::clone).unwrap_or_default().scope(future)
}

/// Returns the position of the current task in a trace.
pub fn trace() -> Option<TraceParent> {
    CURRENT.try_with(|current| current.trace).ok().flatten()
}

/// A call to the bucket goes out.
pub(crate) fn count_bucket_call() {
    count(|current| &current.bucket_calls, 1);
}

/// The OCI registry took the artifact of a version.
pub(crate) fn count_artifact() {
    count(|current| &current.artifacts_pushed, 1);
}

/// The bucket or the OCI registry took content.
pub(crate) fn count_bytes(bytes: usize) {
    count(|current| &current.bytes_pushed, bytes as u64);
}

/// So many further steps of the current action are known.
pub(crate) fn expect_steps(steps: usize) {
    count(|current| &current.progress.expected, steps as u64);
}

/// A step of the current action has ended.
pub(crate) fn count_step() {
    count(|current| &current.progress.done, 1);
}

fn count(counter: impl FnOnce(&Context) -> &AtomicU64, by: u64) {
    // Outside of any request there is no tally.
    let _counted = CURRENT.try_with(|current| counter(current).fetch_add(by, Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_of_a_child_is_that_of_its_action() {
        let whole = Context::new(None);
        let progress = whole.progress();
        whole
            .scope(async {
                expect_steps(3);
                Context::child(None).scope(tokio::spawn(inherit(async { count_step() }))).await.unwrap();
                Context::within_current().scope(async { count_step() }).await;
                Context::new(None).scope(async { count_step() }).await;
            })
            .await;
        assert_eq!((progress.expected(), progress.done()), (3, 2));
    }

    #[tokio::test]
    async fn a_tally_belongs_to_its_request() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
        let (request, other) = (Context::new(trace), Context::new(None));
        let spawned = request.clone().scope(async {
            count_bytes(7);
            tokio::spawn(inherit(async {
                count_bytes(5);
                let part = Context::within_current();
                part.clone().scope(async { count_artifact() }).await;
                (super::trace(), part.artifacts_pushed())
            }))
            .await
        });
        let work = async { tokio::join!(spawned, other.clone().scope(async { count_bucket_call() })).0 };
        assert_eq!(work.await.unwrap(), (trace, 1));
        assert_eq!((request.bytes_pushed(), request.artifacts_pushed(), request.bucket_calls()), (12, 0, 0));
        assert_eq!((other.bytes_pushed(), other.bucket_calls()), (0, 1));
        count_bytes(3);
    }
}
