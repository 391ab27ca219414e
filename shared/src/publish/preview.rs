//! Previews: the release of a proposal's head, built upon the live one. Its parts go to the bucket, and the conditional write of
//! `previews/<number>.json` names it. The OCI registry and `index.json` stay as they are.

use std::collections::BTreeSet;

use serde::Serialize;

use super::build::{Before, Emptiness, Made};
use super::commit::check_limits;
use super::each::each;
use super::error::{PublishError, RACES};
use super::publisher::Publisher;
use super::report::Timings;
use super::retention::age;
use crate::cache::{Bucket, Expect, Object, PREVIEWS, Written, preview_key};
use crate::diff::{Diff, Side};
use crate::digest::Digest;
use crate::limits::{KEPT_SECONDS, LISTED_CHANGES, LIVING_PREVIEWS, PREVIEW_SECONDS};
use crate::outside::offline::Known;
use crate::preview::{Preview, Proposed};
use crate::registry::Registry;
use crate::release::{Changes, LiveIndex};
use crate::repository::Quarantined;
use crate::source::Source;
use crate::timestamp::Timestamp;

/// The result of an action on a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewOutcome {
    /// The preview shows the head.
    Built,
    /// The preview ended.
    Ended,
    /// There was no preview to end.
    Missing,
    /// The proposal is for another branch than the one that is followed.
    Ignored,
}

/// The result of an action on a preview.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewReport {
    /// Its result.
    pub outcome: PreviewOutcome,
    /// The number of the proposal.
    pub number: u64,
    /// The preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// The changes for clients against the live release.
    #[serde(skip)]
    pub diff: Diff,
    /// The parts that the preview does not show as the repository has them, and why.
    pub quarantined: Vec<Quarantined>,
    /// Older previews that ended, because there may be [`LIVING_PREVIEWS`].
    pub displaced: Vec<u64>,
    /// The number of objects that were written.
    pub writes: u64,
    /// The time of each step.
    pub timings_ms: Timings,
}

impl PreviewReport {
    /// The report of an action that did nothing but to find a preview, or none.
    pub fn of(outcome: PreviewOutcome, number: u64, preview: Option<Preview>) -> Self {
        Self {
            outcome,
            number,
            preview,
            diff: Diff::default(),
            quarantined: Vec::new(),
            displaced: Vec::new(),
            writes: 0,
            timings_ms: Timings::default(),
        }
    }
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Builds the preview of a proposal upon the live release.
    ///
    /// # Errors
    /// [`PublishError`] when nothing is live, or a server fails; the preview stays as it was.
    pub async fn preview(&self, proposed: &Proposed) -> Result<PreviewReport, PublishError> {
        let live = self.live().await?.ok_or(PublishError::NothingLive)?;
        let stored = self.outline(&live.index).await?;
        let before = stored.map(|stored| Before { live: &live, stored, known: Known::Kept });
        let (mut timings, none) = (Timings::default(), BTreeSet::new());
        let made = self.build(&proposed.commit_hash, before.as_ref(), &none, Emptiness::Meant, &mut timings);
        let Made { built, previous, .. } = Box::pin(made).await?;
        let previous = previous.as_ref().map(|previous| previous.release.as_ref());
        let changes = built.release.changes_since(previous);
        // As `serve` makes it of the release.
        check_limits(&built, &LiveIndex::of(&built, (self.clock)(), &changes, None).to_bytes())?;
        let uploading = tokio::time::Instant::now();
        let (mut writes, found) = self.upload_to_bucket(&built, previous).await?;
        if !found.is_empty() {
            self.wait_for_prune().await?;
            writes = writes.saturating_add(self.upload_again(&built, &found).await?);
        }
        let preview =
            self.name_preview(proposed, (built.name, &live.index), &changes, &built.release.outline.quarantined);
        let preview = preview.await?;
        writes = writes.saturating_add(1).saturating_add(self.upload_again(&built, &found).await?);
        timings.upload = uploading.elapsed();
        let diff = Diff::between(&previous.map(Side::of).unwrap_or_default(), &Side::of(&built.release));
        Ok(PreviewReport {
            diff,
            quarantined: built.release.outline.quarantined.clone(),
            displaced: self.displace_previews(preview.number).await?,
            writes,
            timings_ms: timings,
            ..PreviewReport::of(PreviewOutcome::Built, preview.number, Some(preview))
        })
    }

    /// Ends the preview of a proposal. Garbage collection removes the rest.
    ///
    /// # Errors
    /// [`PublishError`] when the bucket fails.
    pub async fn end_preview(&self, number: u64) -> Result<PreviewReport, PublishError> {
        let now = (self.clock)();
        let end = |preview: Option<Preview>| {
            let living = preview.filter(|preview| preview.ended_at.is_none())?;
            Some(Preview { ended_at: Some(now.clone()), ..living })
        };
        let ended = self.change_preview(number, end).await?;
        let outcome = if ended.is_some() { PreviewOutcome::Ended } else { PreviewOutcome::Missing };
        Ok(PreviewReport { writes: u64::from(ended.is_some()), ..PreviewReport::of(outcome, number, ended) })
    }

    /// Stores the number of the comment that describes a preview, so that the next one takes its place.
    ///
    /// # Errors
    /// [`PublishError`] when the bucket fails.
    pub async fn note_comment(&self, number: u64, comment: u64) -> Result<(), PublishError> {
        let note = |preview: Option<Preview>| Some(Preview { comment: Some(comment), ..preview? });
        self.change_preview(number, note).await.map(drop)
    }

    /// Returns the previews that the bucket has, by their numbers.
    ///
    /// # Errors
    /// [`PublishError`] when the bucket fails.
    pub async fn previews(&self) -> Result<Vec<Preview>, PublishError> {
        let keys = self.bucket.list(PREVIEWS).await?.into_keys();
        let numbers = keys.filter_map(|key| Preview::number_of(&key));
        let read = each(numbers, |number| async move { Ok(Preview::read(&self.bucket, number).await?.0) });
        let mut previews: Vec<Preview> = read.await?.into_iter().flatten().collect();
        previews.sort_by_key(|preview| preview.number);
        Ok(previews)
    }

    /// Writes the object that names the release of a preview.
    async fn name_preview(
        &self,
        proposed: &Proposed,
        (release, live): (Digest, &LiveIndex),
        changes: &Changes,
        quarantined: &[Quarantined],
    ) -> Result<Preview, PublishError> {
        let Proposed { number, commit_hash, title, author, url, base_branch: _ } = proposed.bounded();
        let now = (self.clock)();
        let expires = now.instant().checked_add(jiff::SignedDuration::from_secs(PREVIEW_SECONDS));
        let expires_at = Timestamp::from_instant(expires.unwrap_or(jiff::Timestamp::MAX));
        let name = |before: Option<Preview>| {
            let living = before.as_ref().filter(|before| before.is_living(now.instant()));
            Some(Preview {
                number,
                commit_hash: commit_hash.clone(),
                release,
                base: live.release,
                base_commit: live.commit_hash.clone(),
                title: title.clone(),
                author: author.clone(),
                url: url.clone(),
                opened_at: living.map_or_else(|| now.clone(), |before| before.opened_at.clone()),
                updated_at: now.clone(),
                expires_at: expires_at.clone(),
                ended_at: None,
                changes: changes.first(LISTED_CHANGES),
                quarantined: quarantined.len(),
                comment: before.and_then(|before| before.comment),
            })
        };
        self.change_preview(number, name).await?.ok_or(PublishError::Races)
    }

    /// Replaces the object of a preview by what follows from it, and returns that; `None` when nothing follows.
    async fn change_preview(
        &self,
        number: u64,
        change: impl Fn(Option<Preview>) -> Option<Preview>,
    ) -> Result<Option<Preview>, PublishError> {
        for _ in 0..RACES {
            let (before, object) = Preview::read(&self.bucket, number).await?;
            let Some(after) = change(before) else { return Ok(None) };
            if self.write_preview(&after, object.as_ref()).await? {
                return Ok(Some(after));
            }
        }
        Err(PublishError::Races)
    }

    /// Writes an object over a state of it; returns `false` when it is in another state.
    async fn write_preview(&self, preview: &Preview, before: Option<&Object>) -> Result<bool, PublishError> {
        let (key, bytes) = (preview_key(preview.number), bytes::Bytes::from(preview.to_bytes()));
        if let Written::Done(_) = self.bucket.put_if(&key, bytes.clone(), Expect::unchanged(before)).await? {
            return Ok(true);
        }
        // A write whose answer got lost is tried again by the client, and then finds itself.
        let (_, stored) = Preview::read(&self.bucket, preview.number).await?;
        Ok(stored.is_some_and(|stored| stored.bytes == bytes))
    }

    /// Ends the oldest previews beside this one until there are as many as there may be.
    async fn displace_previews(&self, newest: u64) -> Result<Vec<u64>, PublishError> {
        let now = (self.clock)().instant();
        let mut living = self.previews().await?;
        living.retain(|preview| preview.is_living(now) && preview.number != newest);
        living.sort_by_key(|preview| (preview.updated_at.instant(), preview.number));
        let surplus = living.len().saturating_sub(LIVING_PREVIEWS.saturating_sub(1));
        let mut displaced = Vec::new();
        for preview in living.into_iter().take(surplus) {
            tracing::info!(number = preview.number, "a newer preview takes the place of the oldest");
            self.end_preview(preview.number).await?;
            displaced.push(preview.number);
        }
        Ok(displaced)
    }

    /// Ends the previews whose time is over, and removes the objects of those that ended an hour ago. Returns the number of removed
    /// objects.
    pub(super) async fn prune_previews(&self) -> Result<usize, PublishError> {
        let now = (self.clock)().instant();
        let mut removed: usize = 0;
        for (key, stat) in self.bucket.list(PREVIEWS).await? {
            let Some(number) = Preview::number_of(&key) else { continue };
            let is_old = age(stat, now) >= KEPT_SECONDS;
            match Preview::read(&self.bucket, number).await? {
                (Some(preview), _) if preview.is_living(now) => {}
                (Some(preview), _) if preview.ended_at.is_none() => drop(self.end_preview(number).await?),
                // A damaged one names nothing.
                // It may have been opened again meanwhile.
                (_, Some(_)) if is_old && self.bucket.stat(&key).await? == Some(stat) => {
                    self.bucket.delete(&key).await?;
                    removed = removed.saturating_add(1);
                }
                _ => {}
            }
        }
        Ok(removed)
    }

    /// The releases that previews name. Those that ended within the hour may still be answered from.
    pub(super) async fn previewed_releases(&self) -> Result<Vec<Digest>, PublishError> {
        Ok(self.previews().await?.into_iter().map(|preview| preview.release).collect())
    }
}
