//! The outcome of the last refresh, stored in the bucket for `/status`. Nothing depends on it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::PublishError;
use super::invocation::PublicationProgress;
use super::publisher::Publisher;
use super::report::{Outcome, Report};
use crate::cache::{Bucket, Expect, LAST_REFRESH_KEY};
use crate::diagnostic::Diagnostic;
use crate::digest::CommitSha;
use crate::index::to_compact_json;
use crate::limits;
use crate::registry::Registry;
use crate::repository::Quarantined;
use crate::source::Source;
use crate::timestamp::Timestamp;

/// The outcome of the last refresh that did or tried something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRefresh {
    /// When it ended.
    pub at: Timestamp,
    /// The outcome; none when it failed.
    pub outcome: Option<Outcome>,
    /// The commit that it was about, as far as that was known.
    pub commit_hash: Option<CommitSha>,
    /// Why it failed; the log has the chain of causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<PublicReason>,
    /// Its progress, while its publication continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<PublicationProgress>,
    /// The quarantined units, with their reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<Quarantined>,
    /// Objects that it repaired in the stores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repaired: Vec<String>,
    /// Since when no refresh has made the head live; none when the last one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_since: Option<Timestamp>,
}

/// Why a refresh failed, in words that everybody may read: no hosts, no names of buckets, no errors of other servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicReason {
    /// The registry repository.
    #[serde(rename = "the registry repository could not be read")]
    Source,
    /// The OCI registry.
    #[serde(rename = "the OCI registry failed")]
    Registry,
    /// The cache bucket.
    #[serde(rename = "the cache bucket failed")]
    Bucket,
    /// `index.json` or the release that it names.
    #[serde(rename = "the live release cannot be read")]
    Live,
    /// A release beyond the limits of its readers.
    #[serde(rename = "the release is too large")]
    TooLarge,
    /// A repository without stacks.
    #[serde(rename = "the registry repository has no stacks")]
    NoStacks,
    /// Content that neither store has.
    #[serde(rename = "content of the release is missing")]
    Content,
    /// The temporary folder.
    #[serde(rename = "the temporary folder failed")]
    Temporary,
    /// No release to go back to.
    #[serde(rename = "there is no such release")]
    NoSuchRelease,
    /// No release at all.
    #[serde(rename = "nothing is live yet")]
    NothingLive,
    /// A publication that needs still more invocations.
    #[serde(rename = "the publication is not finished yet")]
    Unfinished,
    /// A comparison that takes longer than an invocation.
    #[serde(rename = "the comparison with the stores takes too long")]
    Comparison,
    /// Other refreshes.
    #[serde(rename = "other refreshes were faster")]
    Races,
    /// Any other text, stored by other software or by hand.
    #[serde(other, rename = "the refresh failed")]
    Other,
}

impl fmt::Display for PublicReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl LastRefresh {
    /// Returns the bytes to store, at most as many as are read back. When all quarantined parts do
    /// not fit, the last listed one says how many more there are.
    fn into_bytes(mut self) -> Vec<u8> {
        let all = self.quarantined.len();
        loop {
            let bytes = to_compact_json(&self);
            let is_cut = self.quarantined.is_empty() && self.repaired.is_empty();
            if is_cut || bytes.len() as u64 <= limits::LAST_REFRESH_BYTES {
                return bytes;
            }
            if self.quarantined.is_empty() {
                self.repaired.truncate(self.repaired.len() / 2);
                continue;
            }
            self.quarantined.truncate(self.quarantined.len() / 2);
            let more = all - self.quarantined.len();
            if let Some(last) = self.quarantined.last_mut() {
                let path = last.problems.first().map(|problem| problem.path.clone()).unwrap_or_default();
                let message = format!("and {more} more, which the report of the refresh names");
                last.problems.push(Diagnostic::error(path, "status/limit", message, ""));
            }
        }
    }

    /// Reads the stored outcome; returns `None` when it is missing or cannot be read.
    pub async fn read(bucket: &impl Bucket) -> Option<Self> {
        let object = bucket.get(LAST_REFRESH_KEY, limits::LAST_REFRESH_BYTES).await.ok()??;
        serde_json::from_slice(&object.bytes).ok()
    }
}

impl PublishError {
    /// Returns the reason that everybody may read.
    pub fn public(&self) -> PublicReason {
        match self {
            Self::Source(_) => PublicReason::Source,
            Self::Registry(_) | Self::DamagedArtifact { .. } | Self::StuckBlob(_) | Self::Stalled(_) => {
                PublicReason::Registry
            }
            Self::Unfinished(_) => PublicReason::Unfinished,
            Self::Cache(_) => PublicReason::Bucket,
            Self::DamagedIndex(_) | Self::ForeignRelease(..) => PublicReason::Live,
            Self::Unreadable(_) => PublicReason::TooLarge,
            Self::NoStacks(_) => PublicReason::NoStacks,
            Self::MissingBlob(_) => PublicReason::Content,
            Self::Temporary(_) => PublicReason::Temporary,
            Self::NoSuchRelease { .. } => PublicReason::NoSuchRelease,
            Self::NothingLive => PublicReason::NothingLive,
            Self::ComparisonStopped => PublicReason::Comparison,
            Self::Races => PublicReason::Races,
            Self::PreviewsOff => PublicReason::Other,
        }
    }
}

/// Returns as many lines as are read back. A lost store has one for each of its blobs.
fn listed(repaired: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = repaired.iter().take(limits::REPORTED_PROBLEMS).cloned().collect();
    if let Some(more) = repaired.len().checked_sub(limits::REPORTED_PROBLEMS).filter(|more| *more > 0) {
        lines.push(format!("and {more} more, which the log names"));
    }
    lines
}

impl<S: Source, R: Registry, B: Bucket> Publisher<S, R, B> {
    /// Stores the outcome of a refresh, unless it had nothing to do; returns how long the live
    /// release has lagged behind the branch.
    ///
    /// A failure to store it is only logged.
    pub async fn store_outcome(
        &self,
        requested: Option<&CommitSha>,
        result: Result<&Report, &PublishError>,
    ) -> Duration {
        let at = (self.clock)();
        let was_behind = LastRefresh::read(&self.bucket).await.and_then(|last| last.behind_since);
        let ends_behind = |report: &Report| matches!(report.outcome, Outcome::Rejected | Outcome::Continuing);
        let is_behind = result.is_err() || result.is_ok_and(ends_behind);
        let behind_since = is_behind.then(|| was_behind.clone().unwrap_or_else(|| at.clone()));
        let lag = behind_since.as_ref().map(|since| since.instant().duration_until(at.instant()));
        let lag = lag.and_then(|lag| lag.try_into().ok()).unwrap_or_default();
        let is_idle = |report: &Report| matches!(report.outcome, Outcome::Unchanged | Outcome::Superseded);
        if was_behind.is_none() && result.is_ok_and(|report| is_idle(report) && report.repaired.is_empty()) {
            return lag;
        }
        if result.is_ok_and(|report| report.outcome == Outcome::Continuing && report.unfinished.is_none()) {
            // The invocation that works on the publication stores its own outcome.
            return lag;
        }
        let last = LastRefresh {
            at,
            outcome: result.ok().map(|report| report.outcome),
            commit_hash: result.map_or(requested, |report| Some(&report.commit_hash)).cloned(),
            failure: result.err().map(PublishError::public),
            progress: result.ok().and_then(|report| report.progress),
            quarantined: result.map(|report| report.quarantined.clone()).unwrap_or_default(),
            repaired: result.map(|report| listed(&report.repaired)).unwrap_or_default(),
            behind_since,
        };
        let written = self.bucket.put_if(LAST_REFRESH_KEY, last.into_bytes().into(), Expect::Anything).await;
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

    #[test]
    fn public_reason_outside_the_closed_set_is_replaced() {
        let read = |text: &str| serde_json::from_value::<PublicReason>(text.into()).unwrap();
        for reason in [PublicReason::Source, PublicReason::Bucket, PublicReason::Races, PublicReason::Other] {
            assert_eq!(read(&reason.to_string()), reason);
        }
        assert_eq!(read("arn:aws:s3:::clay is not allowed").to_string(), "the refresh failed");
    }
}
