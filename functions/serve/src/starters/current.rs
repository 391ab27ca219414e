//! Which zip of a starter project is the current one.
//!
//! The state of a source is checked when somebody asks, at most every five minutes. A state whose zip is in the bucket costs
//! that check alone. When the source does not answer, the zip of its last known state goes on being given, and says so.
//! Requests that ask for one source at once share all of this.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use devfile_registry::cache::CacheError;
use devfile_registry::digest::Digest;
use devfile_registry::git::Revision;
use devfile_registry::starter::{
    ArchiveError, Files, LastGood, Origin, RemoteError, RemoteSource, Remotes, Revalidated, SourceKey, StarterSource,
    StarterStore, State, ZipKey, pack_zip,
};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use moka::Expiry;
use moka::future::Cache as Memory;
use tempfile::NamedTempFile;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// The age at which a check of a source no longer counts.
const LOOK: Duration = Duration::from_secs(5 * 60);

/// The pause after a source did not answer, or gave nothing usable.
const PAUSE: Duration = Duration::from_secs(30);

/// The time that a client waits for a zip at most; the gateway ends requests after 30 s.
const WAIT: Duration = Duration::from_secs(25);

/// Age at which the note of a valid state is written again: the bucket removes old objects.
const RENEW: Duration = Duration::from_secs(24 * 60 * 60);

/// Most sources that are remembered; an entry takes some hundred bytes.
const SOURCES: u64 = 10_000;

/// Most sources that are worked on or wait for their turn; requests for further ones are asked to come again. Each holds the body or
/// the file that it is packed from.
const WAITING: usize = 64;

/// Projects that are packed at a time. Each takes a processor, and up to three times its size of the temporary folder.
const AT_ONCE: usize = 4;

/// The requested representation.
#[derive(Debug, Clone)]
pub(super) enum RequestedZip {
    /// A source on another host.
    There {
        /// The source.
        source: StarterSource,
    },
    /// A zip file of the live release.
    Here {
        /// The source.
        source: StarterSource,
        /// Digest of the file.
        digest: Digest,
        /// Its bytes.
        bytes: Bytes,
    },
}

/// The current zip of a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Current {
    /// Its name in the bucket.
    pub(super) zip: ZipKey,
    /// Its length in bytes.
    pub(super) size: u64,
    /// Whether it is known to be the current one.
    pub(super) freshness: SourceFreshness,
}

/// The freshness of a zip, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceFreshness {
    /// It cannot change.
    Fixed,
    /// The source says that it is current.
    Checked,
    /// The source does not answer.
    Stale {
        /// When it last did, within a day.
        since: SystemTime,
    },
}

/// Why there is no zip of a starter project.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StarterError {
    /// Its host failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Its file in the registry repository is refused.
    #[error("cannot read the file of the starter project in the registry repository: {0}")]
    File(#[from] ArchiveError),
    /// The bucket failed.
    #[error(transparent)]
    Store(#[from] CacheError),
    /// The zip is not in the bucket any more.
    #[error("the zip is not in the store any more")]
    Gone,
    /// All of it took too long. It goes on where it can.
    #[error("the starter project could not be fetched and packed in time")]
    Slow,
    /// The work ended early.
    #[error("the work was ended: {0}")]
    Ended(String),
    /// It waited for others to be packed all the time. It goes on where it can.
    #[error("too many starter projects are being packed; try again in a moment")]
    Queued,
}

/// The current zip of a source, or why there is none.
type CurrentResult = Result<Current, Arc<StarterError>>;

impl StarterError {
    /// Whether a host was too slow.
    pub(crate) fn is_slow(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_slow(),
            Self::Slow => true,
            _ => false,
        }
    }

    /// Whether the next request may well fare better.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Gone | Self::Ended(_) | Self::Queued)
    }

    /// Whether it did not get its turn.
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Whether the zip was there a moment ago.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }

    /// The message for clients.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Remote(error) => error.public(),
            Self::File(error) => error.public(),
            Self::Slow | Self::Queued => self.to_string(),
            Self::Store(_) | Self::Gone | Self::Ended(_) => {
                "the store of this registry does not answer; try again in a moment".into()
            }
        }
    }
}

/// A source, and for a zip file of the live release the digest of that file.
type RunKey = (SourceKey, Option<Digest>);

/// The work on one source, which every request for it can wait for, and whether it waits for its turn.
type Running = (Shared<BoxFuture<'static, CurrentResult>>, Arc<Turn>);

/// The current zips of all sources.
#[derive(Debug)]
pub(super) struct Currents {
    work: Arc<Fetcher>,
    memory: Memory<RunKey, CurrentResult>,
    running: Arc<Mutex<HashMap<RunKey, Running>>>,
}

#[derive(Debug)]
struct Fetcher {
    remotes: Remotes,
    store: StarterStore,
    room: Semaphore,
}

/// Whether a project waits for its turn to be packed.
#[derive(Debug, Default)]
struct Turn(AtomicBool);

impl Turn {
    async fn of<'r>(&self, room: &'r Semaphore) -> Result<SemaphorePermit<'r>, AcquireError> {
        self.0.store(true, Ordering::Relaxed);
        let permit = room.acquire().await;
        self.0.store(false, Ordering::Relaxed);
        permit
    }

    fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Until;

impl Expiry<RunKey, CurrentResult> for Until {
    fn expire_after_create(&self, _: &RunKey, found: &CurrentResult, _: Instant) -> Option<Duration> {
        match found {
            Ok(Current { freshness: SourceFreshness::Fixed, .. }) => None,
            Ok(Current { freshness: SourceFreshness::Checked, .. }) => Some(LOOK),
            Ok(Current { freshness: SourceFreshness::Stale { .. }, .. }) => Some(PAUSE),
            Err(error) => Some(if error.may_pass() { Duration::ZERO } else { PAUSE }),
        }
    }
}

impl RequestedZip {
    fn key(&self) -> RunKey {
        match self {
            Self::There { source } => (SourceKey::of(source), None),
            Self::Here { source, digest, .. } => (SourceKey::of(source), Some(*digest)),
        }
    }
}

impl Currents {
    pub(super) fn new(remotes: Remotes, store: StarterStore) -> Self {
        let memory = Memory::builder().max_capacity(SOURCES).expire_after(Until).build();
        let work = Arc::new(Fetcher { remotes, store, room: Semaphore::new(AT_ONCE) });
        Self { work, memory, running: Arc::default() }
    }

    /// The current zip.
    pub(super) async fn find(&self, wanted: &RequestedZip) -> CurrentResult {
        let find = async {
            let (running, turn) = self.begin(wanted)?;
            match tokio::time::timeout(WAIT, running).await {
                Ok(found) => found,
                // The source is not to blame for the wait, so the next request may find room.
                Err(_) if turn.is_awaited() => Err(Arc::new(StarterError::Queued)),
                Err(_) => Err(Arc::new(StarterError::Slow)),
            }
        };
        self.memory.get_with(wanted.key(), find).await
    }

    /// Starts the work on a source, or joins that of an earlier request. Started work is finished, also when the clients
    /// that asked go away.
    fn begin(&self, wanted: &RequestedZip) -> Result<Running, Arc<StarterError>> {
        let key = wanted.key();
        let mut running = lock(&self.running);
        if let Some(begun) = running.get(&key) {
            return Ok(begun.clone());
        }
        if running.len() >= WAITING {
            return Err(Arc::new(StarterError::Queued));
        }
        let (work, task, turn) = (Arc::clone(&self.work), wanted.clone(), Arc::new(Turn::default()));
        let (own, all) = (Arc::clone(&turn), Arc::clone(&self.running));
        // A panic ends this task alone: the next one takes the work off the list all the same.
        let finding = tokio::spawn(async move { work.find(&task, &own).await });
        let ended = tokio::spawn(async move {
            let found = finding.await.unwrap_or_else(|error| Err(StarterError::Ended(error.to_string())));
            lock(&all).remove(&key);
            found.map_err(Arc::new)
        });
        let ended =
            ended.map(|ended| ended.unwrap_or_else(|error| Err(Arc::new(StarterError::Ended(error.to_string())))));
        let begun = (ended.boxed().shared(), turn);
        running.insert(key, begun.clone());
        Ok(begun)
    }

    /// Looks anew the next time.
    pub(super) async fn forget(&self, wanted: &RequestedZip) {
        self.memory.invalidate(&wanted.key()).await;
    }
}

impl Fetcher {
    async fn find(&self, wanted: &RequestedZip, turn: &Turn) -> Result<Current, StarterError> {
        match wanted {
            RequestedZip::Here { source, digest, bytes } => {
                let zip = ZipKey::of(source, &State::Content(*digest));
                if let Some(size) = self.store.size(zip).await? {
                    return Ok(Current { zip, size, freshness: SourceFreshness::Fixed });
                }
                let _room = turn.of(&self.room).await;
                let packed = temporary(bytes)?;
                let made = pack_zip(packed, source.sub_dir.as_ref()).await?;
                self.keep(zip, &made, SourceFreshness::Fixed).await
            }
            RequestedZip::There { source } => match &source.origin {
                Origin::Git { remote, revision } => self.there(source, RemoteSource::Git(remote, revision), turn).await,
                Origin::Zip(url) => self.there(source, RemoteSource::Zip(url), turn).await,
                Origin::File(path) => Err(ArchiveError::NoSuchFolder(path.to_string()).into()),
            },
        }
    }

    async fn there(
        &self,
        source: &StarterSource,
        remote: RemoteSource<'_>,
        turn: &Turn,
    ) -> Result<Current, StarterError> {
        let key = SourceKey::of(source);
        let last = self.store.last_good(key).await?;
        let error = match self.revalidate(source, remote, last.as_ref(), turn).await {
            Ok((current, state)) => {
                if last.is_none_or(|last| last.state != state || last.age() > RENEW) {
                    self.store.remember(key, &LastGood::now(state)).await?;
                }
                return Ok(current);
            }
            Err(StarterError::Remote(error)) => error,
            Err(error) => return Err(error),
        };
        let Some(last) = last else { return Err(error.into()) };
        let zip = ZipKey::of(source, &last.state);
        match self.store.size(zip).await? {
            Some(size) => {
                tracing::warn!(%error, "giving the last good zip of a starter project");
                Ok(Current { zip, size, freshness: SourceFreshness::Stale { since: last.noted() } })
            }
            None => Err(error.into()),
        }
    }

    /// The current zip, and the state of the source that it is of.
    async fn revalidate(
        &self,
        source: &StarterSource,
        remote: RemoteSource<'_>,
        last: Option<&LastGood>,
        turn: &Turn,
    ) -> Result<(Current, State), StarterError> {
        let known = last.map(|last| &last.state);
        let freshness = match remote {
            RemoteSource::Git(_, Revision::Commit(_)) => SourceFreshness::Fixed,
            _ => SourceFreshness::Checked,
        };
        let mut revalidate = self.remotes.revalidate(remote, known).await?;
        if let (Revalidated::Unchanged, Some(state)) = (&revalidate, known) {
            let zip = ZipKey::of(source, state);
            if let Some(size) = self.store.size(zip).await? {
                return Ok((Current { zip, size, freshness }, state.clone()));
            }
            revalidate = self.remotes.revalidate(remote, None).await?;
        }
        let Revalidated::Changed(state, files) = revalidate else {
            return Err(StarterError::Ended("a source without a state".into()));
        };
        let zip = ZipKey::of(source, &state);
        let current = match self.store.size(zip).await? {
            Some(size) => Current { zip, size, freshness },
            None => self.make(zip, source, files, freshness, turn).await?,
        };
        Ok((current, state))
    }

    async fn make(
        &self,
        zip: ZipKey,
        source: &StarterSource,
        files: Files,
        freshness: SourceFreshness,
        turn: &Turn,
    ) -> Result<Current, StarterError> {
        let _room = turn.of(&self.room).await;
        let begin = Instant::now();
        let made = self.remotes.zip(files, source.sub_dir.as_ref()).await?;
        let current = self.keep(zip, &made, freshness).await?;
        tracing::info!(
            bytes = current.size,
            milliseconds = begin.elapsed().as_millis() as u64,
            "packed a starter project"
        );
        Ok(current)
    }

    /// Puts a zip into the bucket.
    async fn keep(
        &self,
        zip: ZipKey,
        made: &NamedTempFile,
        freshness: SourceFreshness,
    ) -> Result<Current, StarterError> {
        let size = made.as_file().metadata().map_err(ArchiveError::Temporary)?.len();
        self.store.write(zip, made.path()).await?;
        Ok(Current { zip, size, freshness })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while holding it leaves a consistent value behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn temporary(bytes: &[u8]) -> Result<std::fs::File, ArchiveError> {
    let write = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(ArchiveError::Temporary)
}

/// Reads a zip of the bucket.
pub(super) async fn read(store: &StarterStore, zip: ZipKey, size: u64) -> Result<Bytes, StarterError> {
    store.read(zip, size).await?.ok_or(StarterError::Gone)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use devfile_registry::starter::StarterProject;

    use super::*;

    #[tokio::test]
    async fn queued_project_is_distinguished_from_one_that_is_packed() {
        let (turn, room) = (Turn::default(), Semaphore::new(1));
        let other = room.acquire().await.unwrap();
        let mut waiting = std::pin::pin!(turn.of(&room));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(turn.is_awaited());
        drop(other);
        let _room = waiting.await.unwrap();
        assert!(!turn.is_awaited());
    }

    #[test]
    fn state_of_a_source_is_cached_as_long_as_its_freshness_allows() {
        let source = StarterProject::all(b"starterProjects: [{name: a, zip: {location: a.zip}}]").unwrap().remove(0);
        let source = source.source.unwrap();
        let state = State::Content(Digest::of(b""));
        let key = (SourceKey::of(&source), None);
        let lives = |freshness| {
            let found = Ok(Current { zip: ZipKey::of(&source, &state), size: 1, freshness });
            Until.expire_after_create(&key, &found, Instant::now())
        };
        assert_eq!(lives(SourceFreshness::Fixed), None, "a commit does not change");
        assert_eq!(lives(SourceFreshness::Checked), Some(Duration::from_secs(300)));
        assert_eq!(lives(SourceFreshness::Stale { since: SystemTime::now() }), Some(PAUSE));
        let fails = |error| Until.expire_after_create(&key, &Err(Arc::new(error)), Instant::now());
        assert_eq!(fails(StarterError::Slow), Some(PAUSE), "a source that fails is not asked by every request");
        assert_eq!(fails(StarterError::Gone), Some(Duration::ZERO), "the store of the registry may answer again");
        assert_eq!(fails(StarterError::Queued), Some(Duration::ZERO), "the next request may find room");
    }
}
