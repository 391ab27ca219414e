//! Registries that need no other host: when a version is published, the starter projects and parents that its devfile names
//! elsewhere are fetched along, and its devfile names this registry in their place.
//!
//! Fetched content is put where everything of a release is, under its digest, before anything names it; the release has it as
//! files of the version's folder. `plan` says what a devfile names elsewhere, `parents` follows parents of parents, `take` fetches, and
//! `attempt` says what becomes of a version. A version whose devfile is as it was when it was last published is taken over, without a look at any
//! host: neither a branch that has moved nor a file that is another one changes what is published, until it is
//! [fetched again](Known::FetchedAgain) on purpose.

mod attempt;
mod job;
mod parents;
mod plan;
mod take;

pub use job::Known;
pub use parents::Keep;
pub(super) use take::{Offline, take};

#[cfg(test)]
pub(crate) mod tests;
