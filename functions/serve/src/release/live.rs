//! Keeps the snapshot up to date with the bucket.
//!
//! A Lambda function is frozen between requests, so requests revalidate the snapshot. The first
//! request after `REVALIDATE_SECONDS` starts a conditional read of `index.json` and waits for it
//! briefly; all others get the current snapshot. So does the first one when the bucket is slow or
//! down (invariant 7). A request for content that the snapshot lacks joins or starts a read, and
//! waits for its end.

#[cfg(test)]
mod tests;

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
use tokio::sync::watch;

use crate::aside;
use crate::release::blobs::Damaged;
use crate::release::icons;
use crate::release::snapshot::{Shared, Snapshot};
use crate::workers;

/// Longest wait of a request for the check that it started.
const CHECK_TIMEOUT: Duration = Duration::from_millis(250);

/// Least time between two checks for an unknown name.
const AGAIN: Duration = Duration::from_secs(1);

/// Least time between two checks for an unknown digest, which another instance may have served.
const AGAIN_FOR_DIGEST: Duration = Duration::from_millis(250);

/// Longest wait of a request for a release newer than the one that lacks the content.
const NEWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The state before the first publication, in words that everybody may read. The store is a bucket or a directory.
const NO_RELEASE: &str = "the store has no release yet; run refresh to publish one";

/// The live release as this instance knows it.
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
    check: Mutex<CheckState>,
    /// Number of checks; a new value wakes the waiting requests.
    checks: watch::Sender<u64>,
}

/// The last and the running check of the bucket.
#[derive(Debug)]
struct CheckState {
    running: bool,
    checks: u64,
    /// Start of the last or running check.
    began: Instant,
    last: Instant,
    /// The last check that the bucket answered.
    confirmed: Instant,
    outcome: Result<(), Failure>,
}

/// A running check. Dropping it ends the check, with success or without.
struct RunningCheck<'a> {
    inner: &'a Inner,
    outcome: Result<(), Failure>,
}

/// The kind of content that a snapshot lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingContent {
    /// Content by its digest. The client got it from a release, so the request waits for a check.
    Digest,
    /// A name. The request waits for a check, unless one ended within a second.
    Name,
}

/// The bucket may have a newer release: no check ran, or it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unconfirmed;

/// The next step of a request for a newer release. The numbers count the ended checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Start a check and wait for it.
    Start(u64),
    /// Wait for the running check.
    Join(u64),
    /// Wait this long, because the last check ended recently.
    Pause(Duration),
    /// A check began after the request and found no newer release.
    Confirmed,
}

/// The freshness of the snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    /// Time since the bucket last confirmed the live release.
    pub(crate) checked: Duration,
    /// The public reason of the last failed check; `None` after a success.
    pub(crate) failure: Option<&'static str>,
    /// Number of checks.
    pub(crate) checks: u64,
}

/// The reason why there is no newer snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The bucket has no index.
    #[error("{NO_RELEASE}")]
    Empty,
    /// The bucket failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// `index.json` cannot be read.
    #[error("index.json in the store cannot be used: {0}")]
    Index(InvalidDocument),
    /// The release object cannot be read.
    #[error("the release {name} in the store cannot be used: {reason}")]
    Release {
        /// Its name.
        name: Digest,
        /// The fault.
        reason: InvalidDocument,
    },
    /// The release object, or a document that it names, is missing.
    #[error("{0}, of the live release, is not in the store")]
    Missing(Digest),
    /// The check panicked.
    #[error("the check of the store panicked")]
    Ended,
}

impl Failure {
    /// Returns the reason in public words, without names of buckets and errors of other servers.
    fn public(&self) -> &'static str {
        match self {
            Self::Empty => NO_RELEASE,
            Self::Cache(_) => "the store cannot be read",
            Self::Index(_) | Self::Release { .. } => "the live release cannot be read",
            Self::Missing(_) => "content of the live release is missing",
            Self::Ended => "the check of the store ended early",
        }
    }
}

impl Live {
    /// Loads the live release. An empty or unreachable bucket is no error: the next requests check
    /// again. Each new release empties `damaged`.
    pub(crate) async fn load(cache: Cache, revalidate: Duration, damaged: Damaged) -> Self {
        let now = Instant::now();
        let check = CheckState { running: false, checks: 0, began: now, last: now, confirmed: now, outcome: Ok(()) };
        let (snapshot, check, checks) = (ArcSwapOption::empty(), Mutex::new(check), watch::Sender::new(0));
        let inner = Inner { cache, revalidate, damaged, snapshot, check, checks };
        let live = Self { inner: Arc::new(inner) };
        live.inner.check_bucket().await;
        live
    }

    /// Returns a release that never changes, for a preview.
    pub(crate) fn fixed(cache: Cache, snapshot: Shared) -> Self {
        let now = Instant::now();
        let check = CheckState { running: false, checks: 0, began: now, last: now, confirmed: now, outcome: Ok(()) };
        let (snapshot, check, checks) = (ArcSwapOption::from(Some(snapshot)), Mutex::new(check), watch::Sender::new(0));
        let (revalidate, damaged) = (Duration::MAX, Damaged::default());
        Self { inner: Arc::new(Inner { cache, revalidate, damaged, snapshot, check, checks }) }
    }

    /// Returns the snapshot for one request, newer than `REVALIDATE_SECONDS` when the bucket
    /// answers in time.
    pub(crate) async fn snapshot(&self) -> Option<Shared> {
        let wait = match self.inner.begin(self.inner.revalidate) {
            Some(Next::Start(checks)) => {
                self.start();
                Some(checks)
            }
            // Without a snapshot the request has nothing to answer from.
            Some(Next::Join(checks)) if self.inner.snapshot.load().is_none() => Some(checks),
            _ => None,
        };
        if let Some(checks) = wait {
            // The check continues when this request stops waiting.
            let _ended_in_time = tokio::time::timeout(CHECK_TIMEOUT, self.ended(checks)).await;
        }
        self.inner.snapshot.load_full()
    }

    /// Returns a snapshot other than this one, which lacks some content; `None` when the bucket has
    /// confirmed since then that there is none.
    ///
    /// # Errors
    /// [`Unconfirmed`] when no check ran, or the bucket did not answer.
    pub(crate) async fn other_than(
        &self,
        known: &Shared,
        missing: MissingContent,
    ) -> Result<Option<Shared>, Unconfirmed> {
        let asked = Instant::now();
        let search = async {
            loop {
                if let Some(other) = self.current().filter(|snapshot| !Arc::ptr_eq(snapshot, known)) {
                    return Ok(Some(other));
                }
                let checks = match self.inner.next(asked, missing, Instant::now()) {
                    Next::Confirmed => return Ok(None),
                    Next::Pause(_) if missing == MissingContent::Name => return Err(Unconfirmed),
                    Next::Pause(rest) => {
                        tokio::time::sleep(rest).await;
                        continue;
                    }
                    Next::Start(checks) => {
                        self.start();
                        checks
                    }
                    Next::Join(checks) => checks,
                };
                self.ended(checks).await;
                if self.inner.lock().outcome.is_err() {
                    return Err(Unconfirmed);
                }
            }
        };
        tokio::time::timeout(NEWER_TIMEOUT, search).await.unwrap_or(Err(Unconfirmed))
    }

    /// Checks the bucket, however new the snapshot is, and waits for the result.
    pub(crate) async fn revalidate(&self) {
        while let Some(next) = self.inner.begin(Duration::ZERO) {
            match next {
                Next::Start(checks) => {
                    self.start();
                    return self.ended(checks).await;
                }
                // That check began before this call.
                Next::Join(checks) => self.ended(checks).await,
                Next::Pause(_) | Next::Confirmed => return,
            }
        }
    }

    /// Starts a check as a separate task, which continues and logs its result when the request
    /// ends.
    fn start(&self) {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(Context::within_current().scope(async move { inner.check_bucket().await }));
    }

    /// Waits until more checks have ended.
    async fn ended(&self, checks: u64) {
        // `self` owns the sender, so it outlives the wait.
        let _ = self.inner.checks.subscribe().wait_for(|ended| *ended > checks).await;
    }

    /// Returns the cache bucket.
    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// Returns the current snapshot, however old.
    pub(crate) fn current(&self) -> Option<Shared> {
        self.inner.snapshot.load_full()
    }

    /// Returns the freshness of the snapshot.
    pub(crate) fn freshness(&self) -> Freshness {
        let check = self.inner.lock();
        let failure = check.outcome.as_ref().err().map(Failure::public);
        Freshness { checked: check.confirmed.elapsed(), failure, checks: check.checks }
    }

    /// Returns whether the bucket has answered that it is empty.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.inner.lock().outcome, Err(Failure::Empty))
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, CheckState> {
        // A panic while the lock is held leaves a consistent value.
        self.check.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the next step of a request that accepts a snapshot of this age; `None` when the
    /// snapshot is younger.
    fn begin(&self, age: Duration) -> Option<Next> {
        let mut check = self.lock();
        // An empty bucket is checked more often, because all requests wait for its first release.
        let age = if self.snapshot.load().is_none() { age.min(AGAIN_FOR_DIGEST) } else { age };
        if check.running {
            return Some(Next::Join(check.checks));
        }
        (check.last.elapsed() >= age).then(|| check.start())
    }

    /// Returns the next step of a request that arrived at this time for content that the snapshot
    /// lacks.
    fn next(&self, asked: Instant, missing: MissingContent, now: Instant) -> Next {
        let mut check = self.lock();
        let pause = match missing {
            MissingContent::Digest => AGAIN_FOR_DIGEST,
            MissingContent::Name => AGAIN,
        };
        if check.running {
            Next::Join(check.checks)
        } else if check.began >= asked {
            Next::Confirmed
        } else {
            pause
                .checked_sub(now.saturating_duration_since(check.last))
                .filter(|rest| !rest.is_zero())
                .map_or_else(|| check.start(), Next::Pause)
        }
    }

    async fn check_bucket(&self) {
        let mut check_bucket = RunningCheck { inner: self, outcome: Err(Failure::Ended) };
        check_bucket.outcome = self.revalidate().await.map(|new| {
            if let Some(snapshot) = new {
                let before = self.snapshot.swap(Some(Arc::clone(&snapshot)));
                // Frees the memory of the previous release and of the read before the next
                // allocation.
                aside::run(move || drop(before));
                aside::run(heap::trim);
                snapshot.prepare();
                aside::run(heap::trim);
            }
        });
    }

    /// Returns a newer snapshot, if there is one.
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
        let documents = documents(&self.cache, &outline).await?;
        let release_read = started.elapsed();
        // A large release takes seconds to parse, so other threads answer requests meanwhile.
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
}

/// Reads the documents of a release, each with its name.
pub(super) async fn documents(cache: &Cache, outline: &Outline) -> Result<Vec<(Digest, Bytes)>, Failure> {
    let read = |name| async move {
        let stored = cache.get(&blob_key(name), RELEASE_BYTES).await?;
        Ok((name, stored.ok_or(Failure::Missing(name))?.bytes))
    };
    let reads: Vec<_> = outline.documents().into_keys().map(read).collect();
    stream::iter(reads).buffer_unordered(CONCURRENT_READS).try_collect().await
}

impl CheckState {
    /// Records that a check begins; the caller must start it.
    fn start(&mut self) -> Next {
        (self.running, self.began) = (true, Instant::now());
        Next::Start(self.checks)
    }
}

impl Drop for RunningCheck<'_> {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        let mut check = self.inner.lock();
        let now = Instant::now();
        let confirmed = match &outcome {
            Ok(()) => now,
            // The first publication may follow in a moment.
            Err(Failure::Empty) if check.checks == 0 => {
                tracing::info!("{NO_RELEASE}");
                check.confirmed
            }
            Err(failure) => {
                let serving = self.inner.snapshot.load().as_ref().map(|snapshot| snapshot.commit.to_string());
                tracing::warn!(%failure, serving, "cannot check the live release");
                check.confirmed
            }
        };
        let checks = check.checks + 1;
        *check = CheckState { running: false, checks, began: check.began, last: now, confirmed, outcome };
        drop(check);
        self.inner.checks.send_replace(checks);
    }
}

/// Runs a blocking function on another thread.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Ended)
}
