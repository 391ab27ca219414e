//! The live release: its snapshot, how it stays up to date, and the content that is not part of it.
//!
//! - `live`: revalidates the snapshot against the bucket; start here
//! - `snapshot`: the release in memory, with prepared answers; `repository`: its stacks as repositories of the OCI API
//! - `blobs`: content from the bucket; `recent`: content of the recent releases; `icons`: those of this release
//! - `previews`: the releases of proposals; `last_refresh`: the stored outcome of refresh

pub(crate) mod blobs;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod icons;
pub(crate) mod last_refresh;
pub(crate) mod live;
pub(crate) mod previews;
pub(crate) mod recent;
pub(crate) mod repository;
pub(crate) mod snapshot;
