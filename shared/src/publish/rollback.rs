//! Rollback to an earlier release, and its end.

use super::error::{PublishError, RACES};
use super::live::Live;
use super::progress::Publication;
use super::publisher::Publisher;
use super::report::{Report, Timings};
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
            // The log names the restored objects.
            let live = self.live_or_restored(&mut Vec::new()).await?;
            if let Some(live) = live.as_ref().filter(|live| live.index.commit_hash == *commit) {
                match self.pin(live, Pin::Pinned).await? {
                    Some(report) => return Ok(report),
                    None => continue,
                }
            }
            let Some((index, loaded)) = self.recorded(commit.as_str()).await? else {
                return Err(no_such_release(commit, live.as_ref().map(|live| &live.index)));
            };
            let previous = match &live {
                Some(live) => self.release(&live.index).await?,
                None => None,
            };
            // All at once rather than one by one as they are uploaded: many of them may be in one archive.
            let pruned = self.missing_blobs(&loaded.release).await?;
            self.restore_blobs(&loaded.release, &pruned).await?;
            let built = loaded.as_built(index.release);
            let mut report = Report::new(live.as_ref(), &built, previous.as_ref());
            report.pinned = true;
            if self
                .make_live(&built, live.as_ref(), previous.as_ref(), Pin::Pinned, &Publication::default(), &mut report)
                .await?
            {
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
        for _ in 0..RACES {
            let live = self.live_or_restored(&mut Vec::new()).await?.ok_or(PublishError::NothingLive)?;
            if let Some(report) = self.pin(&live, Pin::Following).await? {
                return Ok(report);
            }
        }
        Err(PublishError::Races)
    }

    /// Sets whether the live release is pinned; returns `None` when another one went live meanwhile.
    async fn pin(&self, live: &Live, pinned: Pin) -> Result<Option<Report>, PublishError> {
        if live.index.pinned == pinned {
            return Ok(Some(Report::nothing_new(&live.index, None, Timings::default())));
        }
        let loaded = self.release(&live.index).await?.ok_or_else(|| PublishError::live_release_missing(&live.index))?;
        self.make_live_again(live, &loaded, pinned).await
    }
}

fn no_such_release(commit: &CommitSha, live: Option<&LiveIndex>) -> PublishError {
    let known: Vec<&str> =
        live.iter().flat_map(|live| &live.recent).skip(1).take(5).map(|recent| recent.commit_hash.as_str()).collect();
    let advice = match known.as_slice() {
        [] => "no other release was live lately".to_owned(),
        known => format!("these were live lately: {}", known.join(", ")),
    };
    PublishError::NoSuchRelease { name: commit.to_string(), advice }
}
