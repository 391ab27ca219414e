//! The release of a commit, built upon the release before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join;

use super::error::PublishError;
use super::live::{Live, Loaded, StoredOutline};
use super::publisher::{Publisher, Strictness};
use super::report::Timings;
use crate::cache::Bucket;
use crate::digest::{CommitSha, Digest};
use crate::limits;
use crate::registry::Registry;
use crate::release::{Built, Draft, Plan};
use crate::source::{Listing, Scope, Source};
use crate::upstream::offline::Known;

/// The live release, upon which another is built.
#[derive(Debug)]
pub(super) struct Before<'a> {
    pub(super) live: &'a Live,
    pub(super) stored: StoredOutline,
    /// Whether its upstream content is reused.
    pub(super) known: Known,
}

/// A release that was built, as much of the release before as it needed, and its plan.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) built: Built,
    pub(super) previous: Option<Loaded>,
    pub(super) plan: Plan,
}

/// Whether a repository without stacks is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Emptiness {
    /// It is a mistake, unless nothing was published before either.
    #[default]
    Refused,
    /// It is meant.
    Meant,
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Builds the release of a commit.
    ///
    /// It takes over everything that did not change from the release before. `due` are the pending
    /// subjects to try again.
    pub(super) async fn build(
        &self,
        commit: &CommitSha,
        before: Option<&Before<'_>>,
        due: &BTreeSet<String>,
        emptiness: Emptiness,
        timings: &mut Timings,
    ) -> Result<Made, PublishError> {
        let fetching = Instant::now();
        let listing = self.source.listing(commit).await?;
        let removes_nothing = before.is_some_and(|before| before.stored.outline.stacks.is_empty());
        if listing.stacks.is_empty() && !removes_nothing && emptiness == Emptiness::Refused {
            return Err(PublishError::NoStacks(commit.clone()));
        }
        let mut plan = self.plan(listing, before, due);
        loop {
            let files = async { Ok(self.source.files(commit, plan.scope()).await?) };
            let wanted = before.map(|before| plan.documents(&before.stored.outline)).unwrap_or_default();
            let previous = async {
                match before {
                    Some(before) => self.load_found(&before.stored, wanted.iter().copied()).await,
                    None => Ok(None),
                }
            };
            let (tree, previous) = try_join(files, previous).await?;
            timings.fetch += fetching.elapsed();
            let is_whole = |loaded: &Loaded| loaded.release.read_from().len() == wanted.len();
            if *plan.scope() != Scope::All && !previous.as_ref().is_some_and(is_whole) {
                // Without its documents, the stacks of the release before cannot be taken over.
                plan = Plan::everything(plan.listing().clone());
                continue;
            }
            let building = Instant::now();
            let release = previous.as_ref().map(|previous| previous.release.as_ref());
            let mut complete = self.fetcher.complete(tree, release).await;
            let wider = release.and_then(|release| plan.widened(&complete.tree, &complete.repository, release));
            if let Some(wider) = wider {
                plan = wider;
                continue;
            }
            let known = before.map(|before| before.known).unwrap_or_default();
            self.fetcher.take_offline(&mut complete, &plan, release, known, self).await?;
            let taken_over = before.map_or(0, |before| plan.taken_over_bytes(&before.stored.outline));
            complete.repository.quarantine_largest(limits::DEVFILES_BYTES.saturating_sub(taken_over));
            let entries = before.map(|before| &before.live.index.stacks);
            let draft = Draft::new((&complete.repository, &complete.upstream), &complete.tree, release, &plan);
            let undated = draft.undated();
            let history = match undated.as_slice() {
                [] => BTreeMap::new(),
                undated => self.source.last_modified(commit, undated).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the history of the repository cannot be read");
                    BTreeMap::new()
                }),
            };
            let built = draft.finish(commit.clone(), self.source.url(), &history, entries);
            timings.build += building.elapsed();
            return Ok(Made { built, previous, plan });
        }
    }

    /// Returns all content that follows from the repository at a commit.
    pub(super) async fn contents_of(&self, commit: &CommitSha) -> Result<BTreeMap<Digest, Bytes>, PublishError> {
        let mut timings = Timings::default();
        let made = self.build(commit, None, &BTreeSet::new(), Emptiness::Meant, &mut timings).await?;
        Ok(made.built.contents)
    }

    /// Returns whether strictness forbids to publish a release, because a part of it is quarantined.
    pub(super) fn rejects(&self, built: &Built) -> bool {
        self.strictness == Strictness::Strict && !built.release.outline.quarantined.is_empty()
    }

    /// Plans a release upon the release before, if that was made in the same way and its index is whole.
    fn plan(&self, listing: Listing, before: Option<&Before<'_>>, due: &BTreeSet<String>) -> Plan {
        let Some(before) = before.filter(|before| before.known == Known::Reused) else {
            return Plan::everything(listing);
        };
        let outline = &before.stored.outline;
        if outline.offline.as_ref().map(|offline| &offline.settings) != self.fetcher.offline_settings() {
            return Plan::everything(listing);
        }
        if before.live.index.stacks.digest() != outline.entries {
            tracing::warn!("the entries of index.json are not those of the live release; all are made anew");
            return Plan::everything(listing);
        }
        Plan::upon(outline, listing, due)
    }
}
