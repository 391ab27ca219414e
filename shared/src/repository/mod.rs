//! A registry repository, parsed: the stacks and samples of a tree, and its problems.
//!
//! A bad version or file never hides the others: every readable one is here, the rest is in
//! [`Repository::quarantined`] with its reasons (invariant 5).
//!
//! - [`Repository`]: the whole, put together from its files; start here
//! - [`Part`]: a unit that is published or quarantined by itself
//! - [`Stack`]: `stack.yaml` and the versions that it lists; `devfile`: the check of a devfile with its parents
//! - [`Sample`]: `extraDevfileEntries.yaml` and the devfiles of `samples/`; [`Dates`]: `last_modified.json`
//! - `refused`: files that no tree takes

mod dated;
mod devfile;
mod extra;
mod last_modified;
mod named_files;
mod parsed;
mod part;
mod refused;
mod size;
mod stack;

pub(crate) use extra::{EXTRA_ENTRIES, positions_in_extra_entries};
pub use extra::{Sample, SampleOrigin, SampleSource};
pub use last_modified::{Dates, SAMPLE_WITHOUT_VERSION};
pub use parsed::{Repository, UpstreamVersion};
pub use part::{Part, Quarantined};
pub use stack::{Stack, StackVersion, is_entry_name};

#[cfg(test)]
pub(crate) mod tests;
