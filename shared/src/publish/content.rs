//! Content of a release, from wherever it still is: the tree it was built from, the bucket, the OCI registry.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::error::PublishError;
use super::index_artifact::{INDEX_REPOSITORY, stack_repository};
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::{Bucket, blob_key};
use crate::digest::Digest;
use crate::limits;
use crate::registry::Registry;
use crate::release::{BlobLocation, Built, Release};
use crate::source::Source;

/// Blobs that one call to the OCI registry gives.
#[derive(Debug)]
pub(super) struct Group<'a> {
    repository: String,
    /// The blob to fetch.
    blob: Digest,
    /// The wanted digests: the blob itself, or files of the archive that it is.
    wanted: BTreeSet<Digest>,
    location: BlobLocation<'a>,
}

/// Groups blobs of a release by the blob of the OCI registry that contains them.
pub(super) fn groups<'a>(release: &'a Release, wanted: &BTreeSet<Digest>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(String, Digest, bool), Group<'a>> = BTreeMap::new();
    for (digest, location) in release.blob_locations().into_iter().filter(|(digest, _)| wanted.contains(digest)) {
        let (repository, blob) = match location {
            BlobLocation::Layer(stack) => (stack_repository(stack), digest),
            BlobLocation::Archived(stack, archive) => (stack_repository(stack), archive),
            BlobLocation::Index => (INDEX_REPOSITORY.to_owned(), digest),
        };
        let key = (repository.clone(), blob, matches!(location, BlobLocation::Archived(..)));
        let group = groups.entry(key).or_insert(Group { repository, blob, wanted: BTreeSet::new(), location });
        group.wanted.insert(digest);
    }
    groups.into_values().collect()
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Returns the content of a blob of a release: from the build, the bucket, or the OCI registry.
    pub(super) async fn content(&self, built: &Built, blob: Digest) -> Result<Bytes, PublishError> {
        if let Some(content) = built.contents.get(&blob).cloned().or_else(|| artifact::known(blob)) {
            return Ok(content);
        }
        let stored = self.bucket.get(&blob_key(blob), limits::TREE_BYTES).await?;
        if let Some(object) = stored.filter(|object| Digest::of(&object.bytes) == blob) {
            return Ok(object.bytes);
        }
        for group in groups(&built.release, &[blob].into()) {
            if let Some((_, content)) = self.fetch(&group).await?.into_iter().find(|(digest, _)| *digest == blob) {
                return Ok(content);
            }
        }
        Err(PublishError::MissingBlob(blob))
    }

    /// Fetches a group from the OCI registry; leaves out missing blobs.
    pub(super) async fn fetch(&self, group: &Group<'_>) -> Result<Vec<(Digest, Bytes)>, PublishError> {
        let Some(bytes) = self.registry.blob(&group.repository, group.blob, limits::TREE_BYTES).await? else {
            return Ok(Vec::new());
        };
        if !matches!(group.location, BlobLocation::Archived(..)) {
            return Ok(vec![(group.blob, bytes)]);
        }
        let damaged = |error: std::io::Error| {
            let name = format!("{}@{}", group.repository, group.blob);
            PublishError::DamagedArtifact { name, reason: error.to_string() }
        };
        let files = artifact::unpack(&bytes).map_err(damaged)?;
        let files = files.into_iter().map(|(_, content)| (Digest::of(&content), content));
        Ok(files.filter(|(digest, _)| group.wanted.contains(digest)).collect())
    }
}
