//! Objects of Git by their ids, wherever they are kept.

use std::collections::{HashMap, HashSet};

use gix_hash::{Kind, ObjectId, oid};
use gix_object::tree::EntryKind;
use gix_object::{CommitRefIter, TreeRefIter};

use super::error::GitError;
use crate::digest::CommitSha;
use crate::limits;
use crate::timestamp::Timestamp;
use crate::tree::{File, Mode, Tree, TreeError};

/// Deepest nesting of folders.
const FOLDER_DEPTH: usize = 100;

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path below the folder that is read, with replacement characters where it is not UTF-8.
    pub path: String,
    /// Whether `path` is the name as it stands in the tree.
    pub is_utf8: bool,
    /// Its kind.
    pub kind: TreeEntryKind,
    /// The object.
    pub id: ObjectId,
}

/// The kind of an [`TreeEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEntryKind {
    /// A file.
    File(Mode),
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
    /// A folder.
    Folder,
}

/// A commit, as far as histories need it.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The root folder.
    pub tree: ObjectId,
    /// The commits before it.
    pub parents: Vec<ObjectId>,
    /// When it was written; `None` when the commit does not say so in a form that can be read.
    pub authored: Option<Timestamp>,
    /// When it was committed, in seconds since 1970; 0 when the commit does not say so.
    pub committed: i64,
}

/// The id by which objects of Git name a commit.
///
/// # Errors
/// [`GitError::Object`] when it is the digest of a folder that is no Git repository.
pub fn object_id(commit: &CommitSha) -> Result<ObjectId, GitError> {
    match ObjectId::from_hex(commit.as_str().as_bytes()) {
        Ok(id) if id.kind() == Kind::Sha1 => Ok(id),
        _ => Err(GitError::object(commit, "it is not the SHA-1 of a commit")),
    }
}

/// A store of objects.
pub trait Objects {
    /// Returns the content of an object, or `None` when the store does not have it. Of files a store lacks those above
    /// [`limits::FILE_BYTES`] alone.
    ///
    /// # Errors
    /// [`GitError::Object`] when it is damaged, too large, of another kind, or a smaller file that is missing.
    fn find(&self, id: &oid, kind: gix_object::Kind) -> Result<Option<Vec<u8>>, GitError>;

    /// Returns the content of an object that the store must have.
    ///
    /// # Errors
    /// As [`Objects::find`], and when the store does not have it.
    fn object(&self, id: &oid, kind: gix_object::Kind) -> Result<Vec<u8>, GitError> {
        self.find(id, kind)?.ok_or_else(|| GitError::object(id, "it is missing"))
    }

    /// Returns a commit, or `None` when the store does not have it.
    ///
    /// # Errors
    /// As [`Objects::find`].
    fn commit(&self, id: &oid) -> Result<Option<Commit>, GitError> {
        let Some(content) = self.find(id, gix_object::Kind::Commit)? else { return Ok(None) };
        let damaged = |error: &dyn std::fmt::Display| GitError::object(id, error.to_string());
        let read = || CommitRefIter::from_bytes(&content, Kind::Sha1);
        let author = read().author().map_err(|error| damaged(&error))?;
        let committer = read().committer().map_err(|error| damaged(&error))?;
        Ok(Some(Commit {
            tree: read().tree_id().map_err(|error| damaged(&error))?,
            parents: read().parent_ids().collect(),
            authored: author.time().ok().and_then(|time| date(time.seconds, time.offset)),
            committed: committer.time().map_or(0, |time| time.seconds),
        }))
    }

    /// Returns the root folder of a commit.
    ///
    /// # Errors
    /// As [`Objects::object`].
    fn root(&self, commit: &oid) -> Result<ObjectId, GitError> {
        Ok(self.commit(commit)?.ok_or_else(|| GitError::object(commit, "it is missing"))?.tree)
    }

    /// Returns the entries of one folder, in the order of the tree.
    ///
    /// # Errors
    /// As [`Objects::object`].
    fn entries(&self, folder: &oid) -> Result<Vec<TreeEntry>, GitError> {
        let content = self.object(folder, gix_object::Kind::Tree)?;
        TreeRefIter::from_bytes(&content, Kind::Sha1)
            .map(|entry| {
                let entry = entry.map_err(|error| GitError::object(folder, error))?;
                let kind = match entry.mode.kind() {
                    EntryKind::Tree => TreeEntryKind::Folder,
                    EntryKind::Commit => TreeEntryKind::Submodule,
                    EntryKind::Link => TreeEntryKind::Link,
                    EntryKind::Blob => TreeEntryKind::File(Mode::Plain),
                    EntryKind::BlobExecutable => TreeEntryKind::File(Mode::Executable),
                };
                let name = String::from_utf8_lossy(entry.filename);
                let is_utf8 = matches!(name, std::borrow::Cow::Borrowed(_));
                Ok(TreeEntry { path: name.into_owned(), is_utf8, kind, id: entry.oid.to_owned() })
            })
            .collect()
    }

    /// Returns the entry at a path below a folder, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Objects::object`].
    fn entry(&self, root: ObjectId, path: &str) -> Result<Option<TreeEntry>, GitError> {
        let mut found = TreeEntry { path: String::new(), is_utf8: true, kind: TreeEntryKind::Folder, id: root };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if found.kind != TreeEntryKind::Folder {
                return Ok(None);
            }
            let mut entries = self.entries(&found.id)?.into_iter();
            match entries.find(|entry| entry.is_utf8 && entry.path == name) {
                Some(entry) => found = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// Returns the folder at a path below another.
    ///
    /// # Errors
    /// [`GitError::NoSuchFolder`], or as [`Objects::object`].
    fn folder(&self, root: ObjectId, path: &str) -> Result<ObjectId, GitError> {
        let found = self.entry(root, path)?.filter(|entry| entry.kind == TreeEntryKind::Folder);
        Ok(found.ok_or_else(|| GitError::NoSuchFolder(path.to_owned()))?.id)
    }

    /// Calls `visit` with everything below a folder but its folders, in the order of the trees.
    ///
    /// # Errors
    /// [`GitError`] when a tree cannot be read, or there are more than `limit` entries; and the first error of `visit`.
    fn walk<E: From<GitError>>(
        &self,
        folder: ObjectId,
        limit: usize,
        visit: &mut impl FnMut(TreeEntry) -> Result<(), E>,
    ) -> Result<(), E>
    where
        Self: Sized,
    {
        let mut walk = TreeWalk { objects: self, left: limit, limit };
        walk.folder(folder, "", FOLDER_DEPTH, visit)
    }

    /// Adds a file, or all files below a folder, to a tree. `accept` takes the size of each file before it is added. Links, names that
    /// are not UTF-8, too many files and files that are missing because of their size are recorded as refused.
    ///
    /// # Errors
    /// [`GitError`] when an object cannot be read; and the first error of `accept`.
    fn read(
        &self,
        entry: TreeEntry,
        tree: &mut Tree,
        accept: &mut impl FnMut(usize) -> Result<(), GitError>,
    ) -> Result<(), GitError>
    where
        Self: Sized,
    {
        if entry.kind != TreeEntryKind::Folder {
            return read_file(self, entry, tree, accept);
        }
        let read = self.walk(entry.id, limits::TREE_FILES, &mut |below: TreeEntry| {
            read_file(self, TreeEntry { path: format!("{}/{}", entry.path, below.path), ..below }, tree, accept)
        });
        match read {
            Err(GitError::TooLarge { .. }) => {
                tree.refuse(&entry.path, TreeError::TooManyFiles);
                Ok(())
            }
            read => read,
        }
    }
}

/// Adds a file to a tree, or records why no tree takes it.
fn read_file(
    objects: &impl Objects,
    entry: TreeEntry,
    tree: &mut Tree,
    accept: &mut impl FnMut(usize) -> Result<(), GitError>,
) -> Result<(), GitError> {
    let path = entry.path;
    match entry.kind {
        _ if !entry.is_utf8 => tree.refuse(&path, TreeError::NotUtf8(path.clone())),
        TreeEntryKind::Link => tree.refuse(&path, TreeError::NotAFile(path.clone())),
        TreeEntryKind::File(mode) => match objects.find(&entry.id, gix_object::Kind::Blob)? {
            Some(content) => {
                accept(content.len())?;
                tree.add(&path, File { content: content.into(), mode });
            }
            None => tree.refuse(&path, TreeError::FileTooLarge { path: path.clone() }),
        },
        TreeEntryKind::Submodule | TreeEntryKind::Folder => {}
    }
    Ok(())
}

/// Counts trees too: a tree can hold another twice, and so on, small to send and endless to walk.
struct TreeWalk<'o, O> {
    objects: &'o O,
    left: usize,
    limit: usize,
}

impl<O: Objects> TreeWalk<'_, O> {
    fn folder<E: From<GitError>>(
        &mut self,
        folder: ObjectId,
        prefix: &str,
        depth: usize,
        visit: &mut impl FnMut(TreeEntry) -> Result<(), E>,
    ) -> Result<(), E> {
        if depth == 0 {
            return Err(GitError::TooLarge { limit: FOLDER_DEPTH as u64, unit: "folders in one another" }.into());
        }
        for entry in self.objects.entries(&folder)? {
            let too_many = || GitError::TooLarge { limit: self.limit as u64, unit: "files and folders" };
            self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
            let path = format!("{prefix}{}", entry.path);
            match entry.kind {
                TreeEntryKind::Folder if entry.is_utf8 => {
                    self.folder(entry.id, &format!("{path}/"), depth - 1, visit)?
                }
                _ => visit(TreeEntry { path, ..entry })?,
            }
        }
        Ok(())
    }
}

/// A history with the commits read so far.
pub(super) struct History<'o, O> {
    objects: &'o O,
    /// Commits whose parents are left out.
    shallow: &'o HashSet<ObjectId>,
    commits: HashMap<ObjectId, Option<Commit>>,
    /// Most commits have most folders in common.
    entries: HashMap<ObjectId, HashMap<String, (TreeEntryKind, ObjectId)>>,
}

impl<'o, O: Objects> History<'o, O> {
    pub(super) fn new(objects: &'o O, shallow: &'o HashSet<ObjectId>) -> Self {
        Self { objects, shallow, commits: HashMap::new(), entries: HashMap::new() }
    }

    /// Returns the author date of the newest commit up to `start` that touched a path, by the rules of `git log`: where a merge has
    /// the path as one of its parents has it, that parent is followed. `None` when the path is not there, or the history ends early.
    pub(super) fn last_modified(&mut self, start: ObjectId, path: &str) -> Result<Option<Timestamp>, GitError> {
        let mut at = start;
        let Some(id) = self.id_at(at, path)? else { return Ok(None) };
        'commits: while let Some(commit) = self.commit(at)? {
            if self.shallow.contains(&at) {
                return Ok(None);
            }
            for parent in &commit.parents {
                if self.id_at(*parent, path)? == Some(id) {
                    at = *parent;
                    continue 'commits;
                }
            }
            return Ok(commit.authored);
        }
        Ok(None)
    }

    fn commit(&mut self, id: ObjectId) -> Result<Option<Commit>, GitError> {
        if !self.commits.contains_key(&id) {
            let read = self.objects.commit(&id)?;
            self.commits.insert(id, read);
        }
        Ok(self.commits.get(&id).cloned().flatten())
    }

    /// The object at a path of a commit.
    fn id_at(&mut self, commit: ObjectId, path: &str) -> Result<Option<ObjectId>, GitError> {
        let Some(commit) = self.commit(commit)? else { return Ok(None) };
        let mut found = (TreeEntryKind::Folder, commit.tree);
        for name in path.split('/') {
            let (TreeEntryKind::Folder, folder) = found else { return Ok(None) };
            if !self.entries.contains_key(&folder) {
                let entries = self.objects.entries(&folder)?;
                let by_name = entries.into_iter().map(|entry| (entry.path, (entry.kind, entry.id)));
                self.entries.insert(folder, by_name.collect());
            }
            match self.entries.get(&folder).and_then(|entries| entries.get(name)) {
                Some(next) => found = *next,
                None => return Ok(None),
            }
        }
        Ok(Some(found.1))
    }
}

/// The time of an author in RFC 3339, as `git log --format=%aI` writes it.
fn date(seconds: i64, offset_seconds: i32) -> Option<Timestamp> {
    let offset = jiff::tz::Offset::from_seconds(offset_seconds).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    time.display_with_offset(offset).to_string().parse().ok()
}
