//! Reconciliation: compares the live release with both stores and repairs the differences (invariant 8).

use std::collections::BTreeSet;

use super::artifact_blobs::{NamedBlob, blobs_of, blobs_of_index};
use super::build::{Before, Emptiness};
use super::compare_scope::CompareScope;
use super::error::PublishError;
use super::live::{Live, Loaded};
use super::progress::{Publication, run_until};
use super::publisher::Publisher;
use super::refresh::Cause;
use super::report::{Outcome, Report, Timings};
use crate::cache::{Bucket, INDEX_KEY};
use crate::digest::CommitSha;
use crate::limits::{COMPARED_BLOBS, COMPARED_VERSIONS};
use crate::registry::Registry;
use crate::release::Pin;
use crate::source::{Source, SourceError};
use crate::upstream::offline::Known;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Makes the head of the branch live, then compares the live release with both stores, repairs the differences, and prunes.
    /// Without a repository the stores are all there is. Trouble with one does not keep the other from being repaired.
    ///
    /// # Errors
    /// As [`Publisher::follow`] and [`Publisher::repair`]; [`PublishError::ComparisonStopped`] when the comparison takes longer than
    /// an invocation. After a publication, which leaves less time, the report says so instead.
    pub async fn reconcile(&self, scope: CompareScope, cause: Cause<'_>) -> Result<Report, PublishError> {
        let followed = match Box::pin(self.follow(cause)).await {
            Err(PublishError::Source(SourceError::Off)) => Ok(None),
            // Until that is live, the stores have more than the live release.
            Ok(report) if report.outcome == Outcome::Continuing => return Ok(report),
            followed => followed.map(Some),
        };
        let compare = Box::pin(async {
            let repaired = self.repair(scope).await?;
            Ok::<_, PublishError>(Report { pruned: self.prune().await?, ..repaired })
        });
        let until = cause.invocation.map(|invocation| invocation.until);
        let compared = match run_until(until, compare).await {
            Some(compared) => compared?,
            None => {
                let report = followed?.filter(|report| report.outcome == Outcome::Published);
                tracing::warn!("cannot compare the stores in time; the schedule compares a slice each time");
                return report
                    .map(|report| Report { uncompared: true, ..report })
                    .ok_or(PublishError::ComparisonStopped);
            }
        };
        Ok(match followed? {
            None => compared,
            Some(mut report) => {
                report.repaired.extend(compared.repaired);
                Report { pruned: compared.pruned, ..report }
            }
        })
    }

    /// Compares the live release with the OCI registry and the bucket, repairs the differences, and reports them.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails, or content is gone from everywhere.
    pub async fn repair(&self, scope: CompareScope) -> Result<Report, PublishError> {
        let mut restored = Vec::new();
        let live = self.live_or_restored(&mut restored).await?.ok_or(PublishError::NothingLive)?;
        let mut report = self.repair_live(&live, scope).await?;
        report.repaired.splice(0..0, restored);
        Ok(report)
    }

    async fn repair_live(&self, live: &Live, scope: CompareScope) -> Result<Report, PublishError> {
        let Some(loaded) = self.release(&live.index).await? else { return self.build_again(live).await };
        if let Err(reason) = live.index.check(&loaded.release.outline) {
            tracing::warn!(%reason, "index.json is not that of its release");
            let written = self.make_live_again(live, &loaded, live.index.pinned).await?.ok_or(PublishError::Races)?;
            return Ok(Report { repaired: vec![format!("bucket: {INDEX_KEY}")], ..written });
        }
        let mut report = Report::nothing_new(&live.index, None, Timings::default());
        let wrong = self.missing_or_damaged_blobs(&loaded.release, scope).await?;
        report.repaired = self.repair_bucket(&live.index, &loaded, &wrong).await?;
        report.writes.bucket = report.repaired.len() as u64;
        let now = (self.clock)().instant();
        let versions = &loaded.release.content.versions;
        let versions: Vec<_> = scope.select(versions, COMPARED_VERSIONS, now).iter().collect();
        let mut to_registry = self.repair_registry_blobs(live, &loaded, scope, now).await?;
        let tags = self.repair_tags(live, &loaded, versions.iter().copied()).await?;
        if !tags.is_empty() {
            // Another release may have gone live since, and this repair may have moved its tags back.
            self.reconcile_tags(Some(live.object.etag.clone()), &versions).await?;
        }
        to_registry.extend(tags);
        report.writes.registry = to_registry.len() as u64;
        report.repaired.extend(to_registry);
        for repaired in &report.repaired {
            tracing::warn!(repaired, "repaired");
        }
        Ok(report)
    }

    /// Pushes blobs again that tags name, but the OCI registry lacks or has in another length.
    async fn repair_registry_blobs(
        &self,
        live: &Live,
        loaded: &Loaded,
        scope: CompareScope,
        now: jiff::Timestamp,
    ) -> Result<Vec<String>, PublishError> {
        let mut built = loaded.as_built(live.index.release);
        let mut blobs = blobs_of(&loaded.release);
        for (blob, content) in blobs_of_index(live, loaded) {
            built.contents.insert(blob.digest, content);
            blobs.push(blob);
        }
        let repaired = self.repair_blobs(&built, scope.select(&blobs, COMPARED_BLOBS, now), scope).await?;
        Ok(repaired.into_iter().map(|blob: &NamedBlob| format!("registry: {blob}")).collect())
    }

    /// Builds the live release again, because neither store has it.
    ///
    /// It is built at its commit, or at the head of the branch when that commit is gone, as after a forced push.
    async fn build_again(&self, live: &Live) -> Result<Report, PublishError> {
        let mut timings = Timings::default();
        let stored = self.outline(&live.index).await?;
        let before = stored.map(|stored| Before { live, stored, known: Known::Reused });
        let (due, before) = (BTreeSet::new(), before.as_ref());
        let build = async |commit: &CommitSha, timings: &mut Timings| {
            self.build(commit, before, &due, Emptiness::Refused, timings).await
        };
        let made = match build(&live.index.commit_hash, &mut timings).await {
            Err(PublishError::Source(SourceError::NotFound(what))) if live.index.pinned == Pin::Following => {
                tracing::warn!(what, "the commit of the live release is gone; the head is published instead");
                build(&self.source.head().await?, &mut timings).await?
            }
            made => made?,
        };
        let built = made.built;
        let mut report = Report { timings_ms: timings, ..Report::new(Some(live), &built, None) };
        if self.rejects(&built) {
            report.outcome = Outcome::Rejected;
        } else if self
            .make_live(&built, Some(live), None, live.index.pinned, &Publication::default(), &mut report)
            .await?
        {
            report.repaired = vec![format!("bucket: the release of {}", report.commit_hash)];
        } else {
            return Err(PublishError::Races);
        }
        Ok(report)
    }
}
