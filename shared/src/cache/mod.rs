//! The cache bucket, which `serve` reads and `refresh` writes. [`Bucket`] is its interface, [`Cache`] a bucket of any kind: `s3`, whose
//! calls share `calls`, `directory` or `memory`.

#![warn(clippy::arithmetic_side_effects)]

mod calls;
mod directory;
mod memory;
mod s3;
mod store;

use std::collections::BTreeMap;
use std::path::Path;

pub use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::digest::Digest;

pub use directory::DirectoryBucket;
pub use memory::MemoryBucket;
pub use s3::{RetryPolicy, S3Bucket};
pub use store::Cache;

/// Key of the object that names the live release; writing it is the commit point (invariant 2).
pub const INDEX_KEY: &str = "index.json";

/// Key of the object with how the last refresh ended.
pub const LAST_REFRESH_KEY: &str = "last-refresh.json";

/// The key of the times at which pending subjects are tried again.
pub const PENDING_KEY: &str = "pending.json";

/// Key of the object with the artifacts that an unfinished publication has pushed.
pub const PROGRESS_KEY: &str = "progress.json";

/// The prefix of the keys of all previews.
pub const PREVIEWS: &str = "previews/";

/// Key of the object that names the preview of a proposal, by the proposal's number.
pub fn preview_key(number: u64) -> String {
    format!("{PREVIEWS}{number}.json")
}

/// Key of a release object.
pub fn release_key(release: Digest) -> String {
    format!("releases/{}.json", release.hex())
}

/// The prefix of the keys of all release objects.
pub const RELEASES: &str = "releases/";

/// Key of the object that exists while a prune runs. It is where the writer of releases may remove objects.
pub const PRUNE_KEY: &str = "releases/prune.json";

/// The prefix of the keys of all blobs.
pub const BLOBS: &str = "blobs/sha256/";

/// Key of a blob.
pub fn blob_key(blob: Digest) -> String {
    format!("blobs/sha256/{}", blob.hex())
}

/// The prefix of the keys of all finished zips of starter projects, and of the notes about them.
pub const STARTERS: &str = "starter-projects/";

/// The entity tag that the bucket gave to one state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// Takes the tag as it stands in the header, quotes included.
    pub fn new(header: impl Into<String>) -> Self {
        Self(header.into())
    }
}

/// An object and its state.
#[derive(Debug, Clone)]
pub struct Object {
    /// The bytes.
    pub bytes: Bytes,
    /// The state that they are of.
    pub etag: ETag,
}

/// The answer to a conditional read.
#[derive(Debug)]
pub enum Fetched {
    /// The object is still in the known state.
    NotModified,
    /// There is no such object.
    Absent,
    /// The object in another state.
    Found(Object),
}

/// The state of the object that a conditional write expects.
#[derive(Debug, Clone)]
pub enum Expect {
    /// It is not there yet.
    Absent,
    /// It is in this state.
    State(ETag),
    /// Nothing: the last writer wins.
    Anything,
}

impl Expect {
    /// Expects the state that a read found.
    pub fn unchanged(found: Option<&Object>) -> Self {
        found.map_or(Self::Absent, |object| Self::State(object.etag.clone()))
    }
}

/// The answer to a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It was written and has this state now.
    Done(ETag),
    /// Somebody else was first; nothing was written.
    Lost,
}

/// The reason why a call to the bucket failed.
#[derive(Debug, thiserror::Error)]
#[error("{bucket} failed to {operation}: {reason}")]
pub struct CacheError {
    bucket: String,
    operation: String,
    reason: String,
    too_large: bool,
}

impl CacheError {
    /// An error of a bucket.
    pub fn new(bucket: impl Into<String>, operation: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), operation: operation.into(), reason: reason.into(), too_large: false }
    }

    /// The error for an object with more bytes than its reader takes.
    pub(crate) fn because_too_large(self) -> Self {
        Self { too_large: true, ..self }
    }

    /// Whether the object has more bytes than its reader takes.
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }
}

/// The properties of an object, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its length, in bytes.
    pub size: u64,
    /// When it was last written, by the bucket's clock.
    pub modified: jiff::Timestamp,
}

/// Reads the state of an object that was opened, also when the object is replaced meanwhile.
pub type Opened<'b> = BoxFuture<'b, Result<Object, CacheError>>;

/// The calls of publishing to the bucket.
pub trait Bucket: Send + Sync {
    /// Fixes the state of an object of at most `limit` bytes and returns its reader; `None` when it is missing.
    fn open(&self, key: &str, limit: u64) -> impl Future<Output = Result<Option<Opened<'_>>, CacheError>> + Send;

    /// Reads an object of at most `limit` bytes; none when it is not there.
    fn get(&self, key: &str, limit: u64) -> impl Future<Output = Result<Option<Object>, CacheError>> + Send {
        async move {
            match self.open(key, limit).await? {
                Some(opened) => Ok(Some(opened.await?)),
                None => Ok(None),
            }
        }
    }

    /// Reads the metadata of an object; `None` when it is missing.
    fn stat(&self, key: &str) -> impl Future<Output = Result<Option<Stat>, CacheError>> + Send;

    /// Every object whose key begins with `prefix`.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<BTreeMap<String, Stat>, CacheError>> + Send;

    /// Removes an object. It is no error when it is not there.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// Removes the objects of a prefix that were written before a time, and returns how many. At S3 a lifecycle rule of the bucket does that,
    /// and nothing is removed here.
    fn expire(
        &self,
        _prefix: &str,
        _before: jiff::Timestamp,
    ) -> impl Future<Output = Result<usize, CacheError>> + Send {
        async { Ok(0) }
    }

    /// Writes an object whose key names its content, so that writing it twice is harmless.
    fn put(&self, key: &str, bytes: Bytes) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// Writes an object from a file, whose name is that of its content. By way of memory, unless the bucket knows better.
    fn put_file(&self, key: &str, file: &Path) -> impl Future<Output = Result<(), CacheError>> + Send {
        async move {
            let read = tokio::fs::read(file).await;
            let failed = |error: std::io::Error| {
                CacheError::new("the temporary folder", format!("write {key}"), error.to_string())
            };
            self.put(key, read.map_err(failed)?.into()).await
        }
    }

    /// Reads an object of at most `limit` bytes into a file; false when it is not there. By way of memory, unless the bucket knows
    /// better.
    fn get_file(&self, key: &str, limit: u64, into: &Path) -> impl Future<Output = Result<bool, CacheError>> + Send {
        async move {
            let Some(object) = self.get(key, limit).await? else { return Ok(false) };
            let failed = |error: std::io::Error| {
                CacheError::new("the temporary folder", format!("read {key}"), error.to_string())
            };
            tokio::fs::write(into, &object.bytes).await.map_err(failed)?;
            Ok(true)
        }
    }

    /// Writes an object if it is in the expected state. After an error it is not known whether it was written; read again.
    fn put_if(
        &self,
        key: &str,
        bytes: Bytes,
        expect: Expect,
    ) -> impl Future<Output = Result<Written, CacheError>> + Send;
}
