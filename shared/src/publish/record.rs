//! What became of the last refresh, left in the bucket for `/status`. Nothing depends on it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Outcome, PublishError, Publisher, Report};
use crate::cache::{Bucket, Expect, LAST_REFRESH_KEY};
use crate::digest::CommitSha;
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::Registry;
use crate::repository::Quarantined;
use crate::source::Source;
use crate::timestamp::Timestamp;

/// How the last refresh that did or tried something ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRefresh {
    /// When it ended.
    pub at: Timestamp,
    /// How; none when it failed.
    pub outcome: Option<Outcome>,
    /// The commit that it was about, as far as that was known.
    pub commit_hash: Option<CommitSha>,
    /// Why it failed, in words that everybody may read; the log has the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it did not publish, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// What it mended in the stores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repaired: Vec<String>,
    /// Since when no refresh has made the head live; none when the last one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_since: Option<Timestamp>,
}

impl LastRefresh {
    /// Reads the word that the last refresh left; none when there is none, or it cannot be read.
    pub async fn read(bucket: &impl Bucket) -> Option<Self> {
        let object = bucket.get(LAST_REFRESH_KEY, limits::LAST_REFRESH_BYTES).await.ok()??;
        serde_json::from_slice(&object.bytes).ok()
    }
}

impl PublishError {
    /// The reason in words that everybody may read: no hosts, no names of buckets.
    pub fn public(&self) -> &'static str {
        match self {
            Self::Source(_) => "the registry repository could not be read",
            Self::Registry(_) | Self::DamagedArtifact { .. } | Self::StuckBlob(_) => {
                "the OCI registry did not do what was asked"
            }
            Self::Cache(_) => "the cache bucket did not do what was asked",
            Self::DamagedIndex(_) | Self::ForeignRelease(..) => "what is live cannot be read",
            Self::Unreadable(_) => "the release is too large",
            Self::MissingBlob(_) => "content of the release is gone",
            Self::Temporary(_) => "the temporary folder failed",
            Self::NoSuchRelease { .. } => "there is no such release",
            Self::NothingLive => "nothing is live yet",
            Self::Races => "other refreshes were faster",
        }
    }
}

/// As many lines as are read back. A lost store has one for each of its blobs.
fn listed(repaired: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = repaired.iter().take(limits::REPORTED_PROBLEMS).cloned().collect();
    if let Some(more) = repaired.len().checked_sub(limits::REPORTED_PROBLEMS).filter(|more| *more > 0) {
        lines.push(format!("and {more} more, which the log names"));
    }
    lines
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Leaves word of a refresh, unless it found nothing to do, and gives the time for which none has made the head live.
    /// Failing at this is logged, and nothing else.
    pub async fn record(&self, told: Option<&CommitSha>, result: Result<&Report, &PublishError>) -> Duration {
        let at = (self.clock)();
        let was_behind = LastRefresh::read(&self.bucket).await.and_then(|last| last.behind_since);
        let is_behind = result.is_err() || result.is_ok_and(|report| report.outcome == Outcome::Rejected);
        let behind_since = is_behind.then(|| was_behind.clone().unwrap_or_else(|| at.clone()));
        let lag = behind_since.as_ref().map(|since| since.instant().duration_until(at.instant()));
        let lag = lag.and_then(|lag| lag.try_into().ok()).unwrap_or_default();
        let last = match result {
            Ok(report) => {
                let idle = matches!(report.outcome, Outcome::Unchanged | Outcome::Superseded);
                if idle && report.repaired.is_empty() && was_behind.is_none() {
                    return lag;
                }
                LastRefresh {
                    at,
                    outcome: Some(report.outcome),
                    commit_hash: Some(report.commit_hash.clone()),
                    failure: None,
                    quarantined: report.quarantined.clone(),
                    repaired: listed(&report.repaired),
                    behind_since,
                }
            }
            Err(error) => LastRefresh {
                at,
                outcome: None,
                commit_hash: told.cloned(),
                failure: Some(error.public().to_owned()),
                quarantined: Vec::new(),
                repaired: Vec::new(),
                behind_since,
            },
        };
        let written = self.bucket.put_if(LAST_REFRESH_KEY, to_compact_json(&last).into(), Expect::Anything).await;
        if let Err(error) = written {
            tracing::warn!(%error, "the last refresh is not shown at /status");
        }
        lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repaired_lines_are_counted_beyond_the_limit() {
        let lines = |count: usize| listed(&vec!["bucket: x".to_owned(); count]);
        assert_eq!(lines(0), [""; 0]);
        assert_eq!(lines(limits::REPORTED_PROBLEMS).last().unwrap(), "bucket: x");
        assert_eq!(lines(limits::REPORTED_PROBLEMS + 3).len(), limits::REPORTED_PROBLEMS + 1);
        assert_eq!(lines(limits::REPORTED_PROBLEMS + 3).last().unwrap(), "and 3 more, which the log names");
    }
}
