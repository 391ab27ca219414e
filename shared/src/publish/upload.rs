//! The steps before the commit point: everything that `index.json` will name is put in place.

use std::collections::BTreeSet;
use std::future::Future;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use super::{PublishError, Publisher, Writes};
use crate::artifact::{self, CATALOG};
use crate::cache::{Bucket, blob_key, release_key};
use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::limits::{self, CONCURRENT_UPLOADS};
use crate::registry::{Name, Registry};
use crate::release::{Built, LiveIndex, PublishedVersion, Release};
use crate::source::Source;

/// Repository of the index artifact in the OCI registry.
const INDEX_REPOSITORY: &str = "devfile-index";

/// Tag of the index artifact that follows the live release.
const LATEST: &str = "latest";

const INDEX_ARTIFACT_TYPE: &str = "application/vnd.devfileio.registry.index.v1+json";

/// Config of artifacts that need none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Uploads what `built` has and neither `previous` nor the servers, in the order of invariant 3, up to the release object.
    pub(super) async fn upload(
        &self,
        built: &Built,
        previous: Option<&Release>,
        index: &LiveIndex,
    ) -> Result<Writes, PublishError> {
        let release = &built.release;
        let had: BTreeSet<Digest> = previous.map(|release| release.blobs().into_keys().collect()).unwrap_or_default();
        let new_blobs = release.blobs().into_keys().filter(|blob| !had.contains(blob));
        let published: BTreeSet<(&str, &str, Digest)> =
            previous.iter().flat_map(|release| &release.versions).map(key).collect();
        let new_versions: Vec<&PublishedVersion> =
            release.versions.iter().filter(|version| !published.contains(&key(version))).collect();

        let to_bucket = each(new_blobs, |blob| self.bucket_blob(built, blob));
        let to_registry = each(new_versions.iter().copied(), |version| self.artifact_blobs(built, version));
        let (to_bucket, to_registry) = futures_util::future::try_join(to_bucket, to_registry).await?;
        let pending: Vec<&PublishedVersion> = new_versions
            .iter()
            .zip(&to_registry)
            .filter(|(_, pushed)| pushed.is_some())
            .map(|(version, _)| *version)
            .collect();

        each(pending.iter().copied(), |version| self.manifest(version, Name::Digest(version.manifest))).await?;
        each(pending.iter().copied(), |version| self.manifest(version, Name::Tag(&version.version))).await?;
        let index_writes = self.index_artifact(built, index).await?;
        let release_key = release_key(built.name);
        let release_is_new = !self.bucket.exists(&release_key).await?;
        if release_is_new {
            self.bucket.put(&release_key, built.bytes.clone()).await?;
        }
        Ok(Writes {
            bucket: to_bucket.into_iter().sum::<u64>() + u64::from(release_is_new),
            registry: to_registry.into_iter().flatten().sum::<u64>() + 2 * pending.len() as u64 + index_writes,
        })
    }

    async fn bucket_blob(&self, built: &Built, blob: Digest) -> Result<u64, PublishError> {
        let key = blob_key(blob);
        if self.bucket.exists(&key).await? {
            return Ok(0);
        }
        let content = built.contents.get(&blob).ok_or(PublishError::MissingBlob(blob))?;
        self.bucket.put(&key, content.clone()).await?;
        Ok(1)
    }

    /// Pushes the blobs of an artifact; none when its tag has it already, and then all of it is there.
    async fn artifact_blobs(&self, built: &Built, version: &PublishedVersion) -> Result<Option<u64>, PublishError> {
        let repository = repository(version);
        let tagged = self.registry.manifest_digest(&repository, Name::Tag(&version.version)).await?;
        if tagged == Some(version.manifest) {
            return Ok(None);
        }
        let mut pushed = 0;
        let config = Digest::of(artifact::CONFIG);
        let blobs: BTreeSet<Digest> = version.layers.iter().map(|layer| layer.digest).chain([config]).collect();
        for blob in blobs {
            if self.registry.blob_exists(&repository, blob).await? {
                continue;
            }
            let content = match built.contents.get(&blob) {
                Some(content) => content.clone(),
                None => self.stored_blob(blob).await?,
            };
            self.registry.push_blob(&repository, blob, content).await?;
            pushed += 1;
        }
        Ok(Some(pushed))
    }

    async fn stored_blob(&self, blob: Digest) -> Result<Bytes, PublishError> {
        let stored = self.bucket.get(&blob_key(blob), limits::TREE_BYTES).await?;
        let intact = stored.filter(|object| Digest::of(&object.bytes) == blob);
        intact.map(|object| object.bytes).ok_or(PublishError::MissingBlob(blob))
    }

    async fn manifest(&self, version: &PublishedVersion, name: Name<'_>) -> Result<(), PublishError> {
        let manifest = artifact::manifest(&version.layers);
        Ok(self.registry.push_manifest(&repository(version), name, manifest).await?)
    }

    /// Pushes the index artifact, from which alone the bucket can be rebuilt.
    async fn index_artifact(&self, built: &Built, index: &LiveIndex) -> Result<u64, PublishError> {
        let layers = [("index.json", &index.to_bytes()), ("release.json", &built.bytes)];
        let config = &Bytes::from_static(artifact::CONFIG);
        let mut pushed = 0;
        for content in std::iter::once(config).chain(layers.map(|(_, content)| content)) {
            let digest = Digest::of(content);
            if !self.registry.blob_exists(INDEX_REPOSITORY, digest).await? {
                self.registry.push_blob(INDEX_REPOSITORY, digest, content.clone()).await?;
                pushed += 1;
            }
        }
        let manifest = index_manifest(index, layers);
        for tag in [built.release.commit_hash.as_str(), LATEST] {
            self.registry.push_manifest(INDEX_REPOSITORY, Name::Tag(tag), manifest.clone()).await?;
        }
        Ok(pushed + 2)
    }
}

fn key(version: &PublishedVersion) -> (&str, &str, Digest) {
    (&version.stack, &version.version, version.manifest)
}

fn repository(version: &PublishedVersion) -> String {
    format!("{CATALOG}/{}", version.stack)
}

/// The manifest of the index artifact (OCI image specification 1.1, "Guidelines for Artifact Usage").
fn index_manifest(index: &LiveIndex, layers: [(&str, &Bytes); 2]) -> Bytes {
    let layers = layers.map(|(title, content)| {
        json!({
            "mediaType": "application/json",
            "digest": Digest::of(content),
            "size": content.len(),
            "annotations": {"org.opencontainers.image.title": title},
        })
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": artifact::MANIFEST_MEDIA_TYPE,
        "artifactType": INDEX_ARTIFACT_TYPE,
        "config": {"mediaType": EMPTY_MEDIA_TYPE, "digest": Digest::of(artifact::CONFIG), "size": artifact::CONFIG.len()},
        "layers": layers,
        "annotations": {
            "org.opencontainers.image.revision": index.commit_hash,
            "org.opencontainers.image.source": index.source,
            "org.opencontainers.image.created": index.generated_at,
        },
    });
    to_compact_json(&manifest).into()
}

/// Does something for each item, [`CONCURRENT_UPLOADS`] at a time, and gives the results in order. The first error ends it.
async fn each<T, O, F>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> F) -> Result<Vec<O>, PublishError>
where
    F: Future<Output = Result<O, PublishError>>,
{
    let tasks: Vec<F> = items.into_iter().map(work).collect();
    stream::iter(tasks).buffered(CONCURRENT_UPLOADS).try_collect().await
}
