//! The live release, read from the bucket or else from the OCI registry.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::each::each;
use super::error::PublishError;
use super::index_artifact::{INDEX_REPOSITORY, IndexManifest};
use super::publisher::Publisher;
use crate::cache::{Bucket, INDEX_KEY, Object, blob_key, release_key};
use crate::digest::Digest;
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::{Built, Entries, FORMAT, InvalidDocument, LiveIndex, Outline, Release};
use crate::source::Source;

/// The live release as the bucket has it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) index: LiveIndex,
    pub(super) object: Object,
}

/// A release object as it was stored.
#[derive(Debug, Clone)]
pub(super) struct StoredOutline {
    pub(super) outline: Outline,
    pub(super) bytes: Bytes,
}

/// A release as it was stored, or as much of it as was read.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) release: Arc<Release>,
    /// Those of the release object.
    pub(super) bytes: Bytes,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads `index.json`; returns `None` when nothing is live.
    pub(super) async fn live(&self) -> Result<Option<Live>, PublishError> {
        self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?.map(Live::read).transpose()
    }

    /// Reads the outline of the live release, from the bucket or else from the OCI registry.
    ///
    /// Returns `None` when neither has it, or it is of an older format: that costs its quarantined
    /// versions and nothing else.
    ///
    /// # Errors [`PublishError::ForeignRelease`] when newer software made it: publishing over it
    /// would lose its newer fields.
    pub(super) async fn outline(&self, index: &LiveIndex) -> Result<Option<StoredOutline>, PublishError> {
        let stored = self.bucket.get(&release_key(index.release), limits::RELEASE_BYTES).await?;
        let reason = match stored.map(|object| StoredOutline::read(index.release, object.bytes)) {
            Some(Ok(stored)) => return Ok(Some(stored)),
            Some(Err(InvalidDocument::Format(format))) if format > FORMAT => {
                return Err(PublishError::ForeignRelease(index.release, InvalidDocument::Format(format)));
            }
            Some(Err(reason)) => reason.to_string(),
            None => "it is not there".to_owned(),
        };
        tracing::warn!(release = %index.release, reason, "the live release cannot be read from the bucket");
        match self.recorded_outline(index.commit_hash.as_str()).await {
            Ok(Some((recorded, stored))) if recorded.release == index.release => Ok(Some(stored)),
            Ok(_) => Ok(None),
            Err(PublishError::DamagedArtifact { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the whole live release; returns `None` as [`Publisher::outline`] does, or when both
    /// stores lack a document of it.
    ///
    /// # Errors
    /// As [`Publisher::outline`].
    pub(super) async fn release(&self, index: &LiveIndex) -> Result<Option<Loaded>, PublishError> {
        match self.outline(index).await? {
            Some(stored) => self.load(&stored, stored.outline.documents().into_keys()).await,
            None => Ok(None),
        }
    }

    /// Reads some documents of a release; returns `None` when both stores lack one.
    pub(super) async fn load(
        &self,
        stored: &StoredOutline,
        documents: impl IntoIterator<Item = Digest>,
    ) -> Result<Option<Loaded>, PublishError> {
        let documents: BTreeSet<Digest> = documents.into_iter().collect();
        let wanted = documents.len();
        let loaded = self.load_found(stored, documents).await?;
        Ok(loaded.filter(|loaded| loaded.release.read_from().len() == wanted))
    }

    /// Reads those of some documents of a release that either store has.
    pub(super) async fn load_found(
        &self,
        stored: &StoredOutline,
        documents: impl IntoIterator<Item = Digest>,
    ) -> Result<Option<Loaded>, PublishError> {
        let read = each(documents, |name| async move { Ok((name, self.document(name).await?)) }).await?;
        let mut found = Vec::new();
        for (name, document) in read {
            match document {
                Some(document) => found.push((name, document)),
                None => tracing::warn!(document = %name, "a document of the release is gone from both stores"),
            }
        }
        match stored.outline.clone().with(found) {
            Ok(release) => Ok(Some(Loaded { release: Arc::new(release), bytes: stored.bytes.clone() })),
            Err(reason) => {
                tracing::warn!(%reason, "a document of the release cannot be read");
                Ok(None)
            }
        }
    }

    /// Reads a document from the bucket, or else from the OCI registry.
    pub(super) async fn document(&self, name: Digest) -> Result<Option<Bytes>, PublishError> {
        let stored = self.bucket.get(&blob_key(name), limits::RELEASE_BYTES).await?;
        match stored.filter(|object| Digest::of(&object.bytes) == name) {
            Some(object) => Ok(Some(object.bytes)),
            None => Ok(self.registry.blob(INDEX_REPOSITORY, name, limits::RELEASE_BYTES).await?),
        }
    }

    /// Reads the index artifact with a tag; returns `None` when there is none.
    pub(super) async fn recorded_outline(&self, tag: &str) -> Result<Option<(LiveIndex, StoredOutline)>, PublishError> {
        let damaged =
            |reason: String| PublishError::DamagedArtifact { name: format!("{INDEX_REPOSITORY}:{tag}"), reason };
        let Some(bytes) = self.registry.manifest(INDEX_REPOSITORY, Name::Tag(tag)).await? else { return Ok(None) };
        let manifest: IndexManifest = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let document = async |title: &str| {
            let digest = manifest.layer(title).ok_or_else(|| damaged(format!("it has no layer {title}")))?;
            let content = self.registry.blob(INDEX_REPOSITORY, digest, limits::RELEASE_BYTES).await?;
            content.ok_or_else(|| damaged(format!("its layer {digest} is gone")))
        };
        let index = LiveIndex::from_bytes(&document("index.json").await?).map_err(|e| damaged(e.to_string()))?;
        let stored =
            StoredOutline::read(index.release, document("release.json").await?).map_err(|e| damaged(e.to_string()))?;
        Ok(Some((index, stored)))
    }

    /// Reads the release that the index artifact with a tag describes; returns `None` when there is no such artifact.
    pub(super) async fn recorded(&self, tag: &str) -> Result<Option<(LiveIndex, Loaded)>, PublishError> {
        let Some((index, stored)) = self.recorded_outline(tag).await? else { return Ok(None) };
        match self.load(&stored, stored.outline.documents().into_keys()).await? {
            Some(loaded) => Ok(Some((index, loaded))),
            None => Err(PublishError::DamagedArtifact {
                name: format!("{INDEX_REPOSITORY}:{tag}"),
                reason: "a document of its release cannot be read".to_owned(),
            }),
        }
    }
}

impl Live {
    /// Reads `index.json`.
    pub(super) fn read(object: Object) -> Result<Self, PublishError> {
        let index = LiveIndex::from_bytes(&object.bytes).map_err(PublishError::DamagedIndex)?;
        Ok(Self { index, object })
    }
}

impl StoredOutline {
    /// Reads a release object.
    pub(super) fn read(name: Digest, bytes: Bytes) -> Result<Self, InvalidDocument> {
        Ok(Self { outline: Outline::from_bytes(name, &bytes)?, bytes })
    }
}

impl Loaded {
    /// Returns the release, as much of it as was read, as if it had just been built, without its content.
    pub(super) fn as_built(&self, name: Digest) -> Built {
        Built {
            release: Arc::clone(&self.release),
            name,
            bytes: self.bytes.clone(),
            entries: Entries::of(&self.release.content.stacks),
            contents: Default::default(),
        }
    }
}
