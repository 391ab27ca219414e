//! The index artifact: what the OCI registry has of a whole release, and from which the bucket can be rebuilt.
//!
//! Its layers are `index.json`, `release.json`, and every blob of the release that no artifact carries, without a title.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::large::by_size;
use super::live::{self, Loaded};
use super::upload::each;
use super::{PublishError, Publisher};
use crate::artifact;
use crate::cache::Bucket;
use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::{Built, LiveIndex, Place, Release};
use crate::source::Source;

/// Repository of the index artifact in the OCI registry.
pub(super) const REPOSITORY: &str = "devfile-index";

/// Tag of the index artifact that follows the live release.
pub(super) const LATEST: &str = "latest";

const TYPE: &str = "application/vnd.devfileio.registry.index.v1+json";

/// Config of artifacts that need none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";

const TITLE: &str = "org.opencontainers.image.title";

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: Digest,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// Blobs of a release that no artifact carries, with their sizes.
pub(super) fn loose_blobs(release: &Release) -> Vec<(Digest, u64)> {
    let places = release.places();
    let sizes = release.blobs();
    let loose = places.iter().filter(|(_, place)| **place == Place::Index);
    loose.map(|(digest, _)| (*digest, sizes.get(digest).copied().unwrap_or_default())).collect()
}

/// The manifest of the index artifact (OCI image specification 1.1, "Guidelines for Artifact Usage").
pub(super) fn manifest(index: &LiveIndex, index_bytes: &Bytes, release: &Release, release_bytes: &Bytes) -> Bytes {
    let document = |title: &str, content: &Bytes| {
        json!({
            "mediaType": "application/json",
            "digest": Digest::of(content),
            "size": content.len(),
            "annotations": {TITLE: title},
        })
    };
    let loose = |(digest, size)| json!({"mediaType": "application/octet-stream", "digest": digest, "size": size});
    let mut layers = vec![document("index.json", index_bytes), document("release.json", release_bytes)];
    layers.extend(loose_blobs(release).into_iter().map(loose));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": artifact::MANIFEST_MEDIA_TYPE,
        "artifactType": TYPE,
        "config": {"mediaType": EMPTY_MEDIA_TYPE, "digest": Digest::of(artifact::CONFIG), "size": artifact::CONFIG.len()},
        "layers": Value::Array(layers),
        "annotations": {
            "org.opencontainers.image.revision": index.commit_hash,
            "org.opencontainers.image.source": index.source,
            "org.opencontainers.image.created": index.generated_at,
        },
    });
    to_compact_json(&manifest).into()
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads the index artifact with a tag; none when there is none.
    pub(super) async fn index_artifact_of(&self, tag: &str) -> Result<Option<(LiveIndex, Loaded)>, PublishError> {
        let damaged = |reason: String| PublishError::DamagedArtifact(format!("{REPOSITORY}:{tag}"), reason);
        let Some(bytes) = self.registry.manifest(REPOSITORY, Name::Tag(tag)).await? else { return Ok(None) };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let layer = |title: &str| {
            let named = manifest.layers.iter().find(|layer| layer.annotations.get(TITLE).is_some_and(|t| t == title));
            named.map(|layer| layer.digest).ok_or_else(|| damaged(format!("it has no layer {title}")))
        };
        let mut documents = Vec::new();
        for digest in [layer("index.json")?, layer("release.json")?] {
            let content = self.registry.blob(REPOSITORY, digest, limits::RELEASE_BYTES).await?;
            documents.push(content.ok_or_else(|| damaged(format!("its layer {digest} is gone")))?);
        }
        let release_bytes = documents.pop().unwrap_or_default();
        let index = LiveIndex::from_bytes(&documents.pop().unwrap_or_default()).map_err(|e| damaged(e.to_string()))?;
        let loaded = live::read(&index, release_bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(Some((index, loaded)))
    }

    /// Pushes the index artifact; what the release before had loose is there.
    pub(super) async fn push_index_artifact(
        &self,
        index: &LiveIndex,
        index_bytes: &Bytes,
        built: &Built,
        previous: Option<&Release>,
    ) -> Result<u64, PublishError> {
        let mut pushed = 0;
        let config = Bytes::from_static(artifact::CONFIG);
        for content in [&config, index_bytes, &built.bytes] {
            pushed += self.push_missing(Digest::of(content), content.clone()).await?;
        }
        let had: BTreeSet<Digest> = previous.map(loose_blobs).unwrap_or_default().into_iter().map(|(d, _)| d).collect();
        let new = loose_blobs(&built.release).into_iter().map(|(digest, _)| digest).filter(|blob| !had.contains(blob));
        let large = by_size(&built.release).large;
        let (large, small): (Vec<_>, Vec<_>) = new.partition(|blob| large.contains(blob));
        pushed += each(small, |blob| self.push_loose(built, blob)).await?.into_iter().sum::<u64>();
        for blob in large {
            pushed += self.push_large(blob).await?;
        }
        let manifest = manifest(index, index_bytes, &built.release, &built.bytes);
        for tag in [index.commit_hash.as_str(), LATEST] {
            self.registry.push_manifest(REPOSITORY, Name::Tag(tag), manifest.clone()).await?;
        }
        Ok(pushed + 2)
    }

    async fn push_loose(&self, built: &Built, blob: Digest) -> Result<u64, PublishError> {
        if self.registry.blob_exists(REPOSITORY, blob).await? {
            return Ok(0);
        }
        self.registry.push_blob(REPOSITORY, blob, self.content(built, blob).await?).await?;
        Ok(1)
    }

    async fn push_missing(&self, digest: Digest, content: Bytes) -> Result<u64, PublishError> {
        if self.registry.blob_exists(REPOSITORY, digest).await? {
            return Ok(0);
        }
        self.registry.push_blob(REPOSITORY, digest, content).await?;
        Ok(1)
    }
}
