//! The invocations of a function in which a large publication is made, one after the other.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Most invocations of one publication. AWS Lambda ends a chain of more than 16 (recursive loop detection), triggers included.
pub const INVOCATIONS: u32 = 12;

/// One of the invocations in which a publication is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invocation {
    /// The publication, by a number that the first invocation drew.
    pub publication: u64,
    /// Its number among them, from 1.
    pub number: u32,
    /// When it stops pushing.
    pub until: Instant,
}

impl Invocation {
    /// Returns the first invocation of a publication.
    #[must_use]
    pub fn first(until: Instant) -> Self {
        Self { publication: fastrand::u64(..), number: 1, until }
    }
}

/// How far a publication is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationProgress {
    /// New artifacts that the OCI registry has.
    pub artifacts: usize,
    /// New artifacts of the release.
    pub total: usize,
}
