//! Manifests and blobs that only the recent releases have, for clients that have begun to pull them.
//!
//! An instance retains those of the release that it served before. A request for an unknown digest
//! reads the releases that `index.json` lists as recent from the bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bytes::Bytes;
use devfile_registry::artifact;
use devfile_registry::cache::{Bucket, Cache, CacheError, blob_key, release_key};
use devfile_registry::digest::Digest;
use devfile_registry::limits::{CONCURRENT_READS, KEPT_RELEASES, RECENT_RELEASES_BYTES, RELEASE_BYTES};
use devfile_registry::release::{Outline, PublishedVersion};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::blobs::BUCKET_FAILS;
use super::repository::{Repositories, Repository};
use crate::http::problem::Problem;

/// Longest wait of a request for the bucket.
const READ_TIMEOUT: Duration = Duration::from_secs(3);

/// Least time between a failure and the next read.
const AGAIN: Duration = Duration::from_secs(1);

/// The recent releases, read once.
#[derive(Debug)]
pub(crate) struct RecentReleases {
    releases: Vec<Digest>,
    /// Shards of the live release, which are in memory already.
    known: BTreeSet<Digest>,
    repositories: OnceCell<Repositories>,
    failed: Mutex<Option<Instant>>,
}

/// The reason why the recent releases could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// The bucket failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The bucket was too slow, or failed within the last second.
    #[error("cannot read the recent releases from the store in time")]
    Late,
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(%error, "cannot search the recent releases for a digest");
        Self::new(StatusCode::BAD_GATEWAY, BUCKET_FAILS)
    }
}

impl RecentReleases {
    /// Creates an unread list of releases, newest first, with the shards of the live one.
    pub(crate) fn new(releases: impl IntoIterator<Item = Digest>, known: BTreeSet<Digest>) -> Self {
        let releases = releases.into_iter().take(KEPT_RELEASES).collect();
        Self { releases, known, repositories: OnceCell::new(), failed: Mutex::new(None) }
    }

    /// Returns a repository, if the releases were read and one has it.
    pub(crate) fn repository(&self, stack: &str) -> Option<&Repository> {
        self.repositories.get()?.get(stack)
    }

    /// Returns whether the releases were read.
    #[cfg(test)]
    pub(crate) fn is_read(&self) -> bool {
        self.repositories.initialized()
    }

    /// Reads the releases once. `is_live` returns whether the live release has a manifest of a
    /// stack.
    ///
    /// # Errors
    /// The bucket fails.
    pub(crate) async fn read(&self, cache: &Cache, is_live: impl Fn(&str, &Digest) -> bool) -> Result<(), Unavailable> {
        let read = async {
            if self.last_failure().is_some_and(|at| at.elapsed() < AGAIN) {
                return Err(Unavailable::Late);
            }
            let read = tokio::time::timeout(READ_TIMEOUT, self.repositories(cache, is_live)).await;
            let read = read.unwrap_or(Err(Unavailable::Late));
            *self.failure() = read.is_err().then(Instant::now);
            read
        };
        self.repositories.get_or_try_init(|| read).await.map(drop)
    }

    fn last_failure(&self) -> Option<Instant> {
        *self.failure()
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // A panic while the lock is held leaves a consistent value.
        self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn repositories(
        &self,
        cache: &Cache,
        is_live: impl Fn(&str, &Digest) -> bool,
    ) -> Result<Repositories, Unavailable> {
        let read = |name: &Digest| outline(cache, *name);
        let outlines: Vec<_> = self.releases.iter().map(read).collect();
        let outlines: Vec<Option<Outline>> = stream::iter(outlines).buffered(CONCURRENT_READS).try_collect().await?;
        let outlines: Vec<Outline> = outlines.into_iter().flatten().collect();
        let wanted: Vec<_> = self.wanted(&outlines).into_iter().map(|name| document(cache, name)).collect();
        let documents: Vec<_> = stream::iter(wanted).buffer_unordered(CONCURRENT_READS).try_collect().await?;
        let documents: BTreeMap<Digest, Bytes> = documents.into_iter().flatten().collect();
        let versions = tokio::task::spawn_blocking(move || versions(outlines, documents));
        let mut repositories = Repositories::new();
        for version in versions.await.map_err(|_| Unavailable::Late)? {
            let manifest = artifact::manifest(&version.layers);
            // Another version of this software may have written other manifest bytes.
            if !is_live(&version.stack, &version.manifest) && Digest::of(&manifest) == version.manifest {
                repositories.entry(version.stack.clone()).or_default().add(&version, manifest);
            }
        }
        Ok(repositories)
    }

    /// Chooses the shards that differ from the live ones, newest release first, [`RECENT_RELEASES_BYTES`] at most.
    fn wanted(&self, outlines: &[Outline]) -> BTreeSet<Digest> {
        let (mut wanted, mut left) = (BTreeSet::new(), RECENT_RELEASES_BYTES);
        for shard in outlines.iter().flat_map(|outline| &outline.shards) {
            if self.known.contains(&shard.digest) || wanted.contains(&shard.digest) {
                continue;
            }
            let Some(rest) = left.checked_sub(shard.size) else {
                tracing::warn!(
                    limit = RECENT_RELEASES_BYTES,
                    "the recent releases differ too much; the oldest are ignored"
                );
                break;
            };
            left = rest;
            wanted.insert(shard.digest);
        }
        wanted
    }
}

/// Reads the outline of a release, or `None` when it is gone or damaged.
async fn outline(cache: &Cache, name: Digest) -> Result<Option<Outline>, Unavailable> {
    let Some(object) = cache.get(&release_key(name), RELEASE_BYTES).await? else { return Ok(None) };
    let outline = Outline::from_bytes(name, &object.bytes);
    Ok(outline.inspect_err(|reason| tracing::warn!(release = %name, %reason, "cannot read a recent release")).ok())
}

/// Reads a document of a release, or `None` when it is gone or damaged.
async fn document(cache: &Cache, name: Digest) -> Result<Option<(Digest, Bytes)>, Unavailable> {
    let object = cache.get(&blob_key(name), RECENT_RELEASES_BYTES).await?;
    Ok(object.map(|object| (name, object.bytes)).filter(|(name, bytes)| Digest::of(bytes) == *name))
}

/// Returns the versions in some documents of the releases.
fn versions(outlines: Vec<Outline>, mut documents: BTreeMap<Digest, Bytes>) -> Vec<PublishedVersion> {
    let mut versions = Vec::new();
    for outline in outlines {
        let shards: BTreeSet<Digest> = outline.shards.iter().map(|shard| shard.digest).collect();
        let of_release = documents.extract_if(.., |name, _| shards.contains(name)).collect::<Vec<_>>();
        match outline.with(of_release) {
            Ok(release) => versions.extend(release.content.versions),
            Err(reason) => tracing::warn!(%reason, "cannot read a document of a recent release"),
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use super::*;
    use crate::release::fixture;

    #[tokio::test]
    async fn read_whose_client_disconnects_is_finished_for_others() {
        let (snapshot, cache) = (Arc::new(fixture::snapshot()), Cache::in_memory());
        let mut disconnecting = Box::pin(snapshot.read_recent(&cache));
        assert!(disconnecting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(disconnecting);
        let finished = async {
            while !snapshot.has_read_recent() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(READ_TIMEOUT, finished).await.unwrap();
    }
}
