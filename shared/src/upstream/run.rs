//! One completion of a repository: its deadline, its budget of bytes, and the hosts that are down.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fetch::{FetchAnswer, FetchError, Reason, Request};
use crate::git::{Client, GitError};
use crate::limits;
use crate::release::{OfflineSettings, Release};

/// Time for all upstream content; a refresh has 25 s.
const BUDGET: Duration = Duration::from_secs(10);

/// Time for one fetch.
const ONE: Duration = Duration::from_secs(5);

/// One completion.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) client: Option<&'a Client>,
    pub(super) previous: Option<&'a Release>,
    /// The same, when its versions would be published in the same way now.
    pub(super) reusable: Option<&'a Release>,
    pub(super) deadline: Instant,
    /// Hosts that have no address or take no connection; they are not asked again.
    down: Mutex<HashMap<String, Reason>>,
    pub(super) bytes: Arc<ByteBudget>,
    /// Packs that may be under way.
    pub(super) packs: Semaphore,
}

/// The bytes that a completion may read from other hosts.
#[derive(Debug)]
pub(super) struct ByteBudget {
    limit: u64,
    left: AtomicU64,
}

/// Content, and the entity tag of its state; `None` when the known state is still the state.
pub(super) type Brought = Option<(Bytes, Option<String>)>;

impl<'a> Run<'a> {
    /// Starts a completion that reads so many `bytes`. `offline` are the settings by which its versions are published.
    pub(super) fn new(
        client: Option<&'a Client>,
        previous: Option<&'a Release>,
        offline: Option<&OfflineSettings>,
        bytes: u64,
    ) -> Self {
        let is_alike =
            |previous: &&Release| previous.outline.offline.as_ref().map(|offline| &offline.settings) == offline;
        Self {
            client,
            previous,
            reusable: previous.filter(is_alike),
            deadline: Instant::now() + BUDGET,
            down: Mutex::default(),
            bytes: Arc::new(ByteBudget { limit: bytes, left: AtomicU64::new(bytes) }),
            packs: Semaphore::new(limits::CONCURRENT_PACKS),
        }
    }

    /// Fetches one URL; the error is for people.
    pub(super) async fn get(&self, url: &str, limit: u64, known: Option<&str>) -> Result<Brought, FetchError> {
        let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let error = |reason| FetchError { host: host.clone(), redirected_from: None, reason };
        let client = self.client.ok_or_else(|| error(Reason::NotAllowed("nothing is fetched here")))?;
        if let Some(reason) = self.down(&host) {
            return Err(error(reason));
        }
        let time = ONE.min(self.deadline.saturating_duration_since(Instant::now()));
        let fetched = async {
            match client.get(&Request { url, limit, time, known }).await? {
                FetchAnswer::NotModified => Ok(None),
                FetchAnswer::Found(body) => {
                    let etag = body.etag.clone();
                    let content = body.bytes().await?;
                    self.bytes.take(content.len()).map_err(error)?;
                    Ok(Some((content, etag)))
                }
            }
        };
        let fetched: Result<Brought, FetchError> = fetched.await;
        if let Err(error) = &fetched {
            // The report and the public pages have no more than its public words.
            tracing::info!(%error, "a fetch failed");
            self.note(error);
        }
        fetched
    }

    /// Why a host is not asked again, if it is not.
    pub(super) fn down(&self, host: &str) -> Option<Reason> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// Remembers a host that has no address or takes no connection.
    fn note(&self, error: &FetchError) {
        if error.redirected_from.is_none() && matches!(error.reason, Reason::Unresolved | Reason::Refused(_)) {
            let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
            down.insert(error.host.clone(), error.reason.clone());
        }
    }

    /// The same for a Git repository; passes the result on.
    pub(super) fn note_down<T>(&self, result: Result<T, GitError>) -> Result<T, GitError> {
        if let Err(GitError::Fetch(error)) = &result {
            self.note(error);
        }
        result
    }
}

impl ByteBudget {
    /// Takes the memory for some bytes out of the budget.
    ///
    /// # Errors
    /// [`Reason::BudgetSpent`] when less is left.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Reason> {
        let take = |left: u64| left.checked_sub(bytes as u64);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| Reason::BudgetSpent(self.limit))
    }
}

/// Does something for each item, [`limits::CONCURRENT_FETCHES`] at a time, and gives the results in the order of the items.
pub(super) async fn each<T, O, F: Future<Output = O>>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> F,
) -> Vec<O> {
    let tasks: Vec<F> = items.into_iter().map(work).collect();
    stream::iter(tasks).buffered(limits::CONCURRENT_FETCHES).collect().await
}
