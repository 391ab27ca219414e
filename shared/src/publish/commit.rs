//! The commit point: a release is uploaded, and `index.json` names it.

use std::time::Instant;

use bytes::Bytes;

use super::artifact_blobs::blobs_of;
use super::compare_scope::CompareScope;
use super::error::PublishError;
use super::index_artifact::{INDEX_REPOSITORY, IndexArtifact};
use super::live::{Live, Loaded};
use super::progress::{NewArtifacts, Publication, run_until};
use super::publisher::Publisher;
use super::report::{Outcome, Report, Writes};
use super::upload::FoundObjects;
use crate::cache::{Bucket, Expect, INDEX_KEY, Written};
use crate::limits;
use crate::registry::Registry;
use crate::release::{Built, Changes, InvalidDocument, LiveIndex, Pin, Release};
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Uploads a release and makes it live, unless something else went live meanwhile.
    pub(super) async fn make_live(
        &self,
        built: &Built,
        live: Option<&Live>,
        previous: Option<&Loaded>,
        pinned: Pin,
        publication: &Publication,
        report: &mut Report,
    ) -> Result<bool, PublishError> {
        let uploading = Instant::now();
        let changes =
            Changes { changed: report.changed.clone(), added: report.added.clone(), removed: report.removed.clone() };
        let before = live.map(|live| &live.index);
        let index = LiveIndex::of(built, (self.clock)(), &changes, before).pinned(pinned);
        let bytes = index.to_bytes();
        check_limits(built, &bytes)?;
        let previous = previous.map(|previous| previous.release.as_ref());
        let artifact = IndexArtifact::new(&index, &bytes, &built.release.outline, &built.bytes);
        let new = NewArtifacts::of(&built.release, previous);
        let push = self.push(built, previous, &artifact, &new, publication);
        let (writes, found) = self.within_invocation(publication, &new, push).await?;
        report.writes = writes;
        report.timings_ms.upload = uploading.elapsed();
        let committing = Instant::now();
        let expect = Expect::unchanged(live.map(|live| &live.object));
        let won = self.commit(bytes.clone(), expect).await?;
        report.timings_ms.commit = committing.elapsed();
        report.writes.bucket += u64::from(won);
        if won {
            // The third rule of `prune` holds in an invocation whose time is over, too.
            match run_until(publication.check_deadline(), self.upload_again(built, &found)).await {
                Some(Ok(written)) => report.writes.bucket += written,
                Some(Err(error)) => {
                    tracing::warn!(%error, "objects may be missing in the bucket; the next reconcile writes them")
                }
                None => tracing::warn!("objects in the bucket are not checked in time; the next reconcile checks them"),
            }
        }
        // Tags move before the commit point, so every publication checks the tags that it moved
        // after it. Another one may have moved those of the winner back meanwhile. The last check
        // sees all moves.
        let check = async {
            let in_place = won && self.are_tags_in_place(&artifact, &new.versions).await?;
            if in_place { Ok(()) } else { self.reconcile_tags(None, &new.versions).await }
        };
        match run_until(publication.until(), check).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "the tags in the OCI registry may lag behind; the next reconcile repairs them")
            }
            None => tracing::warn!("the tags in the OCI registry are not checked in time; the schedule checks them"),
        }
        Ok(won)
    }

    /// Pushes all that a release needs before it goes live. Also returns the objects that were in the bucket before.
    async fn push(
        &self,
        built: &Built,
        previous: Option<&Release>,
        artifact: &IndexArtifact<'_>,
        new: &NewArtifacts<'_>,
        publication: &Publication,
    ) -> Result<(Writes, FoundObjects), PublishError> {
        let pushed = &publication.pushed;
        let (mut writes, found) = match self.upload(built, previous, artifact, new, pushed).await {
            // The OCI registry has lost blobs that the release before had, and which it therefore does not check.
            Err(PublishError::Registry(error)) if error.lacks_blobs() => {
                let blobs = blobs_of(&built.release);
                let of_index = blobs.iter().filter(|blob| blob.repository == INDEX_REPOSITORY);
                for repaired in self.repair_blobs(built, of_index, CompareScope::Slice).await? {
                    tracing::warn!(%repaired, "repaired");
                }
                self.upload(built, previous, artifact, new, pushed).await?
            }
            written => written?,
        };
        if !found.is_empty() {
            self.wait_for_prune().await?;
            writes.bucket += self.upload_again(built, &found).await?;
        }
        Ok((writes, found))
    }

    /// Makes the live release live again, as `loaded`; returns `None` when another one went live meanwhile.
    pub(super) async fn make_live_again(
        &self,
        live: &Live,
        loaded: &Loaded,
        pinned: Pin,
    ) -> Result<Option<Report>, PublishError> {
        let built = loaded.as_built(live.index.release);
        let mut report = Report::new(Some(live), &built, Some(loaded));
        (report.outcome, report.pinned) = (Outcome::Unchanged, pinned == Pin::Pinned);
        let won =
            self.make_live(&built, Some(live), Some(loaded), pinned, &Publication::default(), &mut report).await?;
        Ok(won.then_some(report))
    }

    /// Writes `index.json`, which is the commit point; returns `false` when it is no longer in the expected state.
    pub(super) async fn commit(&self, bytes: Bytes, expect: Expect) -> Result<bool, PublishError> {
        if let Written::Done(_) = self.bucket.put_if(INDEX_KEY, bytes.clone(), expect).await? {
            return Ok(true);
        }
        // A write whose answer got lost is tried again by the client, and then finds itself.
        Ok(self.bucket.get(INDEX_KEY, limits::RELEASE_BYTES).await?.is_some_and(|object| object.bytes == bytes))
    }
}

/// Checks a release against the limits of its readers before anything of it is written (invariant 9).
pub(super) fn check_limits(built: &Built, index: &Bytes) -> Result<(), PublishError> {
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
