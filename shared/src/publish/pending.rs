//! When pending subjects of the live release are tried again (invariant 12).
//!
//! The release has the subjects, since they follow from its commit and the state of other hosts;
//! the bucket has the times of the next attempts in an object of its own, which is advice: without
//! it everything is tried at once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::PublishError;
use super::live::StoredOutline;
use super::publisher::Publisher;
use crate::cache::{Bucket, Expect, PENDING_KEY};
use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::Registry;
use crate::release::{Built, LiveIndex, PendingReason, Plan};
use crate::source::Source;
use crate::timestamp::Timestamp;

/// The pause after the first attempt in seconds; each further one is twice as long, up to [`LONGEST_SECONDS`].
const FIRST_SECONDS: i64 = 60;
const LONGEST_SECONDS: i64 = 3600;

/// The pause between two polls of a branch of another repository in seconds: a little less than the
/// usual pause of the schedule.
const BRANCH_SECONDS: i64 = 240;

/// The object: the pending subjects of a release with their next attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Attempts {
    /// Name of the release.
    release: Option<Digest>,
    subjects: BTreeMap<String, RetryRecord>,
}

/// The attempts at a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RetryRecord {
    reasons: BTreeSet<PendingReason>,
    /// The number of attempts for these reasons.
    attempts: u32,
    /// The time of the next one.
    next: Timestamp,
}

/// The pending subjects of the live release whose time has come.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) subjects: BTreeSet<String>,
    /// The attempts so far.
    before: Attempts,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Returns the pending subjects of the live release whose time has come. `stored` is its outline, if it was read.
    pub(super) async fn due(&self, index: &LiveIndex, stored: Option<&StoredOutline>) -> Result<Due, PublishError> {
        if index.pending == 0 {
            return Ok(Due::default());
        }
        let object = self.bucket.get(PENDING_KEY, limits::PENDING_BYTES).await?;
        let before = object.and_then(|object| serde_json::from_slice(&object.bytes).ok());
        let before: Attempts = before.unwrap_or_default();
        let now = (self.clock)().instant();
        let is_due = |attempt: &RetryRecord| attempt.next.instant() <= now;
        if before.release == Some(index.release) && !before.subjects.values().any(is_due) {
            return Ok(Due { subjects: BTreeSet::new(), before });
        }
        let read;
        let outline = match stored {
            Some(stored) => Some(&stored.outline),
            None => {
                read = self.outline(index).await?;
                read.as_ref().map(|stored| &stored.outline)
            }
        };
        let subjects = outline.into_iter().flat_map(|outline| outline.pending.iter()).map(|(subject, _)| subject);
        let subjects = subjects.filter(|subject| before.subjects.get(*subject).is_none_or(is_due));
        Ok(Due { subjects: subjects.map(str::to_owned).collect(), before })
    }

    /// Records the attempts of a refresh that made, or made again, a release by a plan. Failing at
    /// this is logged, and nothing else.
    pub(super) async fn store_retries(&self, built: &Built, plan: &Plan, Due { before, .. }: &Due) {
        let pending = &built.release.outline.pending;
        if pending.is_empty() && before.subjects.is_empty() {
            return;
        }
        let now = (self.clock)();
        let attempt = |(subject, reasons): (&str, &BTreeSet<PendingReason>)| {
            let known = before.subjects.get(subject).filter(|known| known.reasons == *reasons);
            let next = match known {
                Some(known) if !plan.tries(subject) => known.clone(),
                known => RetryRecord::after(&now, reasons, known.map_or(0, |known| known.attempts).saturating_add(1)),
            };
            (subject.to_owned(), next)
        };
        let attempts = Attempts { release: Some(built.name), subjects: pending.iter().map(attempt).collect() };
        if attempts == *before {
            return;
        }
        let bytes = to_compact_json(&attempts);
        if bytes.len() as u64 > limits::PENDING_BYTES {
            tracing::warn!(bytes = bytes.len(), "the times of pending subjects are too many to be stored");
            return;
        }
        if let Err(error) = self.bucket.put_if(PENDING_KEY, bytes.into(), Expect::Anything).await {
            tracing::warn!(%error, "the times of pending subjects are not stored; all are tried again by the next refresh");
        }
    }
}

impl RetryRecord {
    fn after(now: &Timestamp, reasons: &BTreeSet<PendingReason>, attempts: u32) -> Self {
        let is_branch = reasons.iter().all(|reason| *reason == PendingReason::Branch);
        let doubled = FIRST_SECONDS.saturating_mul(2_i64.saturating_pow(attempts.saturating_sub(1)));
        let longest = if reasons.contains(&PendingReason::Branch) { BRANCH_SECONDS } else { LONGEST_SECONDS };
        let pause = if is_branch { BRANCH_SECONDS } else { doubled.min(longest) };
        let next = jiff::Timestamp::from_second(now.instant().as_second().saturating_add(pause));
        Self { reasons: reasons.clone(), attempts, next: next.map_or_else(|_| now.clone(), Timestamp::from_instant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour_and_branches_are_read_at_the_pace_of_the_schedule() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let seconds = |reasons: &[PendingReason], attempts: u32| {
            let next = RetryRecord::after(&now, &reasons.iter().copied().collect(), attempts).next;
            next.instant().as_second() - now.instant().as_second()
        };
        use PendingReason::{Branch, Undated, Unreachable};
        for (reasons, attempts, expected) in [
            (&[Unreachable][..], 1, 60),
            (&[Unreachable], 2, 120),
            (&[Undated], 4, 480),
            (&[Undated, Unreachable], 9, 3600),
            (&[Unreachable], u32::MAX, 3600),
            (&[Branch], 1, 240),
            (&[Branch], 50, 240),
            (&[Branch, Unreachable], 1, 60),
            (&[Branch, Unreachable], 9, 240),
        ] {
            assert_eq!(seconds(reasons, attempts), expected, "{reasons:?} {attempts}");
        }
    }
}
