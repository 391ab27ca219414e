//! What is live, and the commit point.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::index_artifact::{IndexArtifact, REPOSITORY};
use super::upload::{each, new_versions, repository};
use super::{PublishError, Publisher, RACES, Report, Timings};
use crate::cache::{Bucket, ETag, Expect, INDEX_KEY, Object, Written, release_key};
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::{Built, InvalidDocument, LiveIndex, Pin, PublishedVersion, Release};
use crate::source::Source;

/// What is live in the bucket.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) index: LiveIndex,
    pub(super) object: Object,
}

/// A release as it was stored.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) release: Arc<Release>,
    pub(super) bytes: Bytes,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    pub(super) async fn live(&self) -> Result<Option<Live>, PublishError> {
        let Some(object) = self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await? else { return Ok(None) };
        let index = LiveIndex::from_bytes(&object.bytes).map_err(PublishError::DamagedIndex)?;
        Ok(Some(Live { index, object }))
    }

    /// The live release, from the bucket or else from the OCI registry. None when neither has it, or it is of an older format:
    /// that costs its quarantined versions and nothing else.
    ///
    /// # Errors
    /// [`PublishError::ForeignRelease`] when newer software made it: publishing over it would lose what only that understands.
    pub(super) async fn release(&self, index: &LiveIndex) -> Result<Option<Loaded>, PublishError> {
        let stored = self.bucket.get(&release_key(index.release), limits::RELEASE_BYTES).await?;
        let reason = match stored.map(|object| read(index, object.bytes)) {
            Some(Ok(loaded)) => return Ok(Some(loaded)),
            Some(Err(InvalidDocument::Format(format))) if format > crate::release::FORMAT => {
                return Err(PublishError::ForeignRelease(index.release, InvalidDocument::Format(format)));
            }
            Some(Err(reason)) => reason.to_string(),
            None => "it is not there".to_owned(),
        };
        tracing::warn!(release = %index.release, reason, "the live release cannot be had from the bucket");
        match self.index_artifact_of(index.commit_hash.as_str()).await {
            Ok(Some((recorded, loaded))) if recorded.release == index.release => Ok(Some(loaded)),
            Ok(_) => Ok(None),
            Err(PublishError::DamagedArtifact { .. }) => Ok(None),
            Err(error) => Err(error),
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
        let index = LiveIndex::of(&built.release, built.name, (self.clock)(), &changes, before).pinned(pinned);
        let bytes = index.to_bytes();
        let previous = previous.map(|previous| previous.release.as_ref());
        let artifact = IndexArtifact::new(&index, &bytes, built);
        report.writes = self.upload(built, previous, &artifact).await?;
        timings.upload = uploading.elapsed();
        let committing = Instant::now();
        let expect = Expect::unchanged(live.map(|live| &live.object));
        let won = self.commit(bytes.clone(), expect).await?;
        timings.commit = committing.elapsed();
        report.writes.bucket += u64::from(won);
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
            let Some(loaded) = self.release(&live.index).await? else { return Ok(()) };
            let versions = loaded.release.versions.iter();
            let versions = versions.filter(|version| moved.contains(&(&version.stack, &version.version)));
            self.mend_registry(&live, &loaded, versions).await?;
            seen = Some(live.object.etag);
        }
        Err(PublishError::Races)
    }
}

impl Loaded {
    /// The release as one that was just built, without its content.
    pub(super) fn as_built(&self, index: &LiveIndex) -> Built {
        Built {
            release: Arc::clone(&self.release),
            name: index.release,
            bytes: self.bytes.clone(),
            contents: Default::default(),
        }
    }
}

/// Reads the release that an index names.
pub(super) fn read(index: &LiveIndex, bytes: Bytes) -> Result<Loaded, InvalidDocument> {
    let release = Arc::new(Release::from_bytes(index.release, &bytes)?);
    Ok(Loaded { release, bytes })
}
