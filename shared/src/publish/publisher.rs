//! The publisher: the source, both stores, and how errors in the repository are treated. Each
//! action is an `impl` block in its own file.

use crate::timestamp::Timestamp;
use crate::upstream::UpstreamFetcher;

/// The treatment of a repository that has errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Publish the rest; quarantined parts keep their last published state.
    Quarantine,
    /// Publish nothing.
    Strict,
}

/// Publishes a registry repository.
#[derive(Debug)]
pub struct Publisher<S, R, B> {
    /// The registry repository.
    pub source: S,
    /// The OCI registry, the system of record.
    pub registry: R,
    /// The cache bucket, from which `serve` reads.
    pub bucket: B,
    /// Fetches the upstream content of the repository.
    pub fetcher: UpstreamFetcher,
    /// The treatment of errors in the repository.
    pub strictness: Strictness,
    /// Time for `generated_at`, the only wall time in a publication.
    pub clock: fn() -> Timestamp,
}
