//! Upstream content of a registry repository: remote parents, versions in other Git repositories, devfiles of samples,
//! icons, and for [offline registries](offline) starter projects.
//!
//! This is the one step between repository and release that asks the network, so everything after it is pure again. Content
//! of the release before is not fetched again; all new content is fetched at once, within [`Rules`](crate::fetch::Rules) and a
//! time for the whole. Content that does not arrive is a warning, and stays as it was last published.
//!
//! - [`UpstreamFetcher`]: the settings, and the steps from a tree to a [`Complete`] repository; start here
//! - `run`: one completion: its deadline, its budget of bytes, the hosts that are down
//! - `unavailable`: why something is missing, and whether it is tried again
//! - `versions` and `samples`, from repositories that `remote` opens; `parents`; `icons`, whose bytes `image` knows
//! - [`offline`]: starter projects and parents for registries that need no other host

mod complete;
mod fetching;
mod icons;
mod image;
pub mod offline;
mod parents;
mod remote;
mod run;
mod samples;
mod unavailable;
mod versions;

pub use complete::Complete;
pub use fetching::UpstreamFetcher;
pub use icons::Icons;

#[cfg(test)]
mod tests;
