//! Differences between two states of a registry, as its clients see them: entries, versions, files, defaults, deprecations, fields.
//!
//! Nothing here reads or fetches anything.
//!
//! - [`Side`]: one of the two states; of a [`Release`](crate::release::Release), or put together from the answers of a registry
//! - [`Diff`]: the differences; start here
//! - [`human`], [`markdown`]: the difference for a terminal and for the comment of a pull request; `outline` has their common order
//!
//! Dates are not compared: they follow from the rest, and every commit has others.

mod compare;
mod difference;
mod human;
mod markdown;
mod outline;
mod side;

pub use self::difference::{Both, Change, Diff, EntryDiff, FieldDiff, FileDiff, VersionDiff};
pub use self::human::human;
pub use self::markdown::{MARKER, markdown};
pub use self::side::{Artifact, FileDigests, Side};

#[cfg(test)]
mod tests;
