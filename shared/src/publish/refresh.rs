//! A refresh: the head of the branch goes live.

use std::time::Instant;

use futures_util::future::try_join3;

use super::build::{Before, Emptiness, Made};
use super::error::{PublishError, RACES};
use super::invocation::Invocation;
use super::live::Live;
use super::pending::Due;
use super::progress::{Claim, Publication};
use super::publisher::Publisher;
use super::report::{Outcome, Report, Timings};
use super::target::Target;
use crate::cache::Bucket;
use crate::digest::CommitSha;
use crate::registry::Registry;
use crate::release::{LiveIndex, Pin, RULES};
use crate::source::Source;
use crate::upstream::offline::Known;

/// The cause of a refresh.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cause<'a> {
    /// The commit that the caller knows of. The head is that commit or descends from it.
    pub requested: Option<&'a CommitSha>,
    /// Whether the content of other hosts for [offline](crate::upstream::offline) stacks is fetched again.
    pub known: Known,
    /// Whether every stack may be removed.
    pub emptiness: Emptiness,
    /// The invocation, where its time is limited.
    pub invocation: Option<Invocation>,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Makes the head of the branch live, because of a commit that the caller knows of, if any.
    ///
    /// # Errors
    /// As [`Publisher::follow`].
    pub async fn refresh(&self, requested: Option<&CommitSha>) -> Result<Report, PublishError> {
        self.follow(Cause { requested, ..Cause::default() }).await
    }

    /// Makes the head of the branch live, unless it is live already or a release is pinned.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails; a second run completes the work.
    pub async fn follow(&self, cause: Cause<'_>) -> Result<Report, PublishError> {
        let (mut publication, mut repaired) = (Publication::of(cause.invocation), Vec::new());
        // The largest of the futures, on the heap: threads have 2 MiB of stack.
        let mut report = Box::pin(self.follow_head(cause, &mut publication, &mut repaired)).await?;
        if report.outcome != Outcome::Continuing {
            let head = self.end_publication(&publication, &report.commit_hash).await;
            report.newer_head = head.filter(|_| !report.pinned);
        }
        Ok(Report { repaired, ..report })
    }

    async fn follow_head(
        &self,
        cause: Cause<'_>,
        publication: &mut Publication,
        repaired: &mut Vec<String>,
    ) -> Result<Report, PublishError> {
        let requested = cause.requested;
        for _ in 0..RACES {
            let mut timings = Timings::default();
            let started = Instant::now();
            let (live, head) = match self.target(requested, repaired).await? {
                Target::Pinned(live) => return Ok(Report::pinned(&live.index, requested)),
                Target::At { live, head } => (live, head),
            };
            timings.poll = started.elapsed();
            let is_live = |live: &&Live| live.index.commit_hash == head && self.is_settled(&live.index);
            let mut due = None;
            if let Some(live) = live.as_ref().filter(|live| cause.known == Known::Reused && is_live(live)) {
                let found = self.due(&live.index, None).await?;
                if found.subjects.is_empty() {
                    return Ok(Report::nothing_new(&live.index, requested, timings));
                }
                due = Some(found);
            }
            let outline = async {
                match &live {
                    Some(live) => self.outline(&live.index).await,
                    None => Ok(None),
                }
            };
            let confirmed = self.is_confirmed(live.as_ref(), &head);
            let claim = async { Ok(self.claim_publication(publication).await) };
            let (is_confirmed, before, claim) = try_join3(confirmed, outline, claim).await?;
            timings.poll = started.elapsed();
            if !is_confirmed {
                continue;
            }
            if let Claim::Foreign(progress) = claim {
                return Ok(Report::continuing(&head, live.as_ref(), progress, None));
            }
            let before = live.as_ref().zip(before).map(|(live, stored)| Before { live, stored, known: cause.known });
            let due = match (due, &before) {
                (Some(due), _) => due,
                (None, Some(before)) => self.due(&before.live.index, Some(&before.stored)).await?,
                (None, None) => Due::default(),
            };
            let Made { built, previous, plan } =
                self.build(&head, before.as_ref(), &due.subjects, cause.emptiness, &mut timings).await?;
            if let Some(live) = live.as_ref().filter(|live| live.index.release == built.name) {
                self.store_retries(&built, &plan, &due).await;
                return Ok(Report::nothing_new(&live.index, requested, timings));
            }
            let report = Report::new(live.as_ref(), &built, previous.as_ref());
            let mut report = Report { timings_ms: timings, ..report };
            if self.rejects(&built) {
                return Ok(Report { outcome: Outcome::Rejected, ..report });
            }
            let made =
                self.make_live(&built, live.as_ref(), previous.as_ref(), Pin::Following, publication, &mut report);
            let won = match (made.await, cause.invocation.filter(|invocation| !invocation.is_last())) {
                (Err(PublishError::Unfinished(progress)), Some(invocation)) => {
                    return Ok(Report {
                        quarantined: report.quarantined,
                        timings_ms: report.timings_ms,
                        ..Report::continuing(&head, live.as_ref(), progress, Some(invocation))
                    });
                }
                (won, _) => won?,
            };
            if won {
                self.store_retries(&built, &plan, &due).await;
                return Ok(report);
            }
            tracing::info!(commit = %head, "another refresh was first; reading the head again");
        }
        Err(PublishError::Races)
    }

    /// Returns whether another refresh of the same commit would give the same release.
    ///
    /// It does when these rules or newer ones made the release, with the same settings for offline stacks.
    fn is_settled(&self, index: &LiveIndex) -> bool {
        if index.rules < RULES {
            return false;
        }
        match (&index.offline, self.fetcher.offline_settings()) {
            (Some(has), Some(wanted)) => has.settings == *wanted,
            (has, wanted) => has.is_none() && wanted.is_none(),
        }
    }
}
