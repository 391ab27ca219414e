//! What is live, and the commit point.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{PublishError, Publisher, Report, Timings};
use crate::artifact::CATALOG;
use crate::cache::{Bucket, Expect, INDEX_KEY, Object, Written, release_key};
use crate::limits;
use crate::registry::{Name, Registry};
use crate::release::{Built, InvalidDocument, LiveIndex, Pin, Release};
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

/// Tags of artifacts, as stack and version.
#[derive(Debug, Default)]
pub(super) struct Tags(BTreeSet<(String, String)>);

impl Tags {
    /// Those that publishing a release after another moves.
    pub(super) fn between(release: &Release, previous: Option<&Loaded>) -> Self {
        let had: BTreeSet<_> = previous
            .iter()
            .flat_map(|loaded| &loaded.release.versions)
            .map(|v| (&v.stack, &v.version, v.manifest))
            .collect();
        let new = release.versions.iter().filter(|v| !had.contains(&(&v.stack, &v.version, v.manifest)));
        Self(new.map(|version| (version.stack.clone(), version.version.clone())).collect())
    }
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
            Err(PublishError::DamagedArtifact(..)) => Ok(None),
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
        report.writes = self.upload(built, previous.map(|previous| previous.release.as_ref()), &index).await?;
        timings.upload = uploading.elapsed();
        let committing = Instant::now();
        let expect = Expect::unchanged(live.map(|live| &live.object));
        let written = self.bucket.put_if(INDEX_KEY, index.to_bytes(), expect).await?;
        timings.commit = committing.elapsed();
        if written == Written::Lost {
            return Ok(false);
        }
        report.writes.bucket += 1;
        Ok(true)
    }

    /// Puts tags that a lost race moved to where the live release has them.
    pub(super) async fn settle(&self, live: Option<&Live>, Tags(moved): Tags) -> Result<(), PublishError> {
        let Some(live) = live.filter(|_| !moved.is_empty()) else { return Ok(()) };
        let Some(loaded) = self.release(&live.index).await? else { return Ok(()) };
        let ours = |stack: &str, version: &str| moved.contains(&(stack.to_owned(), version.to_owned()));
        for version in loaded.release.versions.iter().filter(|version| ours(&version.stack, &version.version)) {
            let repository = format!("{CATALOG}/{}", version.stack);
            let tagged = self.registry.manifest_digest(&repository, Name::Tag(&version.version)).await?;
            if tagged != Some(version.manifest) {
                self.manifest(version, Name::Tag(&version.version)).await?;
            }
        }
        Ok(())
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
