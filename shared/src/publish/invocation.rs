//! The invocations of a function in which a large publication is made, one after the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::limits::{REPORT_TIME_HTTP, REPORT_TIME_LAMBDA};

/// Most invocations of one publication. AWS Lambda ends a chain of more than 16 (recursive loop detection), triggers included.
pub const INVOCATIONS: u32 = 12;

/// The time of an invocation, by its trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// The wait of an HTTP request. That is too short to call the OCI registry stalled, so another invocation continues in any case.
    Request,
    /// All the time that the function may take.
    Function,
}

/// One of the invocations in which a publication is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invocation {
    /// The publication, by a number that the first invocation drew.
    pub publication: u64,
    /// Its number among them, from 1.
    pub number: u32,
    /// When it stops pushing.
    pub until: Instant,
    /// Its time in all.
    pub budget: Budget,
}

impl Budget {
    /// Returns the time between the last push and the end.
    fn report_time(self) -> Duration {
        match self {
            Self::Request => REPORT_TIME_HTTP,
            Self::Function => REPORT_TIME_LAMBDA,
        }
    }
}

impl Invocation {
    /// Returns the first invocation of a publication, which ends at a deadline.
    #[must_use]
    pub fn first(deadline: Instant, budget: Budget) -> Self {
        let until = deadline.checked_sub(budget.report_time()).unwrap_or(deadline);
        Self { publication: fastrand::u64(..), number: 1, until, budget }
    }

    /// Returns whether no further invocation continues its publication.
    pub(super) fn is_last(&self) -> bool {
        self.number >= INVOCATIONS
    }

    /// Returns the deadline of a check that begins now, even if the pushes took all of their time. There are two such checks, and
    /// the report.
    pub(super) fn check_deadline(&self) -> Instant {
        self.until.max(Instant::now()) + self.budget.report_time() / 3
    }
}

/// The progress of a publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationProgress {
    /// New artifacts that the OCI registry has.
    pub artifacts: usize,
    /// New artifacts of the release.
    pub total: usize,
}
