//! Finished zips in the cache bucket.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::project::{Origin, StarterSource};
use super::remote::State;
use crate::cache::{Bucket, Cache, CacheError, Expect, STARTERS, blob_key};
use crate::digest::Digest;
use crate::index::to_compact_json;

/// Version of the zips: raised when the same files would give other bytes, or when more is refused.
const FORMAT: u32 = 1;

/// Time to write a zip: somebody waits for it.
const WRITE: Duration = Duration::from_secs(20);

/// Largest note about a project, in bytes.
const NOTE_BYTES: u64 = 4 << 10;

/// The part of the cache bucket that `serve` writes: `starter-projects/`, and nothing else.
#[derive(Debug, Clone)]
pub struct StarterStore(Cache);

/// Name of a zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ZipKey {
    digest: Digest,
    maker: Maker,
}

/// The maker of a zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Maker {
    /// `serve`, for a request. Its name follows from the source, its state and the folder of it.
    Serve,
    /// `refresh`, with the release. It has the name of its content.
    Refresh,
}

/// Name of a source, independent of its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceKey(Digest);

/// The newest state of a source that there is a zip of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    /// The state.
    pub state: State,
    /// When the note was written, in seconds since 1970: the source was in this state then.
    noted_at: u64,
}

impl LastGood {
    /// A note of this moment.
    pub fn now(state: State) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { state, noted_at: now.as_secs() }
    }

    /// When the source was in this state.
    pub fn noted(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_secs(self.noted_at)).unwrap_or(UNIX_EPOCH)
    }

    /// Returns the time since then.
    pub fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.noted()).unwrap_or_default()
    }
}

impl SourceKey {
    /// The name of a source.
    pub fn of(source: &StarterSource) -> Self {
        let (kind, location, revision) = match &source.origin {
            Origin::Git { remote, revision } => ("git", remote.as_str(), revision.name().unwrap_or_default()),
            Origin::Zip(url) => ("zip", url.as_str(), ""),
            Origin::File(path) => ("file", path.as_str(), ""),
        };
        Self(Digest::of(&to_compact_json(&(FORMAT, kind, location, revision, folder(source)))))
    }
}

impl ZipKey {
    /// The name of a zip that is a blob of the live release.
    pub fn published(blob: Digest) -> Self {
        Self { digest: blob, maker: Maker::Refresh }
    }

    /// The name of the zip of a source in a state.
    pub fn of(source: &StarterSource, state: &State) -> Self {
        let location = match &source.origin {
            // Branches that are on one commit share its zip.
            Origin::Git { remote, .. } => remote.as_str(),
            Origin::Zip(url) => url.as_str(),
            // The content says it all, wherever the file is.
            Origin::File(_) => "",
        };
        let digest = Digest::of(&to_compact_json(&(FORMAT, location, state, folder(source))));
        Self { digest, maker: Maker::Serve }
    }

    /// The digest of the bytes, where the zip has the name of its content.
    pub fn content(self) -> Option<Digest> {
        (self.maker == Maker::Refresh).then_some(self.digest)
    }

    /// A digest that names the bytes, though it need not be that of the bytes.
    pub fn digest(self) -> Digest {
        self.digest
    }
}

fn folder(source: &StarterSource) -> &str {
    source.sub_dir.as_ref().map_or("", |folder| folder.as_str())
}

fn zip(key: ZipKey) -> String {
    match key.maker {
        Maker::Serve => format!("{STARTERS}{}.zip", key.digest.hex()),
        Maker::Refresh => blob_key(key.digest),
    }
}

fn note(key: SourceKey) -> String {
    format!("{STARTERS}{}.json", key.0.hex())
}

impl StarterStore {
    /// The part of a bucket.
    pub fn new(cache: Cache) -> Self {
        Self(cache)
    }

    /// The size of a zip in bytes; none when it is not there.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn size(&self, key: ZipKey) -> Result<Option<u64>, CacheError> {
        Ok(self.0.stat(&zip(key)).await?.map(|stat| stat.size))
    }

    /// Reads a zip into memory; none when it is not there.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn read(&self, key: ZipKey, size: u64) -> Result<Option<Bytes>, CacheError> {
        let name = zip(key);
        let bytes = self.0.get(&name, size).await?.map(|object| object.bytes);
        let is_damaged = |bytes: &Bytes| key.maker == Maker::Refresh && Digest::of(bytes) != key.digest;
        if bytes.as_ref().is_some_and(is_damaged) {
            return Err(self.0.error(format!("read {name}"), "it does not have its digest".to_owned()));
        }
        Ok(bytes)
    }

    /// Reads the bytes from `first` to `last` of a zip, piece by piece.
    ///
    /// # Errors
    /// When the bucket does not answer, or has no such zip.
    pub async fn stream(&self, key: ZipKey, first: u64, last: u64) -> Result<ByteStream, CacheError> {
        self.0.stream(&zip(key), first, last).await
    }

    /// Writes a zip from a file, which is not read into memory.
    ///
    /// # Errors
    /// When the bucket does not take it.
    pub async fn write(&self, key: ZipKey, file: &Path) -> Result<(), CacheError> {
        self.0.upload(&zip(key), file, "application/zip", WRITE).await
    }

    /// A URL from which anybody can read a zip for a while, under a name.
    ///
    /// # Errors
    /// When there are no credentials to sign with.
    pub async fn presign(&self, key: ZipKey, disposition: &str, valid: Duration) -> Result<String, CacheError> {
        self.0.presign_as(&zip(key), valid, Some(disposition)).await
    }

    /// The last state of a source that there is a zip of.
    ///
    /// # Errors
    /// When the bucket does not answer. A note that cannot be read counts as none.
    pub async fn last_good(&self, key: SourceKey) -> Result<Option<LastGood>, CacheError> {
        let found = self.0.get(&note(key), NOTE_BYTES).await?;
        Ok(found.and_then(|object| serde_json::from_slice(&object.bytes).ok()))
    }

    /// Notes the state of a source that there is a zip of.
    ///
    /// # Errors
    /// When the bucket does not take it.
    pub async fn remember(&self, key: SourceKey, good: &LastGood) -> Result<(), CacheError> {
        self.0.put_if(&note(key), to_compact_json(good).into(), Expect::Anything).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Revision;

    #[test]
    fn names_tell_states_and_folders_apart() {
        let source = |revision: &str, folder: Option<&str>| StarterSource {
            origin: Origin::Git {
                remote: "https://example.org/clay".parse().unwrap(),
                revision: Revision::Name(revision.into()),
            },
            sub_dir: folder.map(|folder| crate::tree::TreePath::parse(folder).unwrap()),
        };
        let commit = |digit: &str| State::Commit(digit.repeat(40).parse().unwrap());
        let main = ZipKey::of(&source("main", None), &commit("1"));
        assert_eq!(main, ZipKey::of(&source("other", None), &commit("1")), "branches on one commit");
        assert_ne!(main, ZipKey::of(&source("main", None), &commit("2")));
        assert_ne!(main, ZipKey::of(&source("main", Some("app")), &commit("1")));
        assert_ne!(SourceKey::of(&source("main", None)), SourceKey::of(&source("other", None)));
        assert_ne!(SourceKey::of(&source("main", None)), SourceKey::of(&source("main", Some("app"))));
        assert!(
            zip(main).starts_with("starter-projects/")
                && note(SourceKey::of(&source("a", None))).starts_with("starter-projects/")
        );
    }
}
