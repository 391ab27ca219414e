//! Previews: the release of a proposal's head, built upon the live one. Its parts go to the bucket, and the conditional write of
//! `previews/<number>.json` names it. The OCI registry and `index.json` stay as they are.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::build::{Before, Emptiness, Made};
use super::commit::check_limits;
use super::each::each;
use super::error::{PublishError, RACES};
use super::publisher::Publisher;
use super::report::Timings;
use super::retention::age;
use super::target::{FIRST_PAUSE, LONGEST_PAUSE, POLL};
use crate::cache::{Bucket, Expect, Object, PREVIEWS, Written, preview_key};
use crate::diff::{Diff, Side};
use crate::digest::Digest;
use crate::limits::{KEPT_SECONDS, LISTED_CHANGES, LIVING_PREVIEWS, PREVIEW_SECONDS, WITHDRAWN_SECONDS};
use crate::preview::{Preview, Proposed};
use crate::registry::Registry;
use crate::release::{Changes, LiveIndex};
use crate::repository::Quarantined;
use crate::source::Source;
use crate::timestamp::Timestamp;
use crate::upstream::offline::Known;

/// The object of a preview: its content, unless it is damaged, and its state.
type Stored = (Option<Preview>, Option<Object>);

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
    /// The proposal has another head by now, or was closed since.
    Superseded,
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
    /// Builds the preview of a proposal upon the live release, unless the proposal changed since.
    ///
    /// # Errors
    /// [`PublishError`] when nothing is live, or a server fails; the preview stays as it was.
    pub async fn preview(&self, proposed: &Proposed) -> Result<PreviewReport, PublishError> {
        let superseded = || Ok(PreviewReport::of(PreviewOutcome::Superseded, proposed.number, None));
        let Some(stored) = self.unless_late(proposed).await? else { return superseded() };
        let live = self.live().await?.ok_or(PublishError::NothingLive)?;
        let outline = self.outline(&live.index).await?;
        let before = outline.map(|stored| Before { live: &live, stored, known: Known::Reused });
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
        let release = (built.name, &live.index);
        let named = self.name_preview(proposed, stored, release, &changes, &built.release.outline.quarantined);
        let Some(preview) = named.await? else { return superseded() };
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
    /// With the time at which the proposal was closed or lost its label, events of earlier changes are late from now on, also when
    /// there is no preview yet.
    ///
    /// # Errors
    /// [`PublishError`] when the bucket fails.
    pub async fn end_preview(
        &self,
        number: u64,
        withdrawn_at: Option<&Timestamp>,
    ) -> Result<PreviewReport, PublishError> {
        let now = (self.clock)();
        let mark = match (Preview::read(&self.bucket, number).await?.0, withdrawn_at) {
            (None, Some(_)) => self.live().await?.map(|live| Preview::mark(number, &live.index, &now)),
            _ => None,
        };
        let end = |preview: Option<Preview>| {
            let preview = preview.or_else(|| mark.clone())?;
            let is_news = match withdrawn_at {
                Some(_) => !preview.is_withdrawn_since(withdrawn_at),
                None => preview.ended_at.is_none(),
            };
            let withdrawn_at = withdrawn_at.or(preview.withdrawn_at.as_ref()).cloned();
            let ended_at = preview.ended_at.clone().or_else(|| Some(now.clone()));
            is_news.then_some(Preview { ended_at, withdrawn_at, ..preview })
        };
        let written = self.change_preview(number, end).await?;
        let ended = written.clone().filter(|ended| mark.is_none() && ended.ended_at.as_ref() == Some(&now));
        let outcome = if ended.is_some() { PreviewOutcome::Ended } else { PreviewOutcome::Missing };
        Ok(PreviewReport { writes: u64::from(written.is_some()), ..PreviewReport::of(outcome, number, ended) })
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

    /// Returns the object of a proposal's preview; `None` when the proposal changed since: it was closed, or has another head.
    ///
    /// The object is read before the head. So a preview of a later head replaces the object after that, and a conditional write
    /// over this state of it fails.
    async fn unless_late(&self, proposed: &Proposed) -> Result<Option<Stored>, PublishError> {
        let stored = Preview::read(&self.bucket, proposed.number).await?;
        let is_withdrawn = |preview: &Preview| preview.is_withdrawn_since(proposed.changed_at.as_ref());
        let is_late = stored.0.as_ref().is_some_and(is_withdrawn) || !self.is_head(proposed).await?;
        Ok((!is_late).then_some(stored))
    }

    /// Whether a proposal still has its head. Hosts show a push late, so they are asked again.
    async fn is_head(&self, proposed: &Proposed) -> Result<bool, PublishError> {
        let Some(reference) = &proposed.reference else { return Ok(true) };
        let (end, mut pause) = (Instant::now() + POLL, FIRST_PAUSE);
        loop {
            let head = self.source.reference(reference).await?;
            if head.as_ref() == Some(&proposed.commit_hash) {
                return Ok(true);
            }
            let is_newer = match &head {
                Some(head) => matches!(self.source.descends(head, &proposed.commit_hash).await, Ok(true)),
                None => false,
            };
            if is_newer || Instant::now() + pause > end {
                return Ok(false);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Writes the object that names the release of a preview over a state of it; returns `None` when the proposal changed since.
    async fn name_preview(
        &self,
        proposed: &Proposed,
        mut stored: Stored,
        (release, live): (Digest, &LiveIndex),
        changes: &Changes,
        quarantined: &[Quarantined],
    ) -> Result<Option<Preview>, PublishError> {
        let now = (self.clock)();
        let expires = now.instant().checked_add(jiff::SignedDuration::from_secs(PREVIEW_SECONDS));
        let expires_at = Timestamp::from_instant(expires.unwrap_or(jiff::Timestamp::MAX));
        for _ in 0..RACES {
            let Proposed { number, commit_hash, title, author, url, .. } = proposed.bounded();
            let (before, object) = stored;
            let living = before.as_ref().filter(|before| before.is_living(now.instant()));
            let preview = Preview {
                number,
                commit_hash,
                release,
                base: live.release,
                base_commit: live.commit_hash.clone(),
                title,
                author,
                url,
                opened_at: living.map_or_else(|| now.clone(), |before| before.opened_at.clone()),
                updated_at: now.clone(),
                expires_at: expires_at.clone(),
                ended_at: None,
                changes: changes.first(LISTED_CHANGES),
                quarantined: quarantined.len(),
                comment: before.as_ref().and_then(|before| before.comment),
                withdrawn_at: before.and_then(|before| before.withdrawn_at),
            };
            if self.write_preview(&preview, object.as_ref()).await? {
                return Ok(Some(preview));
            }
            let Some(changed) = self.unless_late(proposed).await? else { return Ok(None) };
            stored = changed;
        }
        Err(PublishError::Races)
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
            self.end_preview(preview.number, None).await?;
            displaced.push(preview.number);
        }
        Ok(displaced)
    }

    /// Ends the previews whose time is over, and removes the objects of those that ended an hour ago, marks of closed proposals a day
    /// ago. Returns the number of removed objects.
    pub(super) async fn prune_previews(&self) -> Result<usize, PublishError> {
        let now = (self.clock)().instant();
        let mut removed: usize = 0;
        for (key, stat) in self.bucket.list(PREVIEWS).await? {
            let Some(number) = Preview::number_of(&key) else { continue };
            let stored = Preview::read(&self.bucket, number).await?;
            let is_mark = stored.0.as_ref().is_some_and(|preview| preview.withdrawn_at.is_some());
            let is_old = age(stat, now) >= if is_mark { WITHDRAWN_SECONDS } else { KEPT_SECONDS };
            match stored {
                (Some(preview), _) if preview.is_living(now) => {}
                (Some(preview), _) if preview.ended_at.is_none() => drop(self.end_preview(number, None).await?),
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
