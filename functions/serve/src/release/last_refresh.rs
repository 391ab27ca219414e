//! The outcome of the last refresh, read from the bucket for operators.

use std::time::{Duration, Instant};

use devfile_registry::cache::Cache;
use devfile_registry::publish::LastRefresh;
use tokio::sync::Mutex;

/// Time limit for the read; answers omit the outcome when the bucket is slow.
const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// Least time between two reads, unless snapshots are revalidated more often.
const AGAIN: Duration = Duration::from_secs(1);

/// The outcome as last read.
#[derive(Debug)]
pub(crate) struct LastRefreshes {
    again: Duration,
    read: Mutex<Option<(Instant, Option<LastRefresh>)>>,
}

impl LastRefreshes {
    /// Creates an empty cache.
    pub(crate) fn new(revalidate: Duration) -> Self {
        Self { again: AGAIN.min(revalidate), read: Mutex::new(None) }
    }

    /// Returns the outcome of the last refresh, successful or not; `None` when it is unknown.
    /// Requests share one read a second.
    pub(crate) async fn last(&self, cache: &Cache) -> Option<LastRefresh> {
        let mut read = self.read.lock().await;
        if let Some((at, last)) = read.as_ref()
            && at.elapsed() < self.again
        {
            return last.clone();
        }
        let last = tokio::time::timeout(READ_TIMEOUT, LastRefresh::read(cache)).await.ok().flatten();
        *read = Some((Instant::now(), last.clone()));
        last
    }
}
