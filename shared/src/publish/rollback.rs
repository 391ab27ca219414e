//! Going back on purpose, and following the branch again.

use super::{Outcome, PublishError, Publisher, RACES, Report, Timings};
use crate::cache::Bucket;
use crate::digest::CommitSha;
use crate::registry::Registry;
use crate::release::{LiveIndex, Pin};
use crate::source::Source;

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Makes the release of a commit live again, as the OCI registry recorded it, and pins it.
    ///
    /// # Errors
    /// [`PublishError::NoSuchRelease`] when the commit was never live.
    pub async fn rollback(&self, commit: &CommitSha) -> Result<Report, PublishError> {
        for _ in 0..RACES {
            let live = self.live().await?;
            if let Some(live) = live.as_ref().filter(|live| live.index.commit_hash == *commit) {
                return self.pin(live.index.clone(), Pin::Pinned).await;
            }
            let Some((index, loaded)) = self.index_artifact_of(commit.as_str()).await? else {
                return Err(no_such_release(commit, live.as_ref().map(|live| &live.index)));
            };
            let previous = match &live {
                Some(live) => self.release(&live.index).await?,
                None => None,
            };
            let built = loaded.as_built(&index);
            let mut report = Report::new(live.as_ref(), &built, previous.as_ref());
            report.pinned = true;
            let mut timings = Timings::default();
            if self.make_live(&built, live.as_ref(), previous.as_ref(), Pin::Pinned, &mut report, &mut timings).await? {
                report.timings_ms = timings;
                return Ok(report);
            }
        }
        Err(PublishError::Races)
    }

    /// Lets the live release follow the branch again, beginning with the next refresh.
    ///
    /// # Errors
    /// [`PublishError`] when a server fails.
    pub async fn unpin(&self) -> Result<Report, PublishError> {
        let live = self.live().await?.ok_or(PublishError::NothingLive)?;
        self.pin(live.index, Pin::Following).await
    }

    /// Pins the live release or not.
    async fn pin(&self, mut index: LiveIndex, pinned: Pin) -> Result<Report, PublishError> {
        for _ in 0..RACES {
            let mut timings = Timings::default();
            if index.pinned == pinned {
                return Ok(Report::nothing_new(&index, None, timings));
            }
            let Some(live) = self.live().await? else { return Err(PublishError::NothingLive) };
            if live.index.release != index.release {
                index = live.index;
                continue;
            }
            let loaded = self.release(&live.index).await?.ok_or_else(|| missing(&live.index))?;
            let built = loaded.as_built(&live.index);
            let mut report = Report::new(Some(&live), &built, Some(&loaded));
            report.pinned = pinned == Pin::Pinned;
            if self.make_live(&built, Some(&live), Some(&loaded), pinned, &mut report, &mut timings).await? {
                report.outcome = Outcome::Unchanged;
                report.timings_ms = timings;
                return Ok(report);
            }
            index = self.live().await?.ok_or(PublishError::NothingLive)?.index;
        }
        Err(PublishError::Races)
    }
}

fn missing(index: &LiveIndex) -> PublishError {
    let advice = "the live release is gone from both stores; run reconcile, which builds it again".to_owned();
    PublishError::NoSuchRelease(index.commit_hash.to_string(), advice)
}

fn no_such_release(commit: &CommitSha, live: Option<&LiveIndex>) -> PublishError {
    let known: Vec<&str> =
        live.iter().flat_map(|live| &live.recent).skip(1).take(5).map(|recent| recent.commit_hash.as_str()).collect();
    let advice = match known.as_slice() {
        [] => "no other release was live lately".to_owned(),
        known => format!("these were live lately: {}", known.join(", ")),
    };
    PublishError::NoSuchRelease(commit.to_string(), advice)
}
