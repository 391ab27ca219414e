//! The names of a project's files. Two that some file system takes for the same are refused.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::ArchiveError;
use crate::limits;
use crate::tree::TreePath;

/// The names as a tree of folders. Names that differ only by case are one node: on Windows and macOS they are one file.
///
/// Each node has one part of a name, so its memory is bounded by the bytes of the names, however deep they are.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Files and folders by the folder that they are in and their case-folded name.
    nodes: HashMap<(usize, Box<str>), PathNode>,
    /// The files as they are written.
    files: HashSet<TreePath>,
    bytes: usize,
}

/// A file, or a folder with its number. The folder of the project has number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathNode {
    File,
    Folder(usize),
}

impl Names {
    /// Adds a file.
    ///
    /// # Errors
    /// A name that is taken, perhaps but for case, or by a folder; a limit.
    pub(super) fn add_file(&mut self, path: TreePath) -> Result<(), ArchiveError> {
        self.bytes += path.as_str().len();
        if self.bytes > limits::STARTER_NAMES_BYTES {
            return Err(ArchiveError::NamesTooLong);
        }
        let (folder, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        let folder = self.enter(folder, &path)?;
        if self.files.contains(&path) {
            return Err(ArchiveError::Duplicate(path.to_string()));
        }
        match self.node(folder, name, |_| PathNode::File)? {
            (PathNode::File, true) => {}
            (PathNode::File, false) => return Err(ArchiveError::DiffersByCase(path.to_string())),
            (PathNode::Folder(_), _) => return Err(ArchiveError::FileAndFolder(path.to_string())),
        }
        self.files.insert(path);
        Ok(())
    }

    /// Adds a folder, which may be there already.
    ///
    /// # Errors
    /// As [`Names::add_file`].
    pub(super) fn add_folder(&mut self, path: &TreePath) -> Result<(), ArchiveError> {
        self.enter(path.as_str(), path).map(drop)
    }

    /// Returns the number of a folder, which it adds with its parents; `path` is for the error.
    fn enter(&mut self, folder: &str, path: &TreePath) -> Result<usize, ArchiveError> {
        let mut number = 0;
        for name in folder.split('/').filter(|name| !name.is_empty()) {
            match self.node(number, name, PathNode::Folder)?.0 {
                PathNode::Folder(inner) => number = inner,
                PathNode::File => return Err(ArchiveError::FileAndFolder(path.to_string())),
            }
        }
        Ok(number)
    }

    /// Returns the node of a name in a folder, and whether it is new.
    fn node(
        &mut self,
        folder: usize,
        name: &str,
        new: fn(usize) -> PathNode,
    ) -> Result<(PathNode, bool), ArchiveError> {
        let count = self.nodes.len();
        match self.nodes.entry((folder, folded(name))) {
            Entry::Occupied(node) => Ok((*node.get(), false)),
            Entry::Vacant(_) if count >= limits::STARTER_ENTRIES => Err(ArchiveError::TooManyEntries),
            Entry::Vacant(node) => Ok((*node.insert(new(count + 1)), true)),
        }
    }
}

/// Folds the case of a name as Windows and macOS do: by Unicode's simple case folding, which maps one character to one. The way over
/// the upper case joins characters that have the same one, such as the two small sigmas.
fn folded(name: &str) -> Box<str> {
    let fold = |c: char| {
        let upper = only(c.to_uppercase()).unwrap_or(c);
        only(upper.to_lowercase()).unwrap_or(upper)
    };
    name.chars().map(fold).collect::<String>().into()
}

/// Returns the character of a mapping to one character.
fn only(mut mapped: impl ExactSizeIterator<Item = char>) -> Option<char> {
    if mapped.len() == 1 { mapped.next() } else { None }
}
