//! The commit that should be live (invariant 4).
//!
//! It is always the head of the branch. Git hosts answer from several servers, and one may lag
//! behind the others for seconds: a requested commit that the head does not have yet is polled for
//! (invariant 8), and a head that does not descend from the live commit is read twice.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, ready, select};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::PublishError;
use super::live::Live;
use super::publisher::Publisher;
use crate::cache::{Bucket, INDEX_KEY};
use crate::digest::CommitSha;
use crate::limits;
use crate::registry::Registry;
use crate::release::Pin;
use crate::source::{Source, SourceError};

/// Time for which a requested commit, or the head of a proposal, is polled for.
pub(super) const POLL: Duration = Duration::from_secs(20);

/// The first pause between two polls; each further one is twice as long, up to [`LONGEST_PAUSE`].
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The pause before a head that looks like a step back is read again.
const LAG: Duration = Duration::from_secs(1);

/// The start of a refresh.
pub(super) enum Target {
    /// The live release is pinned; the branch does not matter.
    Pinned(Live),
    /// The head of the branch should be live.
    At {
        /// The release that is live instead, or already.
        live: Option<Live>,
        /// The head.
        head: CommitSha,
    },
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Reads the live release and the head of the branch. Adds restored objects to `repaired`.
    ///
    /// The live release comes first: the publisher that made it live read a head that is not newer.
    pub(super) async fn target(
        &self,
        requested: Option<&CommitSha>,
        repaired: &mut Vec<String>,
    ) -> Result<Target, PublishError> {
        let opened = self.bucket.open(INDEX_KEY, limits::RELEASE_BYTES).await?;
        let live = async {
            let found = match opened {
                Some(opened) => Some(opened.await?),
                None => None,
            };
            self.read_or_restore(found, repaired).await
        };
        let (live, head) = (pin!(live), pin!(self.source.head()));
        // `index.json` may have megabytes, and the head does not need them.
        let (live, head) = match select(live, head).await {
            Either::Left((live, head)) => (live?, head.left_future()),
            Either::Right((head, live)) => (live.await?, ready(head).right_future()),
        };
        let live = match live {
            Some(live) if live.index.pinned == Pin::Pinned => return Ok(Target::Pinned(live)),
            live => live,
        };
        let head = match requested.filter(|commit| !live.as_ref().is_some_and(|live| live.index.knows(commit))) {
            Some(requested) => self.poll(requested, head.await).await?,
            None => head.await?,
        };
        Ok(Target::At { live, head })
    }

    /// Polls the head until it is the requested commit or descends from it, with growing pauses,
    /// for [`POLL`]. The last head counts, since the requested commit may never have been on the
    /// branch, or have left it.
    async fn poll(
        &self,
        requested: &CommitSha,
        mut head: Result<CommitSha, SourceError>,
    ) -> Result<CommitSha, PublishError> {
        let (end, mut pause) = (Instant::now() + POLL, FIRST_PAUSE);
        let mut compared = None;
        loop {
            match &head {
                Ok(head) if head == requested => return Ok(head.clone()),
                Ok(head) if compared.as_ref() != Some(head) => {
                    let descends = timeout_at(end, self.source.descends(head, requested)).await;
                    if matches!(descends, Ok(Ok(true))) {
                        return Ok(head.clone());
                    }
                    compared = Some(head.clone());
                }
                // A repository that was just made is not everywhere yet. The source has tried again after other failures.
                Ok(_) | Err(SourceError::NotFound(_)) => {}
                Err(_) => return Ok(head?),
            }
            if Instant::now() + pause > end {
                return Ok(head?);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            head = self.source.head().await;
        }
    }

    /// Whether the head may be followed: it descends from the live commit, or a second read after a
    /// pause gives the same.
    ///
    /// A branch that was set back or rewritten is followed: its head is the decision of its owners.
    pub(super) async fn is_confirmed(&self, live: Option<&Live>, head: &CommitSha) -> Result<bool, PublishError> {
        let Some(live) = live else { return Ok(true) };
        if self.source.descends(head, &live.index.commit_hash).await? {
            return Ok(true);
        }
        sleep(LAG).await;
        if self.source.head().await? != *head {
            return Ok(false);
        }
        tracing::info!(live = %live.index.commit_hash, head = %head, "the branch was rewritten; following its head");
        Ok(true)
    }
}
