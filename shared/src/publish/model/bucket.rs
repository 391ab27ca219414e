//! A bucket in memory, with the clock of the model.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::{Fuse, now};
use crate::cache::{BLOBS, Bucket, CacheError, ETag, Expect, INDEX_KEY, Object, Opened, Stat, Written};
use crate::digest::Digest;
use crate::release::LiveIndex;

/// Time for a call to the bucket.
const CALL_TIME: Duration = Duration::from_secs(40);

/// As at S3, the same bytes have the same tag whenever they were written.
fn etag(bytes: &Bytes) -> ETag {
    ETag::new(Digest::of(bytes).to_string())
}

fn stat((bytes, modified): &(Bytes, jiff::Timestamp)) -> Stat {
    Stat { size: bytes.len() as u64, modified: *modified }
}

#[derive(Debug, Clone, Default)]
pub(super) struct FaultyBucket {
    /// Objects, and when they were written.
    pub(super) objects: Arc<Mutex<BTreeMap<String, (Bytes, jiff::Timestamp)>>>,
    pub(super) fuse: Fuse,
}

impl FaultyBucket {
    pub(super) fn object(&self, key: &str) -> Option<Object> {
        let objects = self.objects.lock().unwrap();
        let (bytes, _) = objects.get(key)?;
        Some(Object { bytes: bytes.clone(), etag: etag(bytes) })
    }

    pub(super) fn write(&self, key: &str, bytes: Bytes) -> ETag {
        let etag = etag(&bytes);
        self.objects.lock().unwrap().insert(key.to_owned(), (bytes, now().instant()));
        etag
    }

    pub(super) fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }

    pub(super) fn live(&self) -> Option<LiveIndex> {
        Some(LiveIndex::from_bytes(&self.object(INDEX_KEY)?.bytes).unwrap())
    }
}

impl Bucket for FaultyBucket {
    async fn open(&self, key: &str, limit: u64) -> Result<Option<Opened<'_>>, CacheError> {
        tokio::task::yield_now().await;
        let found = self.object(key);
        if found.as_ref().is_some_and(|object| object.bytes.len() as u64 > limit) {
            return Err(CacheError::new("memory", format!("read {key}"), "it is too large").because_too_large());
        }
        Ok(found.map(|object| -> Opened<'_> {
            Box::pin(async {
                tokio::task::yield_now().await;
                Ok(object)
            })
        }))
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>, CacheError> {
        tokio::task::yield_now().await;
        Ok(self.objects.lock().unwrap().get(key).map(stat))
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Stat>, CacheError> {
        tokio::task::yield_now().await;
        let found = {
            let objects = self.objects.lock().unwrap();
            let found = objects.iter().filter(|(key, _)| key.starts_with(prefix));
            found.map(|(key, object)| (key.clone(), stat(object))).collect()
        };
        let after = (prefix == BLOBS).then(|| self.fuse.0.lock().unwrap().after_listing_blobs.take()).flatten();
        if let Some(act) = after {
            act.await;
        }
        Ok(found)
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        let asked = tokio::time::Instant::now();
        self.fuse.burn().await.map_err(|reason| CacheError::new("memory", "remove", reason))?;
        // As the client at S3 gives up.
        if asked.elapsed() > CALL_TIME {
            return Err(CacheError::new("memory", "remove", "no answer in time"));
        }
        self.remove(key);
        Ok(())
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), CacheError> {
        self.fuse.burn().await.map_err(|reason| CacheError::new("memory", "write", reason))?;
        self.write(key, bytes);
        Ok(())
    }

    async fn put_if(&self, key: &str, bytes: Bytes, expect: Expect) -> Result<Written, CacheError> {
        self.fuse.burn().await.map_err(|reason| CacheError::new("memory", "write", reason))?;
        let found = self.object(key).map(|object| object.etag);
        let as_expected = match expect {
            Expect::Absent => found.is_none(),
            Expect::State(etag) => found == Some(etag),
            Expect::Anything => true,
        };
        let echo = as_expected && std::mem::take(&mut self.fuse.0.lock().unwrap().echo);
        let written = as_expected.then(|| self.write(key, bytes)).filter(|_| !echo);
        Ok(written.map_or(Written::Lost, Written::Done))
    }
}
