//! The files and registries around a devfile, from which its parents and plugins come.

use std::fmt;

use bytes::Bytes;

use super::known_parents::KnownParents;
use super::parents::{Parents, Unreachable};

/// The surroundings of a devfile: the sources of its parents and plugins.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The files of the tree by path, as the devfile's own path is written.
    pub files: &'a (dyn Fn(&str) -> Option<Bytes> + Sync),
    /// Everything else.
    pub external: &'a dyn Parents,
    /// Parents that other devfiles of the same run name as well; `None` for a devfile that is checked by itself.
    pub known_parents: Option<&'a KnownParents>,
}

impl Surroundings<'_> {
    /// A devfile that stands alone: no files beside it, nothing reachable.
    pub const ALONE: Surroundings<'static> =
        Surroundings { files: &|_| None, external: &Unreachable, known_parents: None };
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}
