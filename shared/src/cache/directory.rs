//! The bucket in a directory on disk.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::Path;

use aws_sdk_s3::primitives::Length;
use bytes::Bytes;

use super::{Bucket, ByteStream, CacheError, ETag, Expect, Fetched, Object, Opened, Stat, Written};
use crate::context;
use crate::digest::Digest;
use crate::directory::{BlobSource, Directory, OpenFile, aside};

/// The folder of the objects, and that of the locks for conditional writes.
const FOLDER: &str = "bucket";

/// Bytes that a stream reads at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// A bucket in a directory. Its entity tags are the digests of the objects.
#[derive(Debug, Clone)]
pub struct DirectoryBucket(Directory);

fn name(key: &str) -> String {
    format!("{FOLDER}/{key}")
}

fn etag(digest: Digest) -> ETag {
    ETag::new(format!("\"{}\"", digest.hex()))
}

fn stat(metadata: &Metadata) -> io::Result<Stat> {
    let modified = jiff::Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(Stat { size: metadata.len(), modified })
}

fn object(stored: OpenFile) -> io::Result<Object> {
    let bytes = stored.read()?;
    Ok(Object { etag: etag(Digest::of(&bytes)), bytes: bytes.into() })
}

impl DirectoryBucket {
    /// The bucket of a directory.
    pub fn new(directory: Directory) -> Self {
        Self(directory)
    }

    /// Reads an object of at most `limit` bytes unless it is in the known state.
    pub(super) async fn fetch(&self, key: &str, known: Option<&ETag>, limit: u64) -> Result<Fetched, CacheError> {
        let (name, known) = (name(key), known.cloned());
        self.read(key, move |directory| {
            if known.is_some() && directory.digest(&name)?.map(etag) == known {
                return Ok(Fetched::NotModified);
            }
            let stored = directory.open_file(&name, limit)?;
            stored.map_or(Ok(Fetched::Absent), |stored| object(stored).map(Fetched::Found))
        })
        .await
    }

    /// Reads the bytes from `first` to `last` of an object, piece by piece.
    pub(super) async fn stream(&self, key: &str, first: u64, last: u64) -> Result<ByteStream, CacheError> {
        let name = name(key);
        let opened = self.read(key, move |directory| directory.open_file(&name, u64::MAX)).await?;
        let failed = |reason: String| self.error(format!("read {key}"), reason);
        let stored = opened.ok_or_else(|| failed("there is no such object".to_owned()))?;
        if first > last || last >= stored.size() {
            return Err(failed("the range is beyond its end".to_owned()));
        }
        let length = Length::Exact(last.saturating_sub(first).saturating_add(1));
        let file = tokio::fs::File::from_std(stored.into_file());
        let pieces = ByteStream::read_from().file(file).offset(first).length(length).buffer_size(CHUNK_BYTES);
        pieces.build().await.map_err(|error| failed(error.to_string()))
    }

    pub(super) fn error(&self, operation: String, reason: String) -> CacheError {
        CacheError::new(format!("the store {}", self.0.root().join(FOLDER).display()), operation, reason)
    }

    async fn read<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CacheError> {
        self.run(work).await.map_err(|error| {
            let failed = self.error(format!("read {key}"), error.to_string());
            if error.kind() == ErrorKind::FileTooLarge { failed.because_too_large() } else { failed }
        })
    }

    async fn change<T: Send + 'static>(
        &self,
        operation: &str,
        key: &str,
        work: impl FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    ) -> Result<T, CacheError> {
        self.run(work).await.map_err(|error| self.error(format!("{operation} {key}"), error.to_string()))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        context::count_bucket_call();
        let directory = self.0.clone();
        aside(move || work(&directory)).await
    }
}

impl Bucket for DirectoryBucket {
    async fn open(&self, key: &str, limit: u64) -> Result<Option<Opened<'_>>, CacheError> {
        let (name, key) = (name(key), key.to_owned());
        let stored = self.read(&key, move |directory| directory.open_file(&name, limit)).await?;
        Ok(stored.map(|stored| -> Opened<'_> {
            Box::pin(async move {
                let read = aside(move || object(stored)).await;
                read.map_err(|error| self.error(format!("read {key}"), error.to_string()))
            })
        }))
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>, CacheError> {
        let name = name(key);
        self.read(key, move |directory| directory.metadata(&name)?.as_ref().map(stat).transpose()).await
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Stat>, CacheError> {
        let name = name(prefix);
        self.change("list", prefix, move |directory| {
            let skipped = FOLDER.len().saturating_add(1);
            let found = directory.list(&name)?.into_iter();
            found.map(|(name, metadata)| Ok((name[skipped..].to_owned(), stat(&metadata)?))).collect()
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        let name = name(key);
        self.change("remove", key, move |directory| directory.remove(&name)).await
    }

    async fn expire(&self, prefix: &str, before: jiff::Timestamp) -> Result<usize, CacheError> {
        let name = name(prefix);
        self.change("remove old objects of", prefix, move |directory| {
            let mut removed: usize = 0;
            for (name, metadata) in directory.list(&name)? {
                if stat(&metadata)?.modified < before {
                    directory.remove(&name)?;
                    removed = removed.saturating_add(1);
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), CacheError> {
        let (name, length) = (name(key), bytes.len());
        self.change("write", key, move |directory| directory.write(&name, BlobSource::Bytes(&bytes))).await?;
        context::count_bytes(length);
        Ok(())
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), CacheError> {
        let (name, file) = (name(key), file.to_owned());
        let write = move |directory: &Directory| -> io::Result<u64> {
            directory.write(&name, BlobSource::File(&file))?;
            Ok(file.metadata()?.len())
        };
        let length = self.change("write", key, write).await?;
        context::count_bytes(usize::try_from(length).unwrap_or_default());
        Ok(())
    }

    async fn get_file(&self, key: &str, limit: u64, into: &Path) -> Result<bool, CacheError> {
        let (name, into) = (name(key), into.to_owned());
        self.read(key, move |directory| {
            let Some(stored) = directory.open_file(&name, limit)? else { return Ok(false) };
            io::copy(&mut stored.into_file(), &mut std::fs::File::create(into)?)?;
            Ok(true)
        })
        .await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, expect: Expect) -> Result<Written, CacheError> {
        let (name, length) = (name(key), bytes.len());
        let write = move |directory: &Directory| -> io::Result<Written> {
            let _lock = directory.lock(&lock_of(&name))?;
            let is_expected = match expect {
                Expect::Absent => directory.metadata(&name)?.is_none(),
                Expect::State(expected) => directory.digest(&name)?.map(etag) == Some(expected),
                Expect::Anything => true,
            };
            if !is_expected {
                return Ok(Written::Lost);
            }
            directory.write(&name, BlobSource::Bytes(&bytes))?;
            Ok(Written::Done(etag(Digest::of(&bytes))))
        };
        let written = self.change("write", key, write).await?;
        if written != Written::Lost {
            context::count_bytes(length);
        }
        Ok(written)
    }
}

/// The lock for conditional writes of an object: one of 256, so that many objects are written at once.
fn lock_of(name: &str) -> String {
    format!("{FOLDER}/{}", &Digest::of(name.as_bytes()).hex()[..2])
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    fn bucket() -> (tempfile::TempDir, DirectoryBucket) {
        let folder = tempfile::tempdir().unwrap();
        let bucket = DirectoryBucket::new(Directory::open(folder.path()).unwrap());
        (folder, bucket)
    }

    #[tokio::test]
    async fn conditional_write_waits_for_no_write_of_another_object() {
        let (folder, bucket) = bucket();
        let other = Directory::open(folder.path()).unwrap();
        assert_ne!(lock_of(&name("a")), lock_of(&name("b")));
        let _written = other.lock(&lock_of(&name("a"))).unwrap();
        assert!(matches!(bucket.put_if("b", Bytes::new(), Expect::Absent).await.unwrap(), Written::Done(_)));
    }

    #[tokio::test]
    async fn conditional_write_succeeds_only_in_the_expected_state() {
        let (_folder, bucket) = bucket();
        let put = async |text: &'static str, expect| bucket.put_if("k", Bytes::from(text), expect).await.unwrap();
        let Written::Done(first) = put("a", Expect::Absent).await else { panic!("the object was absent") };
        assert_eq!(put("b", Expect::Absent).await, Written::Lost);
        let Written::Done(second) = put("b", Expect::State(first.clone())).await else { panic!("the state was known") };
        assert_eq!(put("c", Expect::State(first.clone())).await, Written::Lost);
        assert!(matches!(bucket.fetch("k", Some(&second), 1).await.unwrap(), Fetched::NotModified));
        assert!(matches!(bucket.fetch("k", Some(&first), 1).await.unwrap(), Fetched::Found(o) if o.bytes == "b"));
        bucket.delete("k").await.unwrap();
        bucket.delete("k").await.unwrap();
        assert!(matches!(bucket.fetch("k", Some(&second), 1).await.unwrap(), Fetched::Absent));
        assert_eq!(put("d", Expect::State(second)).await, Written::Lost);
        assert!(matches!(put("d", Expect::Anything).await, Written::Done(_)));
    }

    /// Each writer has opened the directory for itself, as another process does.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conditional_write_has_one_winner_among_many_writers() {
        let (folder, bucket) = bucket();
        bucket.put("k", Bytes::from("old")).await.unwrap();
        let state = bucket.get("k", 10).await.unwrap().unwrap().etag;
        let writes = (0..16).map(|number| {
            let bucket = DirectoryBucket::new(Directory::at(folder.path()));
            let expect = Expect::State(state.clone());
            tokio::spawn(async move { bucket.put_if("k", Bytes::from(number.to_string()), expect).await.unwrap() })
        });
        let written = join_all(writes).await;
        let winners = written.into_iter().filter(|written| !matches!(written, Ok(Written::Lost))).count();
        assert_eq!(winners, 1);
    }

    #[tokio::test]
    async fn reader_of_an_opened_object_sees_its_state_whatever_is_written_meanwhile() {
        let (_folder, bucket) = bucket();
        bucket.put("k", Bytes::from("old")).await.unwrap();
        let opened = bucket.open("k", 10).await.unwrap().unwrap();
        bucket.put("k", Bytes::from("a new one")).await.unwrap();
        assert_eq!(opened.await.unwrap().bytes, "old");
        let opened = bucket.open("k", 10).await.unwrap().unwrap();
        bucket.delete("k").await.unwrap();
        assert_eq!(opened.await.unwrap().bytes, "a new one");
    }

    #[tokio::test]
    async fn object_beyond_the_limit_is_too_large() {
        let (folder, bucket) = bucket();
        bucket.put("k", Bytes::from("four")).await.unwrap();
        let into = folder.path().join("copy");
        assert!(bucket.get("k", 3).await.unwrap_err().is_too_large());
        assert!(bucket.get_file("k", 3, &into).await.unwrap_err().is_too_large());
        assert!(bucket.get_file("k", 4, &into).await.unwrap());
        assert_eq!(std::fs::read(&into).unwrap(), b"four");
        bucket.put_file("l", &into).await.unwrap();
        assert_eq!(bucket.get("l", 4).await.unwrap().unwrap().bytes, "four");
        assert!(!bucket.get_file("other", 4, &into).await.unwrap());
    }

    #[tokio::test]
    async fn list_has_the_keys_of_a_prefix() {
        let (_folder, bucket) = bucket();
        for key in ["blobs/sha256/a", "blobs/sha256/b", "blobs-c", "index.json", "releases/a.json"] {
            bucket.put(key, Bytes::from(key)).await.unwrap();
        }
        let found = bucket.list("blobs/sha256/").await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["blobs/sha256/a", "blobs/sha256/b"]);
        assert_eq!(found["blobs/sha256/a"].size, 14);
        assert_eq!(bucket.stat("blobs/sha256/a").await.unwrap(), Some(found["blobs/sha256/a"]));
        assert_eq!(bucket.list("").await.unwrap().len(), 5);
        assert_eq!(bucket.list("nothing/").await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn range_is_read_within_the_object_alone() {
        let (_folder, bucket) = bucket();
        bucket.put("k", Bytes::from("0123")).await.unwrap();
        for (first, last, part) in [(1, 2, "12"), (0, 3, "0123"), (3, 3, "3")] {
            let read = bucket.stream("k", first, last).await.unwrap().collect().await.unwrap();
            assert_eq!(read.into_bytes(), part);
        }
        for (first, last) in [(1, 4), (2, 1), (0, u64::MAX)] {
            assert!(bucket.stream("k", first, last).await.is_err(), "{first}-{last}");
        }
        assert!(bucket.stream("other", 0, 1).await.is_err());
    }
}
