//! Blobs of the cache bucket: read once, checked against their digest, kept in memory within a limit.
//!
//! Nothing leaves this module that does not have the digest it was asked for by.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use devfile_registry::cache::{Bucket, ByteStream, Cache, CacheError, blob_key};
use devfile_registry::digest::Digest;
use devfile_registry::limits::{BLOB_MEMORY_BYTES, FILE_BYTES, LISTED_DAMAGES, REDIRECT_BYTES, TREE_BYTES};
use moka::future::Cache as Memory;

use crate::config::LargeBlobs;
use crate::http::content::Delivery;
use crate::http::problem::Problem;
use crate::workers;

/// How long a client may take until it follows a redirect to the bucket; caches keep a redirect for a minute.
pub(crate) const URL_VALID: Duration = Duration::from_secs(15 * 60);

/// What a kept blob costs beside its bytes: its digest, and how the memory finds and ages it.
const OVERHEAD_BYTES: usize = 256;

/// The public message for a failure of the bucket.
pub(crate) const BUCKET_FAILS: &str = "the store of this registry does not answer; try again in a moment";

/// Why there is no blob.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// The bucket failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It is not in the bucket.
    #[error("the blob {0} is not in the cache bucket")]
    Missing(Digest),
    /// What is in the bucket is something else.
    #[error("the object of the blob {0} in the cache bucket does not have its digest")]
    Damaged(Digest),
}

impl BlobError {
    /// What a client is told.
    pub(crate) fn public(&self) -> &'static str {
        match self {
            Self::Cache(_) => BUCKET_FAILS,
            Self::Missing(_) => "the store of this registry lacks the content",
            Self::Damaged(_) => "the content in the store of this registry is damaged",
        }
    }
}

impl From<Arc<BlobError>> for Problem {
    fn from(error: Arc<BlobError>) -> Self {
        tracing::warn!(%error, "a blob cannot be given");
        Self::new(StatusCode::BAD_GATEWAY, error.public())
    }
}

/// The blobs that are not part of a snapshot.
#[derive(Debug)]
pub(crate) struct Blobs {
    cache: Cache,
    memory: Memory<Digest, Bytes>,
    large: LargeBlobs,
    damaged: Damaged,
}

/// Damaged blobs found since the live release was loaded, [`LISTED_DAMAGES`] at most. A later read with the right bytes removes
/// one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damaged(Arc<Mutex<BTreeSet<Digest>>>);

impl Damaged {
    /// Returns their digests.
    pub(crate) fn list(&self) -> Vec<Digest> {
        self.lock().iter().copied().collect()
    }

    /// Forgets all of them, because another release is loaded.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn note(&self, blob: Digest, is_damaged: bool) {
        let mut damaged = self.lock();
        if !is_damaged {
            damaged.remove(&blob);
        } else if damaged.len() < LISTED_DAMAGES {
            damaged.insert(blob);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        // A panic while holding it leaves a consistent value behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs {
    /// The blobs of a bucket.
    pub(crate) fn new(cache: Cache, large: LargeBlobs) -> Self {
        Self { cache, memory: memory(BLOB_MEMORY_BYTES), large, damaged: Damaged::default() }
    }

    /// Returns the damaged blobs found so far.
    pub(crate) fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    /// How a blob of this size leaves, unless it must be in the answer.
    pub(crate) async fn deliver(&self, digest: Digest, size: u64) -> Result<Delivery, Arc<BlobError>> {
        if size > REDIRECT_BYTES && self.large == LargeBlobs::Redirected {
            let url = self.cache.presign(&blob_key(digest), URL_VALID).await.map_err(|error| Arc::new(error.into()))?;
            return Ok(Delivery::Elsewhere(url));
        }
        self.read(digest, size).await.map(Delivery::Bytes)
    }

    /// Whether a blob of this size is sent piece by piece. None of a repository's files is that large, only what was fetched along.
    pub(crate) fn streams(&self, size: u64) -> bool {
        size > FILE_BYTES && self.large == LargeBlobs::Sent
    }

    /// The bytes from `first` to `last` of a blob, as they come. Its digest is for the client to check.
    pub(crate) async fn pieces(&self, digest: Digest, first: u64, last: u64) -> Result<ByteStream, Arc<BlobError>> {
        self.cache.stream(&blob_key(digest), first, last).await.map_err(|error| Arc::new(error.into()))
    }

    /// The bytes of a blob, from memory if they are there. Requests that ask for it at once share one read.
    pub(crate) async fn read(&self, digest: Digest, size: u64) -> Result<Bytes, Arc<BlobError>> {
        self.memory.try_get_with(digest, checked(&self.cache, &self.damaged, digest, size)).await
    }
}

/// Memory for content by some key, up to so many bytes.
pub(crate) fn memory<K: Eq + Hash + Send + Sync + 'static>(bytes: u64) -> Memory<K, Bytes> {
    let weigh = |_: &K, bytes: &Bytes| u32::try_from(bytes.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
    Memory::builder().max_capacity(bytes).weigher(weigh).build()
}

/// Reads a blob of the bucket and checks its digest.
pub(crate) async fn checked(cache: &Cache, damaged: &Damaged, digest: Digest, size: u64) -> Result<Bytes, BlobError> {
    let read = match cache.get(&blob_key(digest), size.min(TREE_BYTES)).await {
        Ok(Some(object)) if workers::run_now(|| Digest::of(&object.bytes)) == digest => Ok(object.bytes),
        Ok(Some(_)) => Err(BlobError::Damaged(digest)),
        Ok(None) => Err(BlobError::Missing(digest)),
        Err(error) if error.is_too_large() => Err(BlobError::Damaged(digest)),
        Err(error) => Err(error.into()),
    };
    match &read {
        Ok(_) => damaged.note(digest, false),
        Err(BlobError::Damaged(_)) => damaged.note(digest, true),
        Err(_) => {}
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use devfile_registry::cache::Patience;

    #[test]
    fn list_of_damaged_blobs_is_bounded_and_forgets_those_that_are_well() {
        let damaged = Damaged::default();
        for number in 0..10 * LISTED_DAMAGES {
            damaged.note(Digest::of(&number.to_be_bytes()), true);
        }
        let listed = damaged.list();
        assert_eq!(listed.len(), LISTED_DAMAGES);
        damaged.note(listed[0], false);
        assert_eq!(damaged.list(), listed[1..]);
        damaged.clear();
        assert_eq!(damaged.list(), []);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let blobs = Blobs::new(Cache::from_env("nowhere", Patience::Reader).await, LargeBlobs::Sent);
        let blob = Bytes::from(vec![0; 1 << 20]);
        for number in 0..2 * BLOB_MEMORY_BYTES / (1 << 20) {
            blobs.memory.insert(Digest::of(&number.to_be_bytes()), blob.clone()).await;
        }
        blobs.memory.run_pending_tasks().await;
        assert!((1..=BLOB_MEMORY_BYTES).contains(&blobs.memory.weighted_size()));
    }
}
