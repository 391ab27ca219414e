//! Which commit should be live (invariant 4).
//!
//! It is always the head of the branch. GitHub answers from several servers, and one may lag behind the others for a moment;
//! whatever looks like a step back is therefore looked at twice.

use std::time::Duration;

use super::live::Live;
use super::{PublishError, Publisher, Relation, scope};
use crate::cache::Bucket;
use crate::digest::CommitSha;
use crate::registry::Registry;
use crate::source::Source;

/// How long a server of GitHub may lag behind another.
const LAG: Duration = Duration::from_secs(1);

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// The head of the branch. When the caller was told of a commit that nobody has seen and the head is not yet new, looks again.
    pub(super) async fn head(&self, live: Option<&Live>, told: Option<&CommitSha>) -> Result<CommitSha, PublishError> {
        let head = self.source.head().await?;
        let nothing_new = live.is_some_and(|live| live.index.commit_hash == head);
        let heard_of_more = told.is_some_and(|told| live.is_some_and(|live| !live.index.knows(told)));
        if nothing_new && heard_of_more {
            tokio::time::sleep(LAG).await;
            return Ok(self.source.head().await?);
        }
        Ok(head)
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
