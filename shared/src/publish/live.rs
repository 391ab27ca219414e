//! What is live, and the commit point.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::artifact_blobs::blobs_of;
use super::each::each;
use super::error::{PublishError, RACES};
use super::index_artifact::{IndexArtifact, REPOSITORY};
use super::publisher::Publisher;
use super::report::{Report, Timings};
use super::upload::{new_versions, repository};
use crate::cache::{Bucket, ETag, Expect, INDEX_KEY, Object, Written, blob_key, release_key};
use crate::digest::Digest;
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::{Built, Entries, InvalidDocument, LiveIndex, Outline, Pin, PublishedVersion, Release};
use crate::source::Source;

/// What is live in the bucket.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) index: LiveIndex,
    pub(super) object: Object,
}

/// A release object as it was stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
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
    pub(super) async fn live(&self) -> Result<Option<Live>, PublishError> {
        self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?.map(Live::read).transpose()
    }

    /// The outline of the live release, from the bucket or else from the OCI registry. None when neither has it, or it is of an
    /// older format: that costs its quarantined versions and nothing else.
    ///
    /// # Errors
    /// [`PublishError::ForeignRelease`] when newer software made it: publishing over it would lose what only that understands.
    pub(super) async fn outline(&self, index: &LiveIndex) -> Result<Option<Stored>, PublishError> {
        let stored = self.bucket.get(&release_key(index.release), limits::RELEASE_BYTES).await?;
        let reason = match stored.map(|object| Stored::read(index.release, object.bytes)) {
            Some(Ok(stored)) => return Ok(Some(stored)),
            Some(Err(InvalidDocument::Format(format))) if format > crate::release::FORMAT => {
                return Err(PublishError::ForeignRelease(index.release, InvalidDocument::Format(format)));
            }
            Some(Err(reason)) => reason.to_string(),
            None => "it is not there".to_owned(),
        };
        tracing::warn!(release = %index.release, reason, "the live release cannot be had from the bucket");
        match self.recorded_outline(index.commit_hash.as_str()).await {
            Ok(Some((recorded, stored))) if recorded.release == index.release => Ok(Some(stored)),
            Ok(_) => Ok(None),
            Err(PublishError::DamagedArtifact { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The live release whole; none as for [`Publisher::outline`], or when a document of it is gone from both stores.
    ///
    /// # Errors
    /// As [`Publisher::outline`].
    pub(super) async fn release(&self, index: &LiveIndex) -> Result<Option<Loaded>, PublishError> {
        match self.outline(index).await? {
            Some(stored) => self.load(&stored, stored.outline.documents().into_keys()).await,
            None => Ok(None),
        }
    }

    /// As much of a release as some of its documents tell; none when one is gone from both stores.
    pub(super) async fn load(
        &self,
        stored: &Stored,
        documents: impl IntoIterator<Item = Digest>,
    ) -> Result<Option<Loaded>, PublishError> {
        let documents: BTreeSet<Digest> = documents.into_iter().collect();
        let wanted = documents.len();
        let loaded = self.load_found(stored, documents).await?;
        Ok(loaded.filter(|loaded| loaded.release.read_from().len() == wanted))
    }

    /// As much of a release as those of some of its documents tell that can be had.
    pub(super) async fn load_found(
        &self,
        stored: &Stored,
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

    /// A document from the bucket, or else from the OCI registry.
    pub(super) async fn document(&self, name: Digest) -> Result<Option<Bytes>, PublishError> {
        let stored = self.bucket.get(&blob_key(name), limits::RELEASE_BYTES).await?;
        match stored.filter(|object| Digest::of(&object.bytes) == name) {
            Some(object) => Ok(Some(object.bytes)),
            None => Ok(self.registry.blob(REPOSITORY, name, limits::RELEASE_BYTES).await?),
        }
    }

    /// Uploads a release and makes it live, unless something else went live meanwhile.
    pub(super) async fn make_live(
        &self,
        built: &Built,
        live: Option<&Live>,
        previous: Option<&Loaded>,
        pinned: Pin,
        report: &mut Report,
        timings: &mut Timings,
    ) -> Result<bool, PublishError> {
        let uploading = Instant::now();
        let changes = crate::release::Changes { changed: report.changed.clone(), removed: report.removed.clone() };
        let before = live.map(|live| &live.index);
        let index = LiveIndex::of(built, (self.clock)(), &changes, before).pinned(pinned);
        let bytes = index.to_bytes();
        check_limits(built, &bytes)?;
        let previous = previous.map(|previous| previous.release.as_ref());
        let artifact = IndexArtifact::new(&index, &bytes, &built.release.outline, &built.bytes);
        let (writes, found) = match self.upload(built, previous, &artifact).await {
            // The OCI registry has lost blobs that the release before had, and that are therefore not looked for.
            Err(PublishError::Registry(error)) if error.lacks_blobs() => {
                let blobs = blobs_of(&built.release);
                let of_index = blobs.iter().filter(|blob| blob.repository == REPOSITORY);
                for repaired in self.repair_blobs(built, of_index).await? {
                    tracing::warn!(%repaired, "repaired");
                }
                self.upload(built, previous, &artifact).await?
            }
            written => written?,
        };
        report.writes = writes;
        if !found.is_empty() {
            self.wait_for_prune().await?;
            report.writes.bucket += self.upload_again(built, &found).await?;
        }
        timings.upload = uploading.elapsed();
        let committing = Instant::now();
        let expect = Expect::unchanged(live.map(|live| &live.object));
        let won = self.commit(bytes.clone(), expect).await?;
        timings.commit = committing.elapsed();
        report.writes.bucket += u64::from(won);
        if won {
            match self.upload_again(built, &found).await {
                Ok(written) => report.writes.bucket += written,
                Err(error) => {
                    tracing::warn!(%error, "objects may be missing in the bucket; the next reconcile writes them")
                }
            }
        }
        // Tags move before the commit point. So everybody who moved some looks at them after it, the winner at those that somebody
        // else may have moved back meanwhile: whoever looks last sees what all others did.
        let moved = new_versions(&built.release, previous);
        let settled = async {
            if won && self.is_in_place(&artifact, &moved).await? { Ok(()) } else { self.settle(None, &moved).await }
        };
        if let Err(error) = settled.await {
            tracing::warn!(%error, "the tags in the OCI registry may lag behind; the next reconcile mends them");
        }
        Ok(won)
    }

    /// Writes `index.json`, which is the commit point; false when it is not in the expected state any more.
    pub(super) async fn commit(&self, bytes: Bytes, expect: Expect) -> Result<bool, PublishError> {
        if let Written::Done(_) = self.bucket.put_if(INDEX_KEY, bytes.clone(), expect).await? {
            return Ok(true);
        }
        // A write whose answer got lost is tried again by the client, and then finds itself.
        Ok(self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?.is_some_and(|object| object.bytes == bytes))
    }

    /// Whether the tags of some versions and those of the index artifact name what was just made live.
    async fn is_in_place(
        &self,
        artifact: &IndexArtifact<'_>,
        moved: &[&PublishedVersion],
    ) -> Result<bool, PublishError> {
        let of_versions = moved.iter().map(|version| (repository(version), version.version.as_str(), version.manifest));
        let of_index = artifact.tags.map(|tag| (REPOSITORY.to_owned(), tag, artifact.digest));
        let tags = of_versions.chain(of_index);
        let in_place = each(tags, |(repository, tag, manifest)| async move {
            Ok(self.registry.manifest_digest(&repository, Name::Tag(tag)).await? == Some(manifest))
        });
        Ok(in_place.await?.into_iter().all(|is_in_place| is_in_place))
    }

    /// Puts tags that somebody moved, and those of the index artifact, to where the live release has them, until nothing else goes
    /// live meanwhile. `seen` is the state of `index.json` that they were put to already.
    pub(super) async fn settle(&self, mut seen: Option<ETag>, moved: &[&PublishedVersion]) -> Result<(), PublishError> {
        let moved: BTreeSet<(&str, &str)> = moved.iter().map(|v| (v.stack.as_str(), v.version.as_str())).collect();
        for _ in 0..RACES {
            let Some(live) = self.live().await? else { return Ok(()) };
            if seen.as_ref() == Some(&live.object.etag) {
                return Ok(());
            }
            let Some(stored) = self.outline(&live.index).await? else { return Ok(()) };
            let stacks = moved.iter().map(|(stack, _)| (*stack).to_owned()).collect();
            let documents = stored.outline.documents_of(&stacks);
            let Some(loaded) = self.load(&stored, documents).await? else { return Ok(()) };
            let versions = loaded.release.content.versions.iter();
            let versions = versions.filter(|version| moved.contains(&(&version.stack, &version.version)));
            self.mend_registry(&live, &loaded, versions).await?;
            seen = Some(live.object.etag);
        }
        Err(PublishError::Races)
    }
}

/// Checks that readers take a release before anything of it is written (invariant 9).
fn check_limits(built: &Built, index: &Bytes) -> Result<(), PublishError> {
    built.release.outline.check().map_err(PublishError::Unreadable)?;
    for (object, bytes) in [("the release object", &built.bytes), (INDEX_KEY, index)] {
        let size = bytes.len() as u64;
        if size > limits::RELEASE_BYTES {
            tracing::error!(
                object,
                size,
                limit = limits::RELEASE_BYTES,
                "cannot publish the release: {object} is too large"
            );
            return Err(PublishError::Unreadable(InvalidDocument::TooLarge(size)));
        }
    }
    Ok(())
}

impl Live {
    /// Reads `index.json`.
    pub(super) fn read(object: Object) -> Result<Self, PublishError> {
        let index = LiveIndex::from_bytes(&object.bytes).map_err(PublishError::DamagedIndex)?;
        Ok(Self { index, object })
    }
}

impl Stored {
    /// Reads a release object.
    pub(super) fn read(name: Digest, bytes: Bytes) -> Result<Self, InvalidDocument> {
        Ok(Self { outline: Outline::from_bytes(name, &bytes)?, bytes })
    }
}

impl Loaded {
    /// The release, as much of it as was read, as one that was just built, without its content.
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
