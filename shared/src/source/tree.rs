//! A tree of files, in memory.

use std::collections::BTreeMap;
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

/// Why a tree was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A path that could lead somewhere else.
    #[error("the path {0:?} is not a plain relative path; rename it without `..`, control characters or backslashes")]
    Path(String),
    /// A file of another kind than the tree takes.
    #[error("{0} is a link or a special file; only plain files are published, so replace it with a copy")]
    NotAFile(String),
    /// Too large a file.
    #[error("{path} has more than {} bytes, the limit for one file", limits::FILE_BYTES)]
    FileTooLarge {
        /// The file.
        path: String,
    },
    /// Too many files.
    #[error("the tree has more than {} files", limits::TREE_FILES)]
    TooManyFiles,
    /// Too many bytes.
    #[error("the files of the tree have more than {} bytes together", limits::TREE_BYTES)]
    TreeTooLarge,
    /// Too large an archive.
    #[error("the archive of the repository has more than {} bytes packed", limits::TARBALL_BYTES)]
    ArchiveTooLarge,
    /// An archive that unpacks to too much.
    #[error("the archive of the repository unpacks to more than {} bytes", limits::TARBALL_UNPACKED_BYTES)]
    UnpacksTooLarge,
    /// Too many entries in an archive.
    #[error("the archive of the repository has more than {} entries", limits::TARBALL_ENTRIES)]
    TooManyEntries,
    /// The same path twice.
    #[error("{0} is in the tree twice")]
    Duplicate(String),
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
/// [`Tree::insert`] keeps the limits of [`crate::limits`], whatever the source.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: BTreeMap<TreePath, File>,
    bytes: u64,
}

impl Tree {
    /// Whether a path belongs to the part of a repository that releases are made of; the rest (documentation, CI, tests)
    /// is not even read.
    pub fn wants(path: &str) -> bool {
        matches!(path, "extraDevfileEntries.yaml" | "last_modified.json")
            || ["stacks/", "samples/"].iter().any(|folder| path.starts_with(folder))
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`TreeError`] when the file, or the tree with it, is over a limit, or the path is taken.
    pub fn insert(&mut self, path: TreePath, file: File) -> Result<(), TreeError> {
        if file.content.len() as u64 > limits::FILE_BYTES {
            return Err(TreeError::FileTooLarge { path: path.to_string() });
        }
        self.bytes += file.content.len() as u64;
        if self.bytes > limits::TREE_BYTES {
            return Err(TreeError::TreeTooLarge);
        }
        if self.files.len() >= limits::TREE_FILES {
            return Err(TreeError::TooManyFiles);
        }
        match self.files.insert(path.clone(), file) {
            None => Ok(()),
            Some(_) => Err(TreeError::Duplicate(path.to_string())),
        }
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

    /// Digest of all paths and contents: the name of a tree that no commit names.
    pub fn digest(&self) -> Digest {
        let mut listing = String::new();
        for (path, file) in &self.files {
            let mode = match file.mode {
                Mode::Plain => "100644",
                Mode::Executable => "100755",
            };
            listing.push_str(&format!("{mode} {} {path}\n", Digest::of(&file.content).hex()));
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
    fn refuses_paths_that_lead_elsewhere() {
        for bad in ["", "/etc/passwd", "a//b", "a/../b", "..", ".", "a/./b", "a/", "a\0b", "a\nb", "a\\b"] {
            assert!(matches!(TreePath::parse(bad), Err(TreeError::Path(_))), "{bad:?}");
        }
        assert!(TreePath::parse("stacks/go/1.0.0/.devfile.yaml").is_ok());
    }

    #[test]
    fn lists_what_is_below_a_folder_and_not_beside_it() {
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
    fn keeps_the_limits() {
        let mut tree = tree(&["a"]);
        let path = |text| TreePath::parse(text).unwrap();
        assert_eq!(tree.insert(path("a"), File::plain("")), Err(TreeError::Duplicate("a".into())));
        let large = File::plain(vec![0; limits::FILE_BYTES as usize + 1]);
        assert_eq!(tree.insert(path("b"), large), Err(TreeError::FileTooLarge { path: "b".into() }));
    }
}
