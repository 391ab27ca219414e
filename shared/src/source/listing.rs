//! The Git ids of everything at a commit that releases are made of: equal ids, equal content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::CommitSha;
use crate::git::{GitId, blob_id, folder_id};
use crate::tree::{Tree, stack_of};

/// The file that lists samples, and stacks of other registries.
pub(crate) const EXTRA_ENTRIES: &str = "extraDevfileEntries.yaml";

/// The file with the dates of versions.
pub(crate) const LAST_MODIFIED: &str = "last_modified.json";

/// The ids at a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Ids of the stacks, by their folders below `stacks/`.
    pub stacks: BTreeMap<String, GitId>,
    /// Ids of `samples`, `extraDevfileEntries.yaml` and `last_modified.json`, as far as they are there.
    pub others: BTreeMap<String, GitId>,
    /// The commits before this one; empty where the source has no history.
    #[serde(skip)]
    pub parents: Vec<CommitSha>,
}

impl Listing {
    /// The ids that Git would give to a tree.
    pub fn of(tree: &Tree) -> Self {
        let folder = |path: &str| GitId::from(folder_id(tree.below(path)));
        let stacks =
            tree.folders("stacks").into_iter().map(|name| (name.to_owned(), folder(&format!("stacks/{name}"))));
        let mut listing = Self { stacks: stacks.collect(), ..Self::default() };
        // A stack of which the tree takes nothing is a stack all the same.
        for refused in tree.refused() {
            if let Some(stack) = stack_of(&refused.path) {
                listing.stacks.entry(stack.to_owned()).or_insert_with(|| blob_id(b"").into());
            }
        }
        if tree.below("samples").next().is_some() {
            listing.others.insert("samples".to_owned(), folder("samples"));
        }
        for path in [EXTRA_ENTRIES, LAST_MODIFIED] {
            listing.others.extend(tree.get(path).map(|content| (path.to_owned(), blob_id(content).into())));
        }
        listing
    }

    /// Whether an entry beside the stacks has the same content in another listing.
    pub(crate) fn has_same(&self, path: &str, other: &Self) -> bool {
        self.others.get(path) == other.others.get(path)
    }
}
