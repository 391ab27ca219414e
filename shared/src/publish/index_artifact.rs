//! The index artifact: what the OCI registry has of a whole release, and from which the bucket can be rebuilt.
//!
//! Its layers are `index.json`, `release.json`, and every blob of the release that no artifact carries, without a title.

use std::collections::BTreeMap;

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
    annotations: BTreeMap<String, String>,
}

/// The index artifact of a release that is or goes live.
#[derive(Debug)]
pub(super) struct IndexArtifact<'a> {
    built: &'a Built,
    index_bytes: &'a Bytes,
    loose: BTreeMap<Digest, u64>,
    pub(super) manifest: Bytes,
    pub(super) digest: Digest,
    /// That of the commit, and [`LATEST`].
    pub(super) tags: [&'a str; 2],
}

impl<'a> IndexArtifact<'a> {
    /// The manifest follows the OCI image specification 1.1, "Guidelines for Artifact Usage".
    pub(super) fn new(index: &'a LiveIndex, index_bytes: &'a Bytes, built: &'a Built) -> Self {
        let document = |title: &str, digest: Digest, content: &Bytes| {
            json!({
                "mediaType": "application/json",
                "digest": digest,
                "size": content.len(),
                "annotations": {TITLE: title},
            })
        };
        let loose_layer = |(digest, size): (&Digest, &u64)| json!({"mediaType": "application/octet-stream", "digest": digest, "size": size});
        let loose = loose_blobs(&built.release);
        let mut layers = vec![
            document("index.json", Digest::of(index_bytes), index_bytes),
            document("release.json", built.name, &built.bytes),
        ];
        layers.extend(loose.iter().map(loose_layer));
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
        let manifest: Bytes = to_compact_json(&manifest).into();
        let digest = Digest::of(&manifest);
        Self { built, index_bytes, loose, manifest, digest, tags: [index.commit_hash.as_str(), LATEST] }
    }
}

/// Blobs of a release that no artifact carries, with their sizes.
fn loose_blobs(release: &Release) -> BTreeMap<Digest, u64> {
    let mut loose = release.blobs();
    let places = release.places();
    loose.retain(|digest, _| places.get(digest) == Some(&Place::Index));
    loose
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads the index artifact with a tag; none when there is none.
    pub(super) async fn index_artifact_of(&self, tag: &str) -> Result<Option<(LiveIndex, Loaded)>, PublishError> {
        let damaged = |reason: String| PublishError::DamagedArtifact { name: format!("{REPOSITORY}:{tag}"), reason };
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

    /// Pushes an index artifact; what the release before had loose is there.
    pub(super) async fn push_index_artifact(
        &self,
        artifact: &IndexArtifact<'_>,
        previous: Option<&Release>,
    ) -> Result<u64, PublishError> {
        let documents =
            [Bytes::from_static(artifact::CONFIG), artifact.index_bytes.clone(), artifact.built.bytes.clone()];
        let mut pushed = 0;
        for content in documents {
            let ready = std::future::ready(Ok(content.clone()));
            pushed += self.push_missing(REPOSITORY, Digest::of(&content), ready).await?;
        }
        let had = previous.map(loose_blobs).unwrap_or_default();
        let new = artifact.loose.keys().copied().filter(|blob| !had.contains_key(blob));
        let large = by_size(&artifact.built.release).large;
        let (large, small): (Vec<Digest>, Vec<Digest>) = new.partition(|blob| large.contains(blob));
        let push =
            |blob: Digest| async move { self.push_missing(REPOSITORY, blob, self.content(artifact.built, blob)).await };
        pushed += each(small, push).await?.into_iter().sum::<u64>();
        for blob in large {
            pushed += self.push_large(blob).await?;
        }
        for tag in artifact.tags {
            self.registry.push_manifest(REPOSITORY, Name::Tag(tag), artifact.manifest.clone()).await?;
        }
        Ok(pushed + 2)
    }

    /// Pushes a blob unless the repository has it, and says how many that were.
    pub(super) async fn push_missing(
        &self,
        repository: &str,
        blob: Digest,
        content: impl Future<Output = Result<Bytes, PublishError>>,
    ) -> Result<u64, PublishError> {
        if self.registry.blob_exists(repository, blob).await? {
            return Ok(0);
        }
        self.registry.push_blob(repository, blob, content.await?).await?;
        Ok(1)
    }
}
