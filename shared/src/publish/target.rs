//! Which commit should be live (invariant 4).
//!
//! It is always the head of the branch. GitHub answers from several servers, and one may lag behind the others for a moment;
//! whatever looks like a step back is therefore looked at twice.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, ready, select};

use super::live::Live;
use super::{PublishError, Publisher, Relation, scope};
use crate::cache::{Bucket, INDEX_KEY};
use crate::digest::CommitSha;
use crate::limits;
use crate::registry::Registry;
use crate::release::Pin;
use crate::source::Source;

/// How long a server of GitHub may lag behind another.
const LAG: Duration = Duration::from_secs(1);

/// What a refresh starts from.
pub(super) enum Look {
    /// Somebody chose the live release; the branch does not matter.
    Pinned(Live),
    /// The head of the branch should be live.
    At {
        /// What is live instead, or already.
        live: Option<Live>,
        /// The head.
        head: CommitSha,
    },
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Looks at what is live, and then at the head of the branch: whoever made live what is live read a head that is not newer.
    ///
    /// When the caller was told of a commit that nobody has seen and the head is not yet new, looks at it again.
    /// Adds restored objects to `repaired`.
    pub(super) async fn look(
        &self,
        told: Option<&CommitSha>,
        repaired: &mut Vec<String>,
    ) -> Result<Look, PublishError> {
        let opened = self.bucket.open(INDEX_KEY, limits::RELEASE_BYTES).await?;
        let live = async {
            let found = match opened {
                Some(opened) => Some(opened.await?),
                None => None,
            };
            self.read_or_restore(found, repaired).await
        };
        let (live, head) = (pin!(live), pin!(self.source.head()));
        // What is live may have megabytes, and the head does not need them.
        let (live, head) = match select(live, head).await {
            Either::Left((live, head)) => (live?, head.left_future()),
            Either::Right((head, live)) => (live.await?, ready(head).right_future()),
        };
        let live = match live {
            Some(live) if live.index.pinned == Pin::Pinned => return Ok(Look::Pinned(live)),
            live => live,
        };
        let mut head = head.await?;
        let nothing_new = live.as_ref().is_some_and(|live| live.index.commit_hash == head);
        let heard_of_more = told.is_some_and(|told| live.as_ref().is_some_and(|live| !live.index.knows(told)));
        if nothing_new && heard_of_more {
            tokio::time::sleep(LAG).await;
            head = self.source.head().await?;
        }
        Ok(Look::At { live, head })
    }

    /// What changed between the live release and the head; none when the head turned out to be an old one.
    ///
    /// A branch that was set back or rewritten is followed: its head is what its owners want.
    pub(super) async fn changed(
        &self,
        live: Option<&Live>,
        head: &CommitSha,
    ) -> Result<Option<scope::Changed>, PublishError> {
        let Some(live) = live else { return Ok(Some(None)) };
        let comparison = self.source.compare(&live.index.commit_hash, head).await?;
        if comparison.relation == Relation::Behind {
            tokio::time::sleep(LAG).await;
            if self.source.head().await? != *head {
                return Ok(None);
            }
        }
        if matches!(comparison.relation, Relation::Behind | Relation::Diverged) {
            tracing::info!(live = %live.index.commit_hash, head = %head, "the branch was rewritten; following its head");
        }
        Ok(Some(comparison.changed))
    }
}
