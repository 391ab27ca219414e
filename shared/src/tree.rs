//! A tree of files, in memory.
//!
//! [`Tree::add`] never fails: a refused file is recorded with its reason, so that one bad file quarantines only the
//! version or stack that it belongs to (invariant 11).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::digest::Digest;
use crate::limits;

/// A file: its content, and whether it can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The bytes.
    pub content: Bytes,
    /// All that is kept of its permissions.
    pub mode: Mode,
}

/// Permissions of a file, as Git knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 0644
    Plain,
    /// 0755
    Executable,
}

impl File {
    /// A file that is not executable.
    pub fn plain(content: impl Into<Bytes>) -> Self {
        Self { content: content.into(), mode: Mode::Plain }
    }
}

/// Path of a file in a registry repository: relative, `/` between names, no empty, `.` or `..` names, no
/// control characters and no backslash.
///
/// A `TreePath` can be joined to any folder, URL or bucket prefix without leaving it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Arc<str>);

/// Why a tree does not take a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A path that could lead somewhere else.
    #[error("the path {0:?} is not a plain relative path; rename it without `..`, control characters or backslashes")]
    Path(String),
    /// A name that is not UTF-8.
    #[error("the name {0:?} is not UTF-8; rename the file")]
    NotUtf8(String),
    /// A link, a device or the like.
    #[error("{0} is a link or a special file; replace it with a copy of the file")]
    NotAFile(String),
    /// A file that cannot be opened.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason of the operating system.
        reason: String,
    },
    /// Too large a file.
    #[error("{path} has more than {} bytes, the limit for one file", limits::FILE_BYTES)]
    FileTooLarge {
        /// The file.
        path: String,
    },
    /// Two paths that are one on file systems without case.
    #[error("{path} and {other} differ in upper and lower case alone; rename one of them")]
    SameButCase {
        /// The second in the order of the tree.
        path: String,
        /// The first.
        other: String,
    },
    /// Too many bytes below one folder.
    #[error("the files of {folder} have more than {} bytes together", limits::FOLDER_BYTES)]
    FolderTooLarge {
        /// The stack or sample.
        folder: String,
    },
    /// Too many files.
    #[error("the tree has more than {} files", limits::TREE_FILES)]
    TooManyFiles,
    /// Too many bytes.
    #[error("the files of the tree have more than {} bytes together", limits::TREE_BYTES)]
    TreeTooLarge,
    /// The same path twice.
    #[error("{0} is in the tree twice")]
    Duplicate(String),
}

/// A file that the tree does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its path, with replacement characters where it is not UTF-8.
    pub path: String,
    /// The reason.
    pub reason: TreeError,
}

impl TreePath {
    /// Takes a path as it stands in an archive, a Git tree or a folder.
    ///
    /// # Errors
    /// [`TreeError::Path`] when it is not plain and relative.
    pub fn parse(text: &str) -> Result<Self, TreeError> {
        let plain =
            |name: &str| !matches!(name, "" | "." | "..") && !name.contains(|c: char| c.is_control() || c == '\\');
        if text.len() <= 4096 && text.split('/').all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(TreeError::Path(text.chars().take(200).collect()))
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for TreePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The part of a registry repository that a release is made of, ordered by path.
///
/// It enforces the limits of [`crate::limits`] for every source.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: BTreeMap<TreePath, File>,
    bytes: u64,
    /// Bytes by stack or sample.
    folders: HashMap<String, u64>,
    /// Paths by their lower case.
    lower_case: HashMap<String, TreePath>,
    refused: Vec<Refused>,
}

/// Most refused files that are recorded of one stack or sample: the first ones suffice to correct it.
const LISTED_REFUSALS: usize = 10;

/// The stack or sample that a path belongs to, or the path itself.
fn folder_of(path: &str) -> &str {
    let end = path.match_indices('/').nth(1).map_or(path.len(), |(end, _)| end);
    &path[..end]
}

/// The name below `stacks/` with which a path begins: the folder of its stack, or a file beside the stacks.
pub fn stack_of(path: &str) -> Option<&str> {
    path.strip_prefix("stacks/")?.split('/').next()
}

impl Tree {
    /// Whether a path belongs to the part of a repository that releases are made of; the rest (documentation, CI, tests)
    /// is not even read.
    pub fn wants(path: &str) -> bool {
        matches!(path, "extraDevfileEntries.yaml" | "last_modified.json")
            || ["stacks/", "samples/"].iter().any(|folder| path.starts_with(folder))
    }

    /// Adds a file, or records why the tree does not take it.
    pub fn add(&mut self, path: &str, file: File) {
        if let Err(reason) = TreePath::parse(path).and_then(|path| self.insert(path, file)) {
            self.refuse(path, reason);
        }
    }

    /// Records a file that the tree does not take.
    pub fn refuse(&mut self, path: &str, reason: TreeError) {
        let folder = folder_of(path);
        if self.refused.iter().filter(|refused| folder_of(&refused.path) == folder).count() < LISTED_REFUSALS {
            self.refused.push(Refused { path: path.to_owned(), reason });
        }
    }

    /// The files that it did not take, in the order in which they came; of one stack no more than the first few.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`TreeError`] when the file, or the tree with it, is over a limit, or the path is taken.
    pub fn insert(&mut self, path: TreePath, file: File) -> Result<(), TreeError> {
        let size = file.content.len() as u64;
        if size > limits::FILE_BYTES {
            return Err(TreeError::FileTooLarge { path: path.to_string() });
        }
        if self.files.contains_key(&path) {
            return Err(TreeError::Duplicate(path.to_string()));
        }
        let lower_case = path.as_str().to_lowercase();
        if let Some(other) = self.lower_case.get(&lower_case) {
            return Err(TreeError::SameButCase { path: path.to_string(), other: other.to_string() });
        }
        let folder = folder_of(path.as_str());
        let of_folder = self.folders.get(folder).copied().unwrap_or_default() + size;
        if of_folder > limits::FOLDER_BYTES {
            return Err(TreeError::FolderTooLarge { folder: folder.to_owned() });
        }
        if self.bytes + size > limits::TREE_BYTES {
            return Err(TreeError::TreeTooLarge);
        }
        if self.files.len() >= limits::TREE_FILES {
            return Err(TreeError::TooManyFiles);
        }
        self.bytes += size;
        self.folders.insert(folder.to_owned(), of_folder);
        self.lower_case.insert(lower_case, path.clone());
        self.files.insert(path, file);
        Ok(())
    }

    /// Gives a file another content; the file is there.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub(crate) fn replace(&mut self, path: &str, content: Bytes) -> Result<(), TreeError> {
        let file = self.files.get_mut(path).ok_or_else(|| TreeError::Path(path.to_owned()))?;
        if content.len() as u64 > limits::FILE_BYTES {
            return Err(TreeError::FileTooLarge { path: path.to_owned() });
        }
        let bytes = self.bytes - file.content.len() as u64 + content.len() as u64;
        if bytes > limits::TREE_BYTES {
            return Err(TreeError::TreeTooLarge);
        }
        self.bytes = bytes;
        file.content = content;
        Ok(())
    }

    /// The content of a file.
    pub fn get(&self, path: &str) -> Option<&Bytes> {
        Some(&self.files.get(path)?.content)
    }

    /// A file.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// All files, in the byte order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &File)> {
        self.files.iter()
    }

    /// The files below a folder, each with its path relative to it.
    ///
    /// `folder` is without a slash at its end.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files
            .range::<str, _>((Bound::Included(folder), Bound::Unbounded))
            .take_while(move |(path, _)| path.as_str().starts_with(folder))
            .filter_map(move |(path, file)| {
                let rest = path.as_str()[folder.len()..].strip_prefix('/')?;
                Some((rest, file))
            })
    }

    /// Names of the folders directly below a folder, in byte order.
    pub fn folders<'a>(&'a self, folder: &'a str) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.below(folder).filter_map(|(rest, _)| Some(rest.split_once('/')?.0)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Digest of all paths, contents and refused files: the name of a tree that no commit names.
    pub fn digest(&self) -> Digest {
        let mut listing = String::new();
        for (path, file) in &self.files {
            let mode = match file.mode {
                Mode::Plain => "100644",
                Mode::Executable => "100755",
            };
            listing.push_str(&format!("{mode} {} {path}\n", Digest::of(&file.content).hex()));
        }
        for refused in &self.refused {
            listing.push_str(&format!("refused {:?} {}\n", refused.path, refused.reason));
        }
        Digest::of(listing.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            tree.insert(TreePath::parse(path).unwrap(), File::plain("x")).unwrap();
        }
        tree
    }

    #[test]
    fn path_that_leads_out_of_the_tree_is_refused() {
        for bad in ["", "/etc/passwd", "a//b", "a/../b", "..", ".", "a/./b", "a/", "a\0b", "a\nb", "a\\b"] {
            assert!(matches!(TreePath::parse(bad), Err(TreeError::Path(_))), "{bad:?}");
        }
        assert!(TreePath::parse("stacks/go/1.0.0/.devfile.yaml").is_ok());
    }

    #[test]
    fn folder_of_a_tree_has_the_files_below_it_alone() {
        let tree =
            tree(&["stacks/go/1.0.0/devfile.yaml", "stacks/go/stack.yaml", "stacks/go-x/devfile.yaml", "stacks/go.md"]);
        let below: Vec<_> = tree.below("stacks/go").map(|(path, _)| path).collect();
        assert_eq!(below, ["1.0.0/devfile.yaml", "stack.yaml"]);
        assert_eq!(tree.folders("stacks"), ["go", "go-x"]);
        assert_eq!(tree.folders("stacks/go"), ["1.0.0"]);
        assert!(tree.below("samples").next().is_none());
    }

    #[test]
    fn digest_depends_on_paths_and_contents() {
        assert_eq!(tree(&["a/b", "c"]).digest(), tree(&["c", "a/b"]).digest());
        assert_ne!(tree(&["a/b"]).digest(), tree(&["a/c"]).digest());
    }

    #[test]
    fn file_that_is_refused_leaves_the_others() {
        let mut tree = Tree::default();
        let large = || File::plain(vec![0; limits::FILE_BYTES as usize + 1]);
        for path in ["stacks/a/devfile.yaml", "stacks/a/x\\y", "stacks/a/Devfile.yaml", "stacks/b/devfile.yaml"] {
            tree.add(path, File::plain("x"));
        }
        tree.add("stacks/b/large", large());
        let paths: Vec<_> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["stacks/a/devfile.yaml", "stacks/b/devfile.yaml"]);
        let refused: Vec<_> = tree.refused().iter().map(|refused| (refused.path.as_str(), &refused.reason)).collect();
        let same =
            TreeError::SameButCase { path: "stacks/a/Devfile.yaml".into(), other: "stacks/a/devfile.yaml".into() };
        let expected = [
            ("stacks/a/x\\y", &TreeError::Path("stacks/a/x\\y".into())),
            ("stacks/a/Devfile.yaml", &same),
            ("stacks/b/large", &TreeError::FileTooLarge { path: "stacks/b/large".into() }),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn folder_over_its_limit_leaves_room_for_the_others() {
        let mut tree = Tree::default();
        let full = File::plain(vec![0; limits::FILE_BYTES as usize]);
        for number in 0..100 {
            tree.add(&format!("stacks/a/{number:02}"), full.clone());
        }
        tree.add("stacks/b/devfile.yaml", File::plain("x"));
        assert!(tree.get("stacks/b/devfile.yaml").is_some());
        assert_eq!(tree.below("stacks/a").count() as u64, limits::FOLDER_BYTES / limits::FILE_BYTES);
        assert_eq!(tree.refused().len(), LISTED_REFUSALS);
    }

    #[test]
    fn file_that_is_too_large_or_there_already_is_refused() {
        let mut tree = tree(&["a"]);
        let path = |text| TreePath::parse(text).unwrap();
        assert_eq!(tree.insert(path("a"), File::plain("")), Err(TreeError::Duplicate("a".into())));
        let large = File::plain(vec![0; limits::FILE_BYTES as usize + 1]);
        assert_eq!(tree.insert(path("b"), large), Err(TreeError::FileTooLarge { path: "b".into() }));
    }
}
