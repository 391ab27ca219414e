//! The index artifact: a copy of the whole release in the OCI registry, from which the bucket can be rebuilt.
//!
//! Its layers are `index.json`, `release.json`, which is the release object, and, without a title,
//! the documents that the latter names. Each document is a layer of an artifact of its own, too,
//! whose further layers are the blobs that it lists and no other artifact carries. So a refresh
//! names only the changes and the common documents.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::artifact::{self, TITLE};
use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::release::{LiveIndex, Outline, Release};

/// The repository of the index artifact and of the artifacts of documents.
pub(super) const INDEX_REPOSITORY: &str = "devfile-index";

/// Tag of the index artifact that follows the live release.
pub(super) const LATEST: &str = "latest";

const TYPE: &str = "application/vnd.devfileio.registry.index.v1+json";

const DOCUMENT_TYPE: &str = "application/vnd.devfileio.registry.document.v1+json";

/// Config of artifacts that need none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";

/// The manifest of an index artifact, as far as it is read back.
#[derive(Debug, Deserialize)]
pub(super) struct IndexManifest {
    layers: Vec<DocumentLayer>,
}

#[derive(Debug, Deserialize)]
struct DocumentLayer {
    digest: Digest,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The index artifact of a release that is or goes live.
#[derive(Debug)]
pub(super) struct IndexArtifact<'a> {
    /// `index.json` and the release object.
    pub(super) documents: [(Digest, &'a Bytes); 2],
    pub(super) manifest: Bytes,
    pub(super) digest: Digest,
    /// The tag of the commit, and [`LATEST`].
    pub(super) tags: [&'a str; 2],
}

/// The artifact of a document of a release. Its name follows from its content, so it is never moved.
#[derive(Debug)]
pub(super) struct DocumentArtifact {
    document: Digest,
    /// The document, and the blobs that it names, with their sizes.
    pub(super) blobs: BTreeMap<Digest, u64>,
    pub(super) manifest: Bytes,
    pub(super) digest: Digest,
    pub(super) tag: String,
}

/// Returns the repository of the artifacts of a stack.
pub(super) fn stack_repository(stack: &str) -> String {
    format!("{}/{stack}", artifact::CATALOG)
}

/// Returns a manifest and its digest, by the OCI image specification 1.1, "Guidelines for Artifact Usage".
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

impl IndexManifest {
    /// Returns the digest of the layer with a title.
    pub(super) fn layer(&self, title: &str) -> Option<Digest> {
        let named = self.layers.iter().find(|layer| layer.annotations.get(TITLE).is_some_and(|t| t == title));
        named.map(|layer| layer.digest)
    }
}

impl<'a> IndexArtifact<'a> {
    /// Returns the artifact of a release.
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
    /// Returns the artifacts of the documents that a release was read from, or that were made for it.
    pub(super) fn all(release: &Release) -> Vec<Self> {
        let mut unpackaged = release.unpackaged();
        let artifact = |(document, size): (&Digest, &u64)| {
            let unpackaged = unpackaged.remove(document).unwrap_or_default();
            let mut layers = vec![titled("document.json", *document, *size)];
            layers.extend(unpackaged.iter().map(|(digest, size)| untitled((*digest, *size))));
            let blobs = unpackaged.into_iter().chain([(*document, *size)]).collect();
            let (digest, manifest) = manifest(DOCUMENT_TYPE, layers, Value::Null);
            Self { document: *document, blobs, manifest, digest, tag: format!("document-{}", document.hex()) }
        };
        release.read_from().iter().map(artifact).collect()
    }

    /// Returns whether a release has the document, too.
    pub(super) fn is_of(&self, release: &Release) -> bool {
        release.read_from().contains_key(&self.document)
    }
}
