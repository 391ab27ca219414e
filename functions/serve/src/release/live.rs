//! Keeps the snapshot up to date with the bucket.
//!
//! A Lambda function is frozen between requests, so requests themselves do the checking: the first one after
//! `REVALIDATE_SECONDS` starts a conditional read of `index.json` and waits for it a short while; all others answer from the
//! snapshot there is. When the bucket is slow or down, so does the first one (invariant 7).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use devfile_registry::cache::{Bucket, Cache, CacheError, Fetched, INDEX_KEY, blob_key, release_key};
use devfile_registry::context::Context;
use devfile_registry::digest::Digest;
use devfile_registry::limits::{CONCURRENT_READS, RELEASE_BYTES};
use devfile_registry::release::{InvalidDocument, LiveIndex, Outline};
use devfile_registry::request::milliseconds;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::release::blobs::Damaged;
use crate::release::icons;
use crate::release::snapshot::{Shared, Snapshot};
use crate::workers;

/// Longest that a request waits for the check it started.
const PATIENCE: Duration = Duration::from_millis(250);

/// Least time between two looks, whatever causes them.
const AGAIN: Duration = Duration::from_secs(1);

/// The live release, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache,
    revalidate: Duration,
    damaged: Damaged,
    snapshot: ArcSwapOption<Snapshot>,
    check: Mutex<Check>,
}

/// The last and the current look at the bucket.
#[derive(Debug)]
struct Check {
    running: bool,
    looks: u64,
    last: Instant,
    /// The last look that the bucket answered.
    confirmed: Instant,
    outcome: Result<(), Failure>,
}

/// A look under way. Whatever becomes of it, it is over when this is dropped.
struct Look<'a> {
    inner: &'a Inner,
    outcome: Result<(), Failure>,
}

/// What is known about the freshness of the snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    /// Time since the bucket last said that this is the live release.
    pub(crate) checked: Duration,
    /// Why the last look failed, if it did, in words that everybody may read.
    pub(crate) failure: Option<&'static str>,
    /// How many looks there were.
    pub(crate) looks: u64,
}

/// Why there is no newer snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The bucket has no index.
    #[error("the cache bucket has no index.json yet; run refresh to publish a release")]
    Empty,
    /// The bucket failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// `index.json` cannot be read.
    #[error("index.json in the cache bucket cannot be used: {0}")]
    Index(InvalidDocument),
    /// The release object cannot be read.
    #[error("the release {name} in the cache bucket cannot be used: {reason}")]
    Release {
        /// Its name.
        name: Digest,
        /// What is wrong with it.
        reason: InvalidDocument,
    },
    /// The release object, or a document that it names, is not there.
    #[error("{0}, of the live release, is not in the cache bucket")]
    Missing(Digest),
    /// An error in the software.
    #[error("the look at the cache bucket did not come to an end")]
    Ended,
}

impl Failure {
    /// The reason in words that everybody may read: no names of buckets, no errors of other servers.
    fn public(&self) -> &'static str {
        match self {
            Self::Empty => "the cache bucket has no index.json yet; run refresh to publish a release",
            Self::Cache(_) => "the cache bucket cannot be read",
            Self::Index(_) | Self::Release { .. } => "the live release cannot be read",
            Self::Missing(_) => "content of the live release is missing",
            Self::Ended => "the check of the cache bucket ended early",
        }
    }
}

impl Live {
    /// Loads the live release. A bucket that is empty or does not answer is no error: the next requests look again. Each new
    /// release empties `damaged`.
    pub(crate) async fn load(cache: Cache, revalidate: Duration, damaged: Damaged) -> Self {
        let now = Instant::now();
        let check = Check { running: false, looks: 0, last: now, confirmed: now, outcome: Ok(()) };
        let inner = Inner { cache, revalidate, damaged, snapshot: ArcSwapOption::empty(), check: Mutex::new(check) };
        let live = Self { inner: Arc::new(inner) };
        live.inner.look().await;
        live
    }

    /// The snapshot to answer one request from, newer than `REVALIDATE_SECONDS` when the bucket answers in time.
    pub(crate) async fn snapshot(&self) -> Option<Shared> {
        if self.inner.begin(self.inner.revalidate) {
            self.look().await;
        }
        self.inner.snapshot.load_full()
    }

    /// A snapshot other than this one, if a look finds one. For whoever knows of something that this one does not have.
    pub(crate) async fn other_than(&self, known: &Shared) -> Option<Shared> {
        if self.inner.begin(AGAIN) {
            self.look().await;
        }
        self.inner.snapshot.load_full().filter(|snapshot| !Arc::ptr_eq(snapshot, known))
    }

    async fn look(&self) {
        let inner = Arc::clone(&self.inner);
        let look = tokio::spawn(Context::within_current().scope(async move { inner.look().await }));
        // The look goes on when this request stops waiting for it, and says itself how it ended.
        let _finished_in_time = tokio::time::timeout(PATIENCE, look).await;
    }

    /// The cache bucket.
    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// The snapshot there is, whatever its age.
    pub(crate) fn current(&self) -> Option<Shared> {
        self.inner.snapshot.load_full()
    }

    /// How fresh the snapshot is.
    pub(crate) fn freshness(&self) -> Freshness {
        let check = self.inner.lock();
        let failure = check.outcome.as_ref().err().map(Failure::public);
        Freshness { checked: check.confirmed.elapsed(), failure, looks: check.looks }
    }

    /// Whether the bucket has answered that it is empty.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.inner.lock().outcome, Err(Failure::Empty))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Check> {
        // A panic while holding it leaves a consistent value behind.
        self.check.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether the last look is this old and nobody else looks; then the caller must.
    fn begin(&self, age: Duration) -> bool {
        let mut check = self.lock();
        let due = !check.running && (check.last.elapsed() >= age || self.snapshot.load().is_none());
        check.running |= due;
        due
    }

    async fn look(&self) {
        let mut look = Look { inner: self, outcome: Err(Failure::Ended) };
        look.outcome = self.revalidate().await.map(|new| {
            if let Some(snapshot) = new {
                let prepared = Arc::clone(&snapshot);
                self.snapshot.store(Some(snapshot));
                // Requests until then get the bodies compressed by the first of them.
                tokio::task::spawn_blocking(move || prepared.prepare());
            }
        });
    }

    /// A newer snapshot, if there is one.
    async fn revalidate(&self) -> Result<Option<Shared>, Failure> {
        let started = Instant::now();
        let current = self.snapshot.load_full();
        let known = current.as_ref().map(|snapshot| &snapshot.etag);
        let object = match self.cache.fetch(INDEX_KEY, known, RELEASE_BYTES).await? {
            Fetched::NotModified => return Ok(None),
            Fetched::Absent => return Err(Failure::Empty),
            Fetched::Found(object) => object,
        };
        let index_read = started.elapsed();
        let index = workers::run_now(|| LiveIndex::from_bytes(&object.bytes)).map_err(Failure::Index)?;
        let name = index.release;
        let failed = |reason| Failure::Release { name, reason };
        let stored = self.cache.get(&release_key(name), RELEASE_BYTES).await?.ok_or(Failure::Missing(name))?;
        let outline = workers::run_now(|| Outline::from_bytes(name, &stored.bytes)).map_err(failed)?;
        let documents = self.documents(&outline).await?;
        let release_read = started.elapsed();
        // Large registries take a while, and requests are answered meanwhile.
        let (index, checked) = aside(move || {
            let checked = index.check(&outline);
            (index, checked.map(|()| outline.with(documents)))
        })
        .await?;
        let mut release = checked.map_err(Failure::Index)?.map_err(failed)?;
        let parsed = started.elapsed();
        let before = current.as_ref().map(|snapshot| &snapshot.icons);
        self.damaged.clear();
        let icons = std::mem::take(&mut release.content.icons);
        let icons = icons::load(icons, before, &self.cache, &self.damaged).await;
        let icons_loaded = started.elapsed();
        let snapshot = aside(move || {
            Arc::new(Snapshot::new(object.etag, index, object.bytes, release, icons).after(current.as_deref()))
        });
        let snapshot = snapshot.await?;
        tracing::info!(
            commit = %snapshot.commit,
            index_read_ms = milliseconds(index_read),
            release_read_ms = milliseconds(release_read - index_read),
            parse_ms = milliseconds(parsed - release_read),
            icons_ms = milliseconds(icons_loaded - parsed),
            prepare_ms = milliseconds(started.elapsed() - icons_loaded),
            "serving a new release"
        );
        Ok(Some(snapshot))
    }

    /// The documents of a release, each with its name.
    async fn documents(&self, outline: &Outline) -> Result<Vec<(Digest, Bytes)>, Failure> {
        let read = |name| async move {
            let stored = self.cache.get(&blob_key(name), RELEASE_BYTES).await?;
            Ok((name, stored.ok_or(Failure::Missing(name))?.bytes))
        };
        let reads: Vec<_> = outline.documents().into_keys().map(read).collect();
        stream::iter(reads).buffer_unordered(CONCURRENT_READS).try_collect().await
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        let mut check = self.inner.lock();
        let now = Instant::now();
        let confirmed = match &outcome {
            Ok(()) => now,
            Err(failure) => {
                let serving = self.inner.snapshot.load().as_ref().map(|snapshot| snapshot.commit.to_string());
                tracing::warn!(%failure, serving, "no look at the live release");
                check.confirmed
            }
        };
        *check = Check { running: false, looks: check.looks + 1, last: now, confirmed, outcome };
    }
}

/// Works where it keeps no request waiting.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use devfile_registry::cache::Patience;

    async fn inner() -> Inner {
        let long_ago = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let check = Check { running: false, looks: 0, last: long_ago, confirmed: long_ago, outcome: Ok(()) };
        Inner {
            cache: Cache::from_env("nowhere", Patience::Reader).await,
            revalidate: Duration::from_secs(5),
            damaged: Damaged::default(),
            snapshot: ArcSwapOption::empty(),
            check: Mutex::new(check),
        }
    }

    #[tokio::test]
    async fn only_an_answer_of_the_bucket_confirms_a_snapshot() {
        let live = Live { inner: Arc::new(inner().await) };
        drop(Look { inner: &live.inner, outcome: Err(Failure::Empty) });
        let stale = live.freshness();
        assert!(stale.failure.is_some() && stale.checked >= Duration::from_secs(100), "{stale:?}");
        drop(Look { inner: &live.inner, outcome: Ok(()) });
        let fresh = live.freshness();
        assert!(fresh.failure.is_none() && fresh.checked < Duration::from_secs(100), "{fresh:?}");
    }

    #[tokio::test]
    async fn a_look_that_panics_is_over() {
        let inner = Arc::new(inner().await);
        assert!(inner.begin(AGAIN) && !inner.begin(AGAIN), "one at a time");
        let looking = Arc::clone(&inner);
        let look = async move {
            let _look = Look { inner: &looking, outcome: Err(Failure::Ended) };
            panic!("a look that a test ends");
        };
        assert!(tokio::spawn(look).await.is_err());
        assert!(matches!(inner.lock().outcome, Err(Failure::Ended)));
        assert!(inner.begin(Duration::ZERO), "the next request looks again");
    }
}
