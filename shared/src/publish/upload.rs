//! The steps before the commit point: everything that `index.json` will name is put in place.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::future::{try_join, try_join3};

use super::each::each;
use super::error::PublishError;
use super::index_artifact::{INDEX_REPOSITORY, IndexArtifact};
use super::progress::{NewArtifacts, PushedArtifacts};
use super::publisher::Publisher;
use super::report::Writes;
use super::retention::Placed;
use crate::cache::{Bucket, Expect, Written, blob_key, release_key};
use crate::digest::Digest;
use crate::registry::Registry;
use crate::release::{Built, Release};
use crate::source::Source;

/// Objects that a publication found in the bucket, whether or not it wrote them again. A prune that
/// began before may remove them.
#[derive(Debug, Default)]
pub(super) struct FoundObjects {
    in_memory: Vec<Digest>,
    file_backed: Vec<Digest>,
    release: bool,
}

impl FoundObjects {
    /// Whether the publication found none.
    pub(super) fn is_empty(&self) -> bool {
        self.in_memory.is_empty() && self.file_backed.is_empty() && !self.release
    }
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Uploads the content of `built` that neither `previous` nor the servers have, in the order of invariant
    /// 3, up to the release object. Also returns the objects that it found in the bucket.
    pub(super) async fn upload(
        &self,
        built: &Built,
        previous: Option<&Release>,
        index: &IndexArtifact<'_>,
        new: &NewArtifacts<'_>,
        pushed: &PushedArtifacts,
    ) -> Result<(Writes, FoundObjects), PublishError> {
        let (old_blobs, files) = (previous.map(Release::blobs).unwrap_or_default(), built.release.file_backed());
        let new_blobs = built.release.blobs().into_keys().filter(|blob| !old_blobs.contains_key(blob));
        let (new_files, new_blobs): (Vec<_>, Vec<_>) = new_blobs.partition(|blob| files.contains(blob));
        let had: BTreeSet<Digest> =
            previous.map(Release::unpackaged).unwrap_or_default().into_values().flat_map(BTreeMap::into_keys).collect();

        let of_config = self.push_index_config().await?;
        pushed.add_blobs(INDEX_REPOSITORY, of_config);
        let of_versions = async {
            let to_bucket = each(new_blobs, |blob| async move { Ok((blob, self.new_bucket_blob(built, blob).await?)) });
            let before = previous.map(|previous| &previous.outline);
            let to_registry = self.push_versions(built, new.versions.iter().copied(), before, pushed);
            let (in_memory, pushed) = try_join(to_bucket, to_registry).await?;
            let mut file_backed = Vec::new();
            for blob in new_files {
                file_backed.push((blob, self.write_file_backed(blob).await?));
            }
            let bucket = in_memory.iter().chain(&file_backed).map(|(_, placed)| placed.writes()).sum();
            let found = FoundObjects { in_memory: found(in_memory), file_backed: found(file_backed), release: false };
            Ok((Writes { bucket, registry: pushed.writes }, found, pushed.moved))
        };
        // Nothing names them before the index artifact does.
        let of_documents = self.push_documents(built, &new.documents, &had, pushed);
        let ((mut writes, mut found, moved), (_, of_documents), of_index) =
            try_join3(of_versions, of_documents, self.push_index_blobs(index)).await?;

        writes.registry += of_config + of_documents + of_index;
        writes.registry += self.move_tags(&moved, pushed).await? + self.tag_index(index).await?;
        let release = self.bucket_release(built).await?;
        writes.bucket += release.writes();
        found.release = release.was_found();
        Ok((writes, found))
    }

    /// Puts the content of `built` that `previous` lacks into the bucket alone, the release object last. Returns the number of written
    /// objects, and the objects that it found in the bucket.
    pub(super) async fn upload_to_bucket(
        &self,
        built: &Built,
        previous: Option<&Release>,
    ) -> Result<(u64, FoundObjects), PublishError> {
        let (old_blobs, files) = (previous.map(Release::blobs).unwrap_or_default(), built.release.file_backed());
        let new_blobs = built.release.blobs().into_keys().filter(|blob| !old_blobs.contains_key(blob));
        let (new_files, new_blobs): (Vec<_>, Vec<_>) = new_blobs.partition(|blob| files.contains(blob));
        let in_memory =
            each(new_blobs, |blob| async move { Ok((blob, self.new_bucket_blob(built, blob).await?)) }).await?;
        let mut file_backed = Vec::new();
        for blob in new_files {
            file_backed.push((blob, self.write_file_backed(blob).await?));
        }
        let release = self.bucket_release(built).await?;
        let blobs: u64 = in_memory.iter().chain(&file_backed).map(|(_, placed)| placed.writes()).sum();
        let found =
            FoundObjects { in_memory: found(in_memory), file_backed: found(file_backed), release: release.was_found() };
        Ok((blobs.saturating_add(release.writes()), found))
    }

    /// Checks the objects that an upload found, writes those that are missing by now, and returns their number.
    pub(super) async fn upload_again(&self, built: &Built, found: &FoundObjects) -> Result<u64, PublishError> {
        let in_memory = each(&found.in_memory, |blob| self.bucket_blob(built, *blob)).await?;
        let mut writes = in_memory.into_iter().map(Placed::writes).sum();
        for blob in &found.file_backed {
            writes += self.write_file_backed(*blob).await?.writes();
        }
        if found.release {
            writes += self.bucket_release(built).await?.writes();
        }
        Ok(writes)
    }

    /// Writes a blob that the release before does not have. Most are new, so that is tried first.
    async fn new_bucket_blob(&self, built: &Built, blob: Digest) -> Result<Placed, PublishError> {
        if let Some(content) = built.contents.get(&blob) {
            let written = self.bucket.put_if(&blob_key(blob), content.clone(), Expect::Absent).await?;
            if let Written::Done(_) = written {
                return Ok(Placed::New);
            }
        }
        self.bucket_blob(built, blob).await
    }

    async fn bucket_blob(&self, built: &Built, blob: Digest) -> Result<Placed, PublishError> {
        self.store(&blob_key(blob), self.content(built, blob)).await
    }

    async fn bucket_release(&self, built: &Built) -> Result<Placed, PublishError> {
        self.store(&release_key(built.name), async { Ok(built.bytes.clone()) }).await
    }

    /// Writes an object unless it stays in the bucket.
    async fn store(
        &self,
        key: &str,
        content: impl Future<Output = Result<Bytes, PublishError>>,
    ) -> Result<Placed, PublishError> {
        let placing = self.placing(key).await?;
        if placing != Placed::Present {
            self.bucket.put(key, content.await?).await?;
        }
        Ok(placing)
    }
}

/// Those of some blobs that were in the bucket before.
fn found(placed: Vec<(Digest, Placed)>) -> Vec<Digest> {
    placed.into_iter().filter(|(_, placed)| placed.was_found()).map(|(blob, _)| blob).collect()
}
