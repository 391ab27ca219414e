//! Publishing: from the registry repository to the live release.
//!
//! The order of the steps keeps readers safe (invariant 3): blobs (and the artifacts of
//! documents, which nothing names yet), manifests, tags, index artifact, release object, and last
//! `index.json`, whose conditional write is the only commit point (invariant 2). A stop in
//! between leaves the old release live and whole; running again finishes the work, because every
//! step before the last only adds.
//!
//! Each file uses only those before it. Start with `refresh`.
//!
//! - `publisher`, `invocation`, `error`, `each`: the type whose methods the other files define, the limits of its time, its errors,
//!   concurrent calls
//! - `index_artifact`, `compare_scope`: names and manifests in the OCI registry, how much a comparison covers
//! - `live`: the live release, read from either store; `report`: the result of an action
//! - `retention`, `content`, `file_blobs`: objects that a prune spares, content from either store, content that goes through files
//! - `build`: the release of a commit
//! - `artifact_blobs`, `bucket_blobs`, `bucket_repair`: missing and damaged blobs of either store, and their repair
//! - `progress`: the claim on a publication over several invocations, the artifacts that it has pushed, and its end in time
//! - `push`, `upload`, `tags`, `commit`: the steps to a live release; `commit` is the commit point
//! - `restore`: `index.json` and the bucket from the OCI registry; `pending`: the times of further attempts
//! - `target`, `refresh`: the commit that should be live, and the main action
//! - `preview`: the release of a proposal, which never is live
//! - `rollback`, `reconcile`, `verify`, `prune`: the other actions; `last_refresh`: the stored outcome of the last refresh

mod artifact_blobs;
mod bucket_blobs;
mod bucket_repair;
mod build;
mod commit;
mod compare_scope;
mod content;
mod each;
mod error;
mod file_blobs;
mod index_artifact;
mod invocation;
mod last_refresh;
mod live;
#[cfg(test)]
mod model;
mod pending;
mod preview;
mod progress;
mod prune;
mod publisher;
mod push;
mod reconcile;
mod refresh;
mod report;
mod restore;
mod retention;
mod rollback;
mod tags;
mod target;
mod upload;
mod verify;

pub use build::Emptiness;
pub use compare_scope::CompareScope;
pub use error::PublishError;
pub use invocation::{Budget, INVOCATIONS, Invocation, PublicationProgress};
pub use last_refresh::{LastRefresh, PublicReason};
pub use preview::{PreviewOutcome, PreviewReport};
pub use publisher::{Publisher, Strictness};
pub use refresh::Cause;
pub use report::{Outcome, Report, Timings, Writes};
pub use verify::{CheckedObjects, Verification};
