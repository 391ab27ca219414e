//! Starter projects: from the element of a devfile to a zip of its files.
//!
//! - `project`: which source a starter project has
//! - `remote`: asks a source for its state, and downloads it within the [rules](crate::fetch::Rules) of fetches
//! - `archive`: the zip that comes out, and reading the zips that come in; nothing in those is trusted
//! - `store`: finished zips in the cache bucket
//!
//! Everything goes through files in the temporary folder, so that memory does not grow with a project.

mod archive;
mod project;
mod remote;
mod store;

pub use archive::ArchiveError;
pub use project::{NoSource, Origin, StarterProject, StarterSource};
pub use remote::{Files, RemoteError, RemoteSource, Remotes, Revalidated, State, pack_zip};
pub use store::{LastGood, SourceKey, StarterStore, ZipKey};
