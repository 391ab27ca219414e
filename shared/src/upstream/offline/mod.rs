//! Registries that need no other host: when a version is published, the starter projects and parents that its devfile names
//! on other hosts are fetched with it, and its devfile names this registry in their place.
//!
//! Fetched content is put where everything of a release is, under its digest, before anything names it; the release has it as
//! files of the version's folder. `plan` lists the upstream content of a devfile, `parents` follows parents of parents, `take` fetches, and
//! `version_draft` decides about a version. A version whose devfile is unchanged since it was published is taken over without a call to any
//! host: neither a moved branch nor a replaced file changes the published content, until it is
//! [fetched again](Known::FetchedAgain) on purpose.

mod job;
mod parents;
mod plan;
mod take;
mod version_draft;

pub use job::Known;
pub use parents::Keep;
pub(super) use take::{OfflineFetcher, take};

#[cfg(test)]
pub(crate) mod tests;
