//! The index artifact: what the OCI registry has of a whole release, and from which the bucket can be rebuilt.
//!
//! Its layers are `index.json`, `release.json`, which is the release object, and, without a title, the documents that the latter
//! names. Each document is a layer of an artifact of its own, too, whose further layers are the blobs that it tells of and no
//! other artifact carries. So a refresh names no more than what changed and what is common to all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::each::each;
use super::error::PublishError;
use super::large::by_size;
use super::live::{Loaded, Stored};
use super::publisher::Publisher;
use crate::artifact;
use crate::cache::Bucket;
use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::{Built, LiveIndex, Outline, Release};
use crate::source::Source;

/// Repository of the index artifact in the OCI registry.
pub(super) const REPOSITORY: &str = "devfile-index";

/// Tag of the index artifact that follows the live release.
pub(super) const LATEST: &str = "latest";

const TYPE: &str = "application/vnd.devfileio.registry.index.v1+json";

const DOCUMENT_TYPE: &str = "application/vnd.devfileio.registry.document.v1+json";

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
    /// `index.json` and the release object.
    documents: [(Digest, &'a Bytes); 2],
    pub(super) manifest: Bytes,
    pub(super) digest: Digest,
    /// That of the commit, and [`LATEST`].
    pub(super) tags: [&'a str; 2],
}

/// The artifact of a document of a release. Its name follows from its content, so it is never moved.
#[derive(Debug)]
pub(super) struct DocumentArtifact {
    document: Digest,
    /// The document, and what it tells of, with their sizes.
    pub(super) blobs: BTreeMap<Digest, u64>,
    manifest: Bytes,
    pub(super) digest: Digest,
    pub(super) tag: String,
}

/// A manifest by the OCI image specification 1.1, "Guidelines for Artifact Usage".
fn manifest(kind: &str, layers: Vec<Value>, annotations: Value) -> (Digest, Bytes) {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": artifact::MANIFEST_MEDIA_TYPE,
        "artifactType": kind,
        "config": {"mediaType": EMPTY_MEDIA_TYPE, "digest": Digest::of(artifact::CONFIG), "size": artifact::CONFIG.len()},
        "layers": layers,
    });
    if !annotations.is_null() {
        manifest["annotations"] = annotations;
    }
    let bytes = to_compact_json(&manifest);
    (Digest::of(&bytes), bytes.into())
}

fn titled(title: &str, digest: Digest, size: u64) -> Value {
    json!({"mediaType": "application/json", "digest": digest, "size": size, "annotations": {TITLE: title}})
}

fn untitled((digest, size): (Digest, u64)) -> Value {
    json!({"mediaType": "application/octet-stream", "digest": digest, "size": size})
}

impl<'a> IndexArtifact<'a> {
    pub(super) fn new(
        index: &'a LiveIndex,
        index_bytes: &'a Bytes,
        outline: &Outline,
        outline_bytes: &'a Bytes,
    ) -> Self {
        let documents = [(Digest::of(index_bytes), index_bytes), (index.release, outline_bytes)];
        let title = |(title, (digest, bytes)): (_, (Digest, &Bytes))| titled(title, digest, bytes.len() as u64);
        let mut layers: Vec<Value> = ["index.json", "release.json"].into_iter().zip(documents).map(title).collect();
        layers.extend(outline.documents().into_iter().map(untitled));
        let annotations = json!({
            "org.opencontainers.image.revision": index.commit_hash,
            "org.opencontainers.image.source": index.source,
            "org.opencontainers.image.created": index.generated_at,
        });
        let (digest, manifest) = manifest(TYPE, layers, annotations);
        Self { documents, manifest, digest, tags: [index.commit_hash.as_str(), LATEST] }
    }
}

impl DocumentArtifact {
    /// Those of the documents that a release was read from, or that were made for it.
    pub(super) fn all(release: &Release) -> Vec<Self> {
        let mut loose = release.loose();
        let artifact = |(document, size): (&Digest, &u64)| {
            let loose = loose.remove(document).unwrap_or_default();
            let mut layers = vec![titled("document.json", *document, *size)];
            layers.extend(loose.iter().map(|(digest, size)| untitled((*digest, *size))));
            let blobs = loose.into_iter().chain([(*document, *size)]).collect();
            let (digest, manifest) = manifest(DOCUMENT_TYPE, layers, Value::Null);
            Self { document: *document, blobs, manifest, digest, tag: format!("document-{}", document.hex()) }
        };
        release.read_from().iter().map(artifact).collect()
    }

    /// Whether a release has the document, too.
    pub(super) fn is_of(&self, release: &Release) -> bool {
        release.read_from().contains_key(&self.document)
    }
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads the index artifact with a tag; none when there is none.
    pub(super) async fn recorded_outline(&self, tag: &str) -> Result<Option<(LiveIndex, Stored)>, PublishError> {
        let damaged = |reason: String| PublishError::DamagedArtifact { name: format!("{REPOSITORY}:{tag}"), reason };
        let Some(bytes) = self.registry.manifest(REPOSITORY, Name::Tag(tag)).await? else { return Ok(None) };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let document = async |title: &str| {
            let named = manifest.layers.iter().find(|layer| layer.annotations.get(TITLE).is_some_and(|t| t == title));
            let digest = named.map(|layer| layer.digest).ok_or_else(|| damaged(format!("it has no layer {title}")))?;
            let content = self.registry.blob(REPOSITORY, digest, limits::RELEASE_BYTES).await?;
            content.ok_or_else(|| damaged(format!("its layer {digest} is gone")))
        };
        let index = LiveIndex::from_bytes(&document("index.json").await?).map_err(|e| damaged(e.to_string()))?;
        let stored =
            Stored::read(index.release, document("release.json").await?).map_err(|e| damaged(e.to_string()))?;
        Ok(Some((index, stored)))
    }

    /// The release that the index artifact with a tag tells of; none when there is none.
    pub(super) async fn recorded(&self, tag: &str) -> Result<Option<(LiveIndex, Loaded)>, PublishError> {
        let Some((index, stored)) = self.recorded_outline(tag).await? else { return Ok(None) };
        match self.load(&stored, stored.outline.documents().into_keys()).await? {
            Some(loaded) => Ok(Some((index, loaded))),
            None => Err(PublishError::DamagedArtifact {
                name: format!("{REPOSITORY}:{tag}"),
                reason: "a document of its release cannot be had".to_owned(),
            }),
        }
    }

    /// Pushes the config of all artifacts of the repository. Before all else: what a registry is given a second time, it may be
    /// unable to find for a moment.
    pub(super) async fn index_config(&self) -> Result<u64, PublishError> {
        let config = async { Ok(Bytes::from_static(artifact::CONFIG)) };
        let (digest, size) = (Digest::of(artifact::CONFIG), artifact::CONFIG.len() as u64);
        self.push_missing(REPOSITORY, digest, size, config).await
    }

    /// Pushes the layers of an index artifact that are not documents of the release, and says how many were missing.
    pub(super) async fn index_blobs(&self, artifact: &IndexArtifact<'_>) -> Result<u64, PublishError> {
        let push = |(digest, content): (Digest, &Bytes)| {
            let content = content.clone();
            self.push_missing(REPOSITORY, digest, content.len() as u64, async { Ok(content) })
        };
        Ok(each(artifact.documents, push).await?.into_iter().sum())
    }

    /// Tags an index artifact whose layers are there: what [`LATEST`] names always has its commit's tag, too.
    pub(super) async fn tag_index(&self, artifact: &IndexArtifact<'_>) -> Result<u64, PublishError> {
        for tag in artifact.tags {
            self.registry.push_manifest(REPOSITORY, Name::Tag(tag), artifact.manifest.clone()).await?;
        }
        Ok(artifact.tags.len() as u64)
    }

    /// Pushes the artifacts of documents that are not there, but of them not what the release before `had` loose, which is. Says
    /// which that were, and how much was written.
    pub(super) async fn push_documents<'d>(
        &self,
        built: &Built,
        artifacts: impl IntoIterator<Item = &'d DocumentArtifact>,
        had: &BTreeSet<Digest>,
    ) -> Result<(Vec<&'d DocumentArtifact>, u64), PublishError> {
        let missing = each(artifacts, |artifact| async move {
            let found = self.registry.manifest_digest(REPOSITORY, Name::Tag(&artifact.tag)).await?;
            Ok((found != Some(artifact.digest)).then_some(artifact))
        });
        let missing: Vec<&DocumentArtifact> = missing.await?.into_iter().flatten().collect();
        if missing.is_empty() {
            return Ok((missing, 0));
        }
        let blobs = missing.iter().flat_map(|artifact| &artifact.blobs).map(|(blob, size)| (*blob, *size));
        let blobs: BTreeMap<Digest, u64> = blobs.filter(|(blob, _)| !had.contains(blob)).collect();
        let large = by_size(&built.release).large;
        let (large, small): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(blob, _)| large.contains(blob));
        let push =
            |(blob, size)| async move { self.push_missing(REPOSITORY, blob, size, self.content(built, blob)).await };
        let mut pushed = each(small, push).await?.into_iter().sum::<u64>();
        for (blob, size) in large {
            pushed += self.push_large(blob, size).await?;
        }
        let tag = |artifact: &'d DocumentArtifact| async move {
            let name = Name::Tag(&artifact.tag);
            Ok(self.registry.push_manifest(REPOSITORY, name, artifact.manifest.clone()).await?)
        };
        pushed += each(missing.iter().copied(), tag).await?.len() as u64;
        Ok((missing, pushed))
    }

    /// Pushes a blob unless the repository has it in its length, and says how many that were.
    pub(super) async fn push_missing(
        &self,
        repository: &str,
        blob: Digest,
        size: u64,
        content: impl Future<Output = Result<Bytes, PublishError>>,
    ) -> Result<u64, PublishError> {
        if self.registry.has_blob(repository, blob, size).await? {
            return Ok(0);
        }
        self.registry.push_blob(repository, blob, content.await?).await?;
        Ok(1)
    }
}
