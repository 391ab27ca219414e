//! The outcome of the last refresh, read from the bucket for those who look after the registry.

use std::time::{Duration, Instant};

use devfile_registry::cache::Cache;
use devfile_registry::publish::LastRefresh;
use tokio::sync::Mutex;

/// Time for reading it; answers do without it when the bucket is slow.
const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// Least time between two reads, unless snapshots are revalidated more often.
const AGAIN: Duration = Duration::from_secs(1);

/// The outcome that was read last.
#[derive(Debug)]
pub(crate) struct LastRefreshes {
    again: Duration,
    read: Mutex<Option<(Instant, Option<LastRefresh>)>>,
}

impl LastRefreshes {
    /// Reads nothing yet.
    pub(crate) fn new(revalidate: Duration) -> Self {
        Self { again: AGAIN.min(revalidate), read: Mutex::new(None) }
    }

    /// Returns how the last refresh ended, which need not have made anything live; `None` when that is unknown. Requests share
    /// one read a second.
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
