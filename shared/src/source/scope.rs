//! The stacks that are read of a registry repository.

use std::collections::BTreeSet;

use super::listing::{EXTRA_ENTRIES, LAST_MODIFIED};
use crate::tree::Tree;

/// All of a registry repository, or some stacks. `last_modified.json` and files directly below `stacks/` always belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything that releases are made of.
    All,
    /// Some stacks.
    Some {
        /// Folders below `stacks/`.
        stacks: BTreeSet<String>,
        /// Whether `extraDevfileEntries.yaml` and `samples/` belong to it.
        extra_entries: bool,
    },
}

impl Scope {
    /// Whether a path belongs to it.
    pub fn wants(&self, path: &str) -> bool {
        match (self, path.split_once('/')) {
            (Self::All, _) => Tree::wants(path),
            (Self::Some { .. }, Some(("stacks", rest))) => {
                rest.split_once('/').is_none_or(|(stack, _)| self.has_stack(stack))
            }
            (Self::Some { .. }, Some(("samples", _))) => self.has_extra_entries(),
            (Self::Some { .. }, Some(_)) => false,
            (Self::Some { .. }, None) => path == LAST_MODIFIED || path == EXTRA_ENTRIES && self.has_extra_entries(),
        }
    }

    /// The files of it in a tree, and the refused files of it.
    pub(super) fn of(&self, whole: Tree) -> Tree {
        if *self == Self::All {
            return whole;
        }
        let mut tree = Tree::default();
        for (path, file) in whole.iter().filter(|(path, _)| self.wants(path.as_str())) {
            tree.add(path.as_str(), file.clone());
        }
        for refused in whole.refused().iter().filter(|refused| self.wants(&refused.path)) {
            tree.refuse(&refused.path, refused.reason.clone());
        }
        tree
    }

    /// Whether a stack belongs to it.
    pub fn has_stack(&self, folder: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { stacks, .. } => stacks.contains(folder),
        }
    }

    /// Whether `extraDevfileEntries.yaml` and `samples/` belong to it.
    pub fn has_extra_entries(&self) -> bool {
        match self {
            Self::All => true,
            Self::Some { extra_entries, .. } => *extra_entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_has_its_stacks_whole_and_no_others() {
        let stacks: BTreeSet<String> = ["go".to_owned()].into();
        let scope = Scope::Some { stacks: stacks.clone(), extra_entries: false };
        for (path, wanted) in [
            ("stacks/go/stack.yaml", true),
            ("stacks/go/1.0.0/devfile.yaml", true),
            ("stacks/go-x/stack.yaml", false),
            ("stacks/README.md", true),
            ("last_modified.json", true),
            ("extraDevfileEntries.yaml", false),
            ("samples/go/devfile.yaml", false),
            ("README.md", false),
        ] {
            assert_eq!(scope.wants(path), wanted, "{path}");
            assert_eq!(Scope::All.wants(path), path != "README.md", "{path}");
        }
        let scope = Scope::Some { stacks, extra_entries: true };
        assert!(scope.wants("extraDevfileEntries.yaml") && scope.wants("samples/go/devfile.yaml"));
    }
}
