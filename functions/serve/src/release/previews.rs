//! The previews that the bucket names, and their releases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use devfile_registry::cache::{Bucket, Cache, CacheError, ETag, Fetched, PREVIEWS, Stat, preview_key, release_key};
use devfile_registry::limits::{CONCURRENT_READS, LIVING_PREVIEWS, PREVIEW_BYTES, RELEASE_BYTES};
use devfile_registry::preview::Preview;
use devfile_registry::release::{Built, Entries, LiveIndex, Outline};
use futures_util::stream::{self, StreamExt};
use tokio::sync::Mutex;

use super::blobs::Damaged;
use super::icons;
use super::live::{Failure, aside, documents};
use super::snapshot::{Shared, Snapshot};
use crate::workers;

/// Longest wait of a request for the bucket. After it the previews of the last read count.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Age, in seconds, below which an object is asked for again: times in the bucket are whole seconds, and two writes may be within one.
const YOUNG_SECONDS: i64 = 60;

/// The previews that were read last.
#[derive(Debug)]
pub(crate) struct Previews {
    revalidate: Duration,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    at: Option<Instant>,
    known: BTreeMap<u64, Known>,
}

/// An object as it was read.
#[derive(Debug, Clone)]
struct Known {
    stat: Stat,
    etag: ETag,
    /// `None` when it cannot be read.
    preview: Option<Arc<Preview>>,
}

impl Previews {
    /// Reads nothing yet.
    pub(crate) fn new(revalidate: Duration) -> Self {
        Self { revalidate, read: Mutex::default() }
    }

    /// Returns the living previews by their numbers, as the bucket had them within `REVALIDATE_SECONDS`. Requests share one reading,
    /// so unknown numbers cause no calls.
    pub(crate) async fn living(&self, cache: &Cache) -> Vec<Arc<Preview>> {
        let mut read = self.read.lock().await;
        if read.at.is_none_or(|at| at.elapsed() >= self.revalidate) {
            match tokio::time::timeout(READ_TIMEOUT, read_all(cache, &read.known)).await {
                Ok(Ok(known)) => read.known = known,
                Ok(Err(error)) => tracing::warn!(%error, "the previews cannot be read"),
                Err(_) => tracing::warn!("the previews cannot be read in time"),
            }
            read.at = Some(Instant::now());
        }
        let now = jiff::Timestamp::now();
        let previews = read.known.values().filter_map(|known| known.preview.clone());
        previews.filter(|preview| preview.is_living(now)).collect()
    }
}

/// Reads the objects of all previews, those that are known and unchanged not again.
async fn read_all(cache: &Cache, known: &BTreeMap<u64, Known>) -> Result<BTreeMap<u64, Known>, CacheError> {
    let stored = cache.list(PREVIEWS).await?.into_iter();
    let mut stored: Vec<(u64, Stat)> =
        stored.filter_map(|(key, stat)| Some((Preview::number_of(&key)?, stat))).collect();
    // The store also has previews that ended within the day.
    stored.sort_by_key(|(number, stat)| std::cmp::Reverse((stat.modified, *number)));
    stored.truncate(LIVING_PREVIEWS.saturating_mul(10));
    let now = jiff::Timestamp::now().as_second();
    let read = stored.into_iter().map(|(number, stat)| async move {
        let before = known.get(&number);
        let is_young = now.saturating_sub(stat.modified.as_second()) < YOUNG_SECONDS;
        if let Some(before) = before.filter(|before| before.stat == stat && !is_young) {
            return Ok(Some((number, before.clone())));
        }
        let etag = before.map(|before| &before.etag);
        Ok(match (cache.fetch(&preview_key(number), etag, PREVIEW_BYTES).await?, before) {
            (Fetched::NotModified, Some(before)) => Some((number, Known { stat, ..before.clone() })),
            (Fetched::NotModified | Fetched::Absent, _) => None,
            (Fetched::Found(object), _) => {
                let preview = Preview::from_bytes(number, &object.bytes);
                let preview = preview.inspect_err(|reason| tracing::warn!(number, %reason, "a preview cannot be read"));
                Some((number, Known { stat, etag: object.etag, preview: preview.ok().map(Arc::new) }))
            }
        })
    });
    let read: Vec<Result<_, CacheError>> = stream::iter(read).buffer_unordered(CONCURRENT_READS).collect().await;
    read.into_iter().filter_map(Result::transpose).collect()
}

/// Loads the release of a preview. Icons that `live` has are not read again.
pub(crate) async fn load(cache: &Cache, preview: &Arc<Preview>, live: Option<&Shared>) -> Result<Shared, Failure> {
    let name = preview.release;
    let failed = |reason| Failure::Release { name, reason };
    let stored = cache.get(&release_key(name), RELEASE_BYTES).await?.ok_or(Failure::Missing(name))?;
    let outline = workers::run_now(|| Outline::from_bytes(name, &stored.bytes)).map_err(failed)?;
    let documents = documents(cache, &outline).await?;
    let about = Arc::clone(preview);
    let parsed = aside(move || {
        let release = Arc::new(outline.with(documents)?);
        let entries = Entries::of(&release.content.stacks);
        let built = Built { release, name, bytes: stored.bytes.clone(), entries, contents: BTreeMap::new() };
        let index = LiveIndex::of(&built, about.updated_at.clone(), &about.changes, None);
        index.check(&built.release.outline)?;
        Ok((index, Arc::unwrap_or_clone(built.release)))
    });
    let (index, mut release) = parsed.await?.map_err(failed)?;
    let icons = std::mem::take(&mut release.content.icons);
    let icons = icons::load(icons, live.map(|live| &live.icons), cache, &Damaged::default()).await;
    let snapshot = aside(move || {
        let bytes = index.to_bytes();
        let etag = ETag::new(format!("\"{name}\""));
        Arc::new(Snapshot::new(etag, index, bytes, release, icons))
    });
    let snapshot = snapshot.await?;
    tracing::info!(number = preview.number, commit = %snapshot.commit, "serving a preview");
    Ok(snapshot)
}
