//! Keeps the snapshot up to date with the bucket.
//!
//! A Lambda function is frozen between requests, so requests themselves do the checking: the first one after
//! `REVALIDATE_SECONDS` starts a conditional read of `index.json` and waits for it a short while; all others answer from the
//! snapshot there is. When the bucket is slow or down, so does the first one (invariant 7).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use devfile_registry::cache::{Bucket, Cache, CacheError, Fetched, INDEX_KEY, release_key};
use devfile_registry::context::Context;
use devfile_registry::limits::RELEASE_BYTES;
use devfile_registry::release::{InvalidDocument, LiveIndex, Release};
use devfile_registry::request::milliseconds;

use crate::icons;
use crate::snapshot::{Shared, Snapshot};

/// Longest that a request waits for the check it started.
const PATIENCE: Duration = Duration::from_millis(250);

/// The live release, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Cache,
    revalidate: Duration,
    snapshot: ArcSwapOption<Snapshot>,
    check: Mutex<Check>,
}

/// The last and the current look at the bucket.
#[derive(Debug)]
struct Check {
    running: bool,
    looks: u64,
    last: Instant,
    outcome: Result<(), Failure>,
}

/// What is known about the freshness of the snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    /// Time since the last look at the bucket.
    pub(crate) checked: Duration,
    /// Why the last look failed, if it did.
    pub(crate) failure: Option<String>,
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
        name: devfile_registry::digest::Digest,
        /// What is wrong with it.
        reason: InvalidDocument,
    },
    /// The release object is not there.
    #[error("the release {0} is not in the cache bucket")]
    ReleaseMissing(devfile_registry::digest::Digest),
}

impl Live {
    /// Loads the live release. A bucket that is empty or does not answer is no error: the next requests look again.
    pub(crate) async fn load(cache: Cache, revalidate: Duration) -> Self {
        let check = Check { running: false, looks: 0, last: Instant::now(), outcome: Ok(()) };
        let inner = Inner { cache, revalidate, snapshot: ArcSwapOption::empty(), check: Mutex::new(check) };
        let live = Self { inner: Arc::new(inner) };
        live.inner.look().await;
        live
    }

    /// The snapshot to answer one request from, newer than `REVALIDATE_SECONDS` when the bucket answers in time.
    pub(crate) async fn snapshot(&self) -> Option<Shared> {
        if self.inner.begin() {
            let inner = Arc::clone(&self.inner);
            let look = tokio::spawn(Context::within_current().scope(async move { inner.look().await }));
            // The look goes on when this request stops waiting for it.
            let _finished_in_time = tokio::time::timeout(PATIENCE, look).await;
        }
        self.inner.snapshot.load_full()
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
        let failure = check.outcome.as_ref().err().map(ToString::to_string);
        Freshness { checked: check.last.elapsed(), failure, looks: check.looks }
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

    /// Whether it is time for a look and nobody else looks; then the caller must.
    fn begin(&self) -> bool {
        let mut check = self.lock();
        let due = !check.running && (check.last.elapsed() >= self.revalidate || self.snapshot.load().is_none());
        check.running |= due;
        due
    }

    async fn look(&self) {
        let outcome = self.revalidate().await;
        match &outcome {
            Ok(_) => {}
            Err(failure) => tracing::warn!(%failure, "keeping the release that is served"),
        }
        let outcome = outcome.map(|new| {
            if let Some(snapshot) = new {
                let prepared = Arc::clone(&snapshot);
                self.snapshot.store(Some(snapshot));
                // Requests until then get the bodies compressed by the first of them.
                tokio::task::spawn_blocking(move || prepared.prepare());
            }
        });
        let mut check = self.lock();
        *check = Check { running: false, looks: check.looks + 1, last: Instant::now(), outcome };
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
        let index = LiveIndex::from_bytes(&object.bytes).map_err(Failure::Index)?;
        let name = index.release;
        let stored = self.cache.get(&release_key(name), RELEASE_BYTES).await?.ok_or(Failure::ReleaseMissing(name))?;
        let release_read = started.elapsed();
        let mut release =
            Release::from_bytes(name, &stored.bytes).map_err(|reason| Failure::Release { name, reason })?;
        drop(stored);
        let parsed = started.elapsed();
        let before = current.as_ref().map(|snapshot| &snapshot.icons);
        let icons = icons::load(std::mem::take(&mut release.icons), before, &self.cache).await;
        let icons_loaded = started.elapsed();
        let snapshot = Arc::new(Snapshot::new(object.etag, index, object.bytes, release, icons));
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
}
