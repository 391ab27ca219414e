//! The bucket, wherever it is: at an S3 server, in a directory, or in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::directory::DirectoryBucket;
use super::memory::MemoryBucket;
use super::s3::{RetryPolicy, S3Bucket};
use super::{Bucket, ByteStream, CacheError, ETag, Expect, Fetched, Opened, Stat, Written};
use crate::directory::Directory;

/// A bucket.
#[derive(Debug, Clone)]
pub enum Cache {
    /// At an S3 server.
    S3(S3Bucket),
    /// In a directory.
    Directory(DirectoryBucket),
    /// In the memory of this process.
    Memory(MemoryBucket),
}

impl Cache {
    /// Takes a bucket at S3, with endpoint, region and credentials from the environment as the AWS SDK finds them.
    pub async fn from_env(bucket: impl Into<String>, policy: RetryPolicy) -> Self {
        Self::S3(S3Bucket::from_env(bucket, policy).await)
    }

    /// The same at another endpoint.
    pub async fn at(endpoint: &str, bucket: impl Into<String>, policy: RetryPolicy) -> Self {
        Self::S3(S3Bucket::at(endpoint, bucket, policy).await)
    }

    /// The bucket of a directory.
    pub fn in_directory(directory: Directory) -> Self {
        Self::Directory(DirectoryBucket::new(directory))
    }

    /// An empty bucket in memory.
    pub fn in_memory() -> Self {
        Self::Memory(MemoryBucket::default())
    }

    /// Reads an object of at most `limit` bytes unless it is in the known state.
    ///
    /// # Errors
    /// [`CacheError`] when the bucket does not answer, refuses, or the object is larger.
    pub async fn fetch(&self, key: &str, known: Option<&ETag>, limit: u64) -> Result<Fetched, CacheError> {
        match self {
            Self::S3(bucket) => bucket.fetch(key, known, limit).await,
            Self::Directory(bucket) => bucket.fetch(key, known, limit).await,
            Self::Memory(bucket) => bucket.fetch(key, known, limit),
        }
    }

    /// Reads the bytes from `first` to `last` of an object, piece by piece.
    ///
    /// # Errors
    /// [`CacheError`] when the bucket does not answer, or has no such object.
    pub async fn stream(&self, key: &str, first: u64, last: u64) -> Result<ByteStream, CacheError> {
        match self {
            Self::S3(bucket) => bucket.stream(key, first, last).await,
            Self::Directory(bucket) => bucket.stream(key, first, last).await,
            Self::Memory(bucket) => bucket.stream(key, first, last),
        }
    }

    /// Writes an object from a file within a time and the time that its bytes need.
    pub(crate) async fn upload(
        &self,
        key: &str,
        file: &Path,
        media_type: &str,
        time: Duration,
    ) -> Result<(), CacheError> {
        match self {
            Self::S3(bucket) => bucket.upload(key, file, media_type, time).await,
            Self::Directory(bucket) => bucket.put_file(key, file).await,
            Self::Memory(bucket) => bucket.put_file(key, file).await,
        }
    }

    /// A URL from which anybody can read an object for a while.
    ///
    /// # Errors
    /// [`CacheError`] when there are no credentials to sign with, or the bucket has no URLs.
    pub async fn presign(&self, key: &str, valid: Duration) -> Result<String, CacheError> {
        self.presign_as(key, valid, None).await
    }

    /// As [`Cache::presign`], with the `Content-Disposition` that the answer is to have.
    pub(crate) async fn presign_as(
        &self,
        key: &str,
        valid: Duration,
        disposition: Option<&str>,
    ) -> Result<String, CacheError> {
        match self {
            Self::S3(bucket) => bucket.presign_as(key, valid, disposition).await,
            Self::Directory(_) | Self::Memory(_) => {
                Err(self.error(format!("sign a URL for {key}"), "set REDIRECT_BLOBS=false".to_owned()))
            }
        }
    }

    pub(crate) fn error(&self, operation: String, reason: String) -> CacheError {
        match self {
            Self::S3(bucket) => bucket.error(operation, reason),
            Self::Directory(bucket) => bucket.error(operation, reason),
            Self::Memory(bucket) => bucket.error(operation, reason),
        }
    }
}

/// Calls the same method of the bucket that it is.
macro_rules! delegate {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Cache::S3(bucket) => bucket.$method($($argument),*).await,
            Cache::Directory(bucket) => bucket.$method($($argument),*).await,
            Cache::Memory(bucket) => bucket.$method($($argument),*).await,
        }
    };
}

impl Bucket for Cache {
    async fn open(&self, key: &str, limit: u64) -> Result<Option<Opened<'_>>, CacheError> {
        delegate!(self.open(key, limit))
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>, CacheError> {
        delegate!(self.stat(key))
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Stat>, CacheError> {
        delegate!(self.list(prefix))
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        delegate!(self.delete(key))
    }

    async fn expire(&self, prefix: &str, before: jiff::Timestamp) -> Result<usize, CacheError> {
        delegate!(self.expire(prefix, before))
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), CacheError> {
        delegate!(self.put(key, bytes))
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), CacheError> {
        delegate!(self.put_file(key, file))
    }

    async fn get_file(&self, key: &str, limit: u64, into: &Path) -> Result<bool, CacheError> {
        delegate!(self.get_file(key, limit, into))
    }

    async fn put_if(&self, key: &str, bytes: Bytes, expect: Expect) -> Result<Written, CacheError> {
        delegate!(self.put_if(key, bytes, expect))
    }
}
