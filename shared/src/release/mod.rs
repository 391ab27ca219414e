//! Releases: everything that is published for one commit.
//!
//! A release is pure data. It follows from a [`Repository`](crate::repository::Repository), its [`Upstream`], the dates of its history and,
//! for quarantined and unchanged stacks, the previous release; the same inputs give the same bytes on every machine (invariant 6).
//! Its name is the digest of its outline, which names everything else.
//!
//! - [`Draft`]: from a repository to a release; start here. [`Plan`] lists the stacks that it builds anew, `entry` makes entries of the index
//! - [`Release`]: the release, as much of it as was loaded; [`Content`]: its versions, files, samples and icons
//! - [`Built`]: a release with the bytes that it is stored as: [`Outline`] and `documents`
//! - [`LiveIndex`]: `index.json`, which names the live release; [`Entries`]: its entries as text
//! - [`Pending`], [`Upstream`], [`Offline`]: content from upstream hosts, and subjects that they left pending
//! - [`BlobLocation`]: where the OCI registry has the content

mod built;
mod content;
mod dependencies;
mod documents;
mod draft;
mod entries;
mod entry;
mod format;
mod live;
mod loaded;
mod locations;
mod offline;
mod outline;
mod pending;
mod plan;
mod upstream;
mod warnings;

pub use built::{About, Built};
pub use content::{Content, Facts, Icon, PublishedVersion, SampleDevfile};
pub use dependencies::Dependency;
pub use draft::Draft;
pub use entries::Entries;
pub use format::{FORMAT, InvalidDocument, OLDEST_FORMAT, RULES, StoredFile};
pub use live::{Changes, LiveIndex, Pin, Recent};
pub use loaded::Release;
pub use locations::BlobLocation;
pub(crate) use offline::OFFLINE_RULES;
pub use offline::{InvalidOfflineStacks, Offline, OfflineSettings, OfflineStacks, OfflineVersion};
pub use outline::Outline;
pub use pending::{Pending, PendingReason};
pub use plan::Plan;
pub use upstream::{FetchedVersion, Upstream};
