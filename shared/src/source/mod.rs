//! Where a registry repository comes from: a tree of files at a commit.

mod tree;

pub use tree::{Tree, TreeError, TreePath};
