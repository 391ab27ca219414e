//! The live release: its snapshot, how it stays up to date, and the content that is not part of it.

pub(crate) mod blobs;
pub(crate) mod earlier;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod icons;
pub(crate) mod last_refresh;
pub(crate) mod live;
pub(crate) mod previews;
pub(crate) mod repository;
pub(crate) mod snapshot;
