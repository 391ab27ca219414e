//! Publishing: from the registry repository to the live release.
//!
//! The order of the steps is what keeps readers safe (invariant 3): blobs (and the artifacts of documents, which nothing names
//! yet), manifests, tags, index artifact, release object, and last `index.json`, whose conditional write is the only commit point
//! (invariant 2). Whatever stops in between leaves the old release live and whole; running again finishes the work, because every
//! step before the last only adds.
//!
//! - `publisher`, `error`, `each`: the type whose methods the other files define, its errors, concurrent calls
//! - `refresh`: the main action; `target`: the commit that should be live; `build`: its release; `pending`: the times of further attempts
//! - `upload`, `index_artifact`: the steps; `live`: what is live, and the commit point
//! - `large`: content that does not fit into memory
//! - `rollback`: going back on purpose; `reconcile`, `restore`, `verify`: the stores against each other; `artifact_blobs`, `bucket_blobs`:
//!   the blobs of either store; `recover`: content from the OCI registry; `prune`: what nobody needs any more

mod artifact_blobs;
mod bucket_blobs;
mod build;
mod each;
mod error;
mod index_artifact;
mod large;
mod live;
#[cfg(test)]
mod model;
mod pending;
mod prune;
mod publisher;
mod reconcile;
mod record;
mod recover;
mod refresh;
mod report;
mod restore;
mod rollback;
mod target;
mod upload;
mod verify;

pub use error::PublishError;
pub use publisher::{Publisher, Strictness};
pub use reconcile::Extent;
pub use record::{LastRefresh, PublicReason};
pub use report::{Outcome, Report, Timings, Writes};
pub use verify::{Checked, Verification};
