//! A part of a registry repository, for reading no more than what changed.

use std::collections::BTreeSet;

/// Some stacks, and perhaps the extra entries. The dates of `last_modified.json` always belong to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Folders below `stacks/`.
    pub stacks: BTreeSet<String>,
    /// Whether `extraDevfileEntries.yaml` and `samples/` belong to it.
    pub extra_entries: bool,
}

impl Scope {
    /// Whether a path belongs to it.
    pub fn wants(&self, path: &str) -> bool {
        match path.split_once('/') {
            Some(("stacks", rest)) => rest.split_once('/').is_some_and(|(stack, _)| self.stacks.contains(stack)),
            Some(("samples", _)) => self.extra_entries,
            Some(_) => false,
            None => path == "last_modified.json" || self.extra_entries && path == "extraDevfileEntries.yaml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wants_its_stacks_whole_and_no_others() {
        let scope = Scope { stacks: ["go".to_owned()].into(), extra_entries: false };
        for (path, wanted) in [
            ("stacks/go/stack.yaml", true),
            ("stacks/go/1.0.0/devfile.yaml", true),
            ("stacks/go-x/stack.yaml", false),
            ("stacks/go", false),
            ("last_modified.json", true),
            ("extraDevfileEntries.yaml", false),
            ("samples/go/devfile.yaml", false),
            ("README.md", false),
        ] {
            assert_eq!(scope.wants(path), wanted, "{path}");
        }
        let scope = Scope { extra_entries: true, ..scope };
        assert!(scope.wants("extraDevfileEntries.yaml") && scope.wants("samples/go/devfile.yaml"));
    }
}
