//! Blobs of the cache bucket. Small ones are read once, verified against their digest and cached in
//! bounded memory; file-backed ones are redirected to the bucket or streamed.
//!
//! No complete blob leaves this module unverified: the last chunk of a stream waits for the digest.
//! A range of a file-backed blob is sent unverified, so its client checks the digest.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use devfile_registry::cache::{Bucket, ByteStream, Cache, CacheError, blob_key};
use devfile_registry::digest::{Digest, Hasher};
use devfile_registry::limits::{BLOB_MEMORY_BYTES, LISTED_DAMAGES, REDIRECT_BYTES, TREE_BYTES};
use futures_util::stream;
use moka::future::Cache as Memory;

use crate::config::LargeBlobs;
use crate::http::content::{Content, Delivery};
use crate::http::problem::Problem;
use crate::workers;

/// Lifetime of a redirect to the bucket; caches keep a redirect for a minute.
pub(crate) const URL_VALID: Duration = Duration::from_secs(15 * 60);

/// Memory of a cached blob besides its bytes: its digest and the bookkeeping of the cache.
const OVERHEAD_BYTES: usize = 256;

/// The public message for a failure of the bucket.
pub(crate) const BUCKET_FAILS: &str = "the store of this registry does not answer; try again in a moment";

/// The reason why a blob is unavailable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// The bucket failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The bucket has no such object.
    #[error("the blob {0} is not in the store")]
    Missing(Digest),
    /// The object in the bucket has another digest.
    #[error("the object of the blob {0} in the store does not have its digest")]
    Damaged(Digest),
}

impl BlobError {
    /// Returns the message for clients.
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
        tracing::warn!(%error, "cannot serve a blob");
        Self::new(StatusCode::BAD_GATEWAY, error.public())
    }
}

/// The blobs outside of snapshots. Clones share one cache.
#[derive(Debug, Clone)]
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
    /// Returns the digests.
    pub(crate) fn list(&self) -> Vec<Digest> {
        self.lock().iter().copied().collect()
    }

    /// Removes all digests, because another release was loaded.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn insert(&self, blob: Digest) {
        let mut damaged = self.lock();
        if damaged.len() < LISTED_DAMAGES {
            damaged.insert(blob);
        }
    }

    fn remove(&self, blob: Digest) {
        self.lock().remove(&blob);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Digest>> {
        // A panic while the lock is held leaves a consistent value.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs {
    /// Creates the cache of a bucket's blobs.
    pub(crate) fn new(cache: Cache, large: LargeBlobs) -> Self {
        Self { cache, memory: memory(BLOB_MEMORY_BYTES), large, damaged: Damaged::default() }
    }

    /// Returns the damaged blobs found so far.
    pub(crate) fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    /// Returns the delivery of a blob: a redirect for a file-backed one, if clients can reach the
    /// bucket.
    pub(crate) async fn deliver(&self, blob: &Content, request: &HeaderMap) -> Result<Delivery, Arc<BlobError>> {
        if blob.size > REDIRECT_BYTES && self.large == LargeBlobs::Redirected {
            let url = self.cache.presign(&blob_key(blob.digest), URL_VALID).await;
            return Ok(Delivery::Redirect(url.map_err(|error| Arc::new(error.into()))?));
        }
        self.send(blob, request).await
    }

    /// Returns the delivery of a blob in the answer: bytes, or the requested range of a file-backed
    /// blob as a stream from the bucket.
    pub(crate) async fn send(&self, blob: &Content, request: &HeaderMap) -> Result<Delivery, Arc<BlobError>> {
        let Content { digest, size, .. } = *blob;
        if size <= REDIRECT_BYTES || self.large == LargeBlobs::Redirected {
            return self.read(digest, size).await.map(Delivery::Bytes);
        }
        match blob.requested_range(request) {
            Ok(Some((first, last))) => {
                let chunks = self.stream(digest, first as u64, last as u64).await?;
                Ok(Delivery::Stream(unchecked(chunks)))
            }
            Ok(None) => {
                let chunks = self.stream(digest, 0, size - 1).await?;
                Ok(Delivery::Stream(self.checked(digest, chunks)))
            }
            // An unsatisfiable range has no bytes; the answer has status 416.
            Err(_) => Ok(Delivery::Bytes(Bytes::new())),
        }
    }

    /// Streams a blob, and sends the last chunk only after the digest matches.
    pub(crate) fn checked(&self, digest: Digest, chunks: ByteStream) -> Body {
        DigestCheck { digest, hasher: Hasher::default(), damaged: self.damaged.clone() }.whole(chunks)
    }

    async fn stream(&self, digest: Digest, first: u64, last: u64) -> Result<ByteStream, Arc<BlobError>> {
        self.cache.stream(&blob_key(digest), first, last).await.map_err(|error| Arc::new(error.into()))
    }

    /// Returns the bytes of a blob, from memory if cached. Concurrent requests share one read.
    pub(crate) async fn read(&self, digest: Digest, size: u64) -> Result<Bytes, Arc<BlobError>> {
        self.memory.try_get_with(digest, checked(&self.cache, &self.damaged, digest, size)).await
    }
}

/// Streams bytes without verification.
pub(crate) fn unchecked(chunks: ByteStream) -> Body {
    Body::from_stream(stream::unfold(chunks, |mut chunks| async { Some((chunks.next().await?, chunks)) }))
}

/// The running digest of a streamed blob.
struct DigestCheck {
    digest: Digest,
    hasher: Hasher,
    damaged: Damaged,
}

impl DigestCheck {
    /// Streams the bytes, and sends the last chunk only after the digest matches; otherwise it
    /// aborts the answer.
    fn whole(self, chunks: ByteStream) -> Body {
        let state = Some((self, chunks, Bytes::new()));
        Body::from_stream(stream::try_unfold(state, |state| async {
            let Some((mut check, mut chunks, last)) = state else { return Ok(None) };
            match chunks.next().await {
                Some(chunk) => {
                    let chunk = chunk.map_err(io::Error::other)?;
                    check.hasher.update(&chunk);
                    Ok(Some((last, Some((check, chunks, chunk)))))
                }
                None => check.end().map(|()| Some((last, None))),
            }
        }))
    }

    fn end(self) -> io::Result<()> {
        if self.hasher.finish() == self.digest {
            self.damaged.remove(self.digest);
            return Ok(());
        }
        self.damaged.insert(self.digest);
        let error = BlobError::Damaged(self.digest);
        tracing::warn!(%error, "aborted an answer");
        Err(io::Error::other(error))
    }
}

/// Returns a cache of content that holds this many bytes.
pub(crate) fn memory<K: Eq + Hash + Send + Sync + 'static>(bytes: u64) -> Memory<K, Bytes> {
    let weigh = |_: &K, bytes: &Bytes| u32::try_from(bytes.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX);
    Memory::builder().max_capacity(bytes).weigher(weigh).build()
}

/// Reads a blob from the bucket and verifies its digest.
pub(crate) async fn checked(cache: &Cache, damaged: &Damaged, digest: Digest, size: u64) -> Result<Bytes, BlobError> {
    let read = match cache.get(&blob_key(digest), size.min(TREE_BYTES)).await {
        Ok(Some(object)) if workers::run_now(|| Digest::of(&object.bytes)) == digest => Ok(object.bytes),
        Ok(Some(_)) => Err(BlobError::Damaged(digest)),
        Ok(None) => Err(BlobError::Missing(digest)),
        Err(error) if error.is_too_large() => Err(BlobError::Damaged(digest)),
        Err(error) => Err(error.into()),
    };
    match &read {
        Ok(_) => damaged.remove(digest),
        Err(BlobError::Damaged(_)) => damaged.insert(digest),
        Err(_) => {}
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use devfile_registry::cache::RetryPolicy;

    #[test]
    fn list_of_damaged_blobs_is_bounded_and_loses_those_that_are_read_well_again() {
        let damaged = Damaged::default();
        for number in 0..10 * LISTED_DAMAGES {
            damaged.insert(Digest::of(&number.to_be_bytes()));
        }
        let listed = damaged.list();
        assert_eq!(listed.len(), LISTED_DAMAGES);
        damaged.remove(listed[0]);
        assert_eq!(damaged.list(), listed[1..]);
        damaged.clear();
        assert_eq!(damaged.list(), []);
    }

    #[tokio::test]
    async fn memory_for_blobs_is_bounded() {
        let blobs = Blobs::new(Cache::from_env("nowhere", RetryPolicy::Reader).await, LargeBlobs::Sent);
        let blob = Bytes::from(vec![0; 1 << 20]);
        for number in 0..2 * BLOB_MEMORY_BYTES / (1 << 20) {
            blobs.memory.insert(Digest::of(&number.to_be_bytes()), blob.clone()).await;
        }
        blobs.memory.run_pending_tasks().await;
        assert!((1..=BLOB_MEMORY_BYTES).contains(&blobs.memory.weighted_size()));
    }
}
