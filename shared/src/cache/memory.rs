//! The bucket in the memory of this process: for previews, which no other process reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Bucket, ByteStream, CacheError, ETag, Expect, Fetched, Object, Opened, Stat, Written};

/// A bucket in memory. Clones share its objects.
#[derive(Clone, Default)]
pub struct MemoryBucket(Arc<Mutex<BucketObjects>>);

#[derive(Default)]
struct BucketObjects {
    objects: BTreeMap<String, StoredObject>,
    /// The number of writes so far; it makes each entity tag new.
    writes: u64,
}

struct StoredObject {
    bytes: Bytes,
    etag: ETag,
    modified: jiff::Timestamp,
}

impl fmt::Debug for MemoryBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBucket").field("objects", &self.state().objects.len()).finish()
    }
}

impl StoredObject {
    fn stat(&self) -> Stat {
        Stat { size: self.bytes.len() as u64, modified: self.modified }
    }

    fn object(&self) -> Object {
        Object { bytes: self.bytes.clone(), etag: self.etag.clone() }
    }
}

impl BucketObjects {
    fn write(&mut self, key: &str, bytes: Bytes) -> ETag {
        self.writes = self.writes.saturating_add(1);
        let etag = ETag::new(format!("\"{}\"", self.writes));
        let stored = StoredObject { bytes, etag: etag.clone(), modified: jiff::Timestamp::now() };
        self.objects.insert(key.to_owned(), stored);
        etag
    }
}

impl MemoryBucket {
    fn state(&self) -> MutexGuard<'_, BucketObjects> {
        // A panic while holding it leaves a consistent value behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, key: &str, limit: u64) -> Result<Option<Object>, CacheError> {
        let state = self.state();
        let Some(stored) = state.objects.get(key) else { return Ok(None) };
        let size = stored.stat().size;
        if size > limit {
            let reason = format!("it has {size} bytes, more than the {limit} that are read");
            return Err(self.error(format!("read {key}"), reason).because_too_large());
        }
        Ok(Some(stored.object()))
    }

    pub(super) fn fetch(&self, key: &str, known: Option<&ETag>, limit: u64) -> Result<Fetched, CacheError> {
        Ok(match self.read(key, limit)? {
            None => Fetched::Absent,
            Some(object) if Some(&object.etag) == known => Fetched::NotModified,
            Some(object) => Fetched::Found(object),
        })
    }

    pub(super) fn stream(&self, key: &str, first: u64, last: u64) -> Result<ByteStream, CacheError> {
        let state = self.state();
        let failed = |reason: &str| self.error(format!("read {key}"), reason.to_owned());
        let stored = state.objects.get(key).ok_or_else(|| failed("there is no such object"))?;
        let range = usize::try_from(first).ok().zip(usize::try_from(last).ok());
        let range = range.filter(|(first, last)| first <= last && *last < stored.bytes.len());
        let (first, last) = range.ok_or_else(|| failed("the range is beyond its end"))?;
        Ok(stored.bytes.slice(first..=last).into())
    }

    pub(super) fn error(&self, operation: String, reason: String) -> CacheError {
        CacheError::new("the bucket in memory", operation, reason)
    }
}

impl Bucket for MemoryBucket {
    async fn open(&self, key: &str, limit: u64) -> Result<Option<Opened<'_>>, CacheError> {
        let object = self.read(key, limit)?;
        Ok(object.map(|object| -> Opened<'_> { Box::pin(async move { Ok(object) }) }))
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>, CacheError> {
        Ok(self.state().objects.get(key).map(StoredObject::stat))
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Stat>, CacheError> {
        let state = self.state();
        let found = state.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, stored)| (key.clone(), stored.stat())).collect())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.state().objects.remove(key);
        Ok(())
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), CacheError> {
        self.state().write(key, bytes);
        Ok(())
    }

    async fn put_if(&self, key: &str, bytes: Bytes, expect: Expect) -> Result<Written, CacheError> {
        let mut state = self.state();
        let found = state.objects.get(key).map(|stored| &stored.etag);
        let is_expected = match &expect {
            Expect::Absent => found.is_none(),
            Expect::State(etag) => found == Some(etag),
            Expect::Anything => true,
        };
        Ok(if is_expected { Written::Done(state.write(key, bytes)) } else { Written::Lost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conditional_write_succeeds_only_in_the_expected_state() {
        let bucket = MemoryBucket::default();
        let put = async |text: &'static str, expect| bucket.put_if("k", Bytes::from(text), expect).await.unwrap();
        let Written::Done(first) = put("a", Expect::Absent).await else { panic!("the object was absent") };
        assert_eq!(put("b", Expect::Absent).await, Written::Lost);
        let Written::Done(second) = put("b", Expect::State(first.clone())).await else { panic!("the state was known") };
        assert_ne!(first, second);
        assert_eq!(put("c", Expect::State(first)).await, Written::Lost);
        // The same bytes again are another state, as after any write.
        let Written::Done(third) = put("b", Expect::Anything).await else { panic!("anything was expected") };
        assert_ne!(second, third);
        assert!(matches!(bucket.fetch("k", Some(&third), 1).unwrap(), Fetched::NotModified));
        assert!(matches!(bucket.fetch("k", Some(&second), 1).unwrap(), Fetched::Found(object) if object.bytes == "b"));
        bucket.delete("k").await.unwrap();
        assert!(matches!(bucket.fetch("k", Some(&third), 1).unwrap(), Fetched::Absent));
        assert_eq!(put("d", Expect::State(third)).await, Written::Lost);
    }

    #[tokio::test]
    async fn object_beyond_the_limit_is_too_large() {
        let bucket = MemoryBucket::default();
        bucket.put("k", Bytes::from("four")).await.unwrap();
        assert!(bucket.get("k", 3).await.unwrap_err().is_too_large());
        assert_eq!(bucket.get("k", 4).await.unwrap().unwrap().bytes, "four");
        assert!(bucket.get("other", 4).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn list_has_the_keys_of_a_prefix() {
        let bucket = MemoryBucket::default();
        for key in ["blobs/a", "blobs/b", "blobs-c", "index.json"] {
            bucket.put(key, Bytes::from(key)).await.unwrap();
        }
        let found = bucket.list("blobs/").await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["blobs/a", "blobs/b"]);
        assert_eq!(found["blobs/a"].size, 7);
    }

    #[tokio::test]
    async fn range_is_read_within_the_object_alone() {
        let bucket = MemoryBucket::default();
        bucket.put("k", Bytes::from("0123")).await.unwrap();
        let read = bucket.stream("k", 1, 2).unwrap().collect().await.unwrap();
        assert_eq!(read.into_bytes(), "12");
        for (first, last) in [(1, 4), (2, 1), (0, u64::MAX)] {
            assert!(bucket.stream("k", first, last).is_err(), "{first}-{last}");
        }
    }
}
