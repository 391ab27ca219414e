//! The objects of a pack, and the files of its trees.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix_hash::{Kind, ObjectId, oid};
use gix_object::tree::EntryKind;
use gix_object::{CommitRefIter, TreeRefIter};
use gix_pack::Bundle;
use gix_pack::bundle::write::Options;
use gix_pack::cache::Never;
use gix_utils::progress::Discard;
use gix_zlib::Inflate;
use tempfile::TempDir;
use tokio::time::Instant;

use super::error::GitError;
use crate::limits;
use crate::source::Mode;

/// Deepest nesting of folders.
const FOLDER_DEPTH: usize = 100;

/// Objects that were fetched. The pack is on disk, and goes when this is dropped.
pub struct Pack {
    /// None when the host had nothing to send.
    bundle: Option<Bundle>,
    _scratch: TempDir,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the folder that is walked, as far as it is UTF-8; else with replacement characters.
    pub path: String,
    /// Whether `path` is the name as it stands in the tree.
    pub is_utf8: bool,
    /// What it is.
    pub kind: EntryType,
    /// The object.
    pub id: ObjectId,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryType {
    /// A file.
    File(Mode),
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
    /// A folder.
    Folder,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let objects = self.bundle.as_ref().map_or(0, |bundle| bundle.index.num_objects());
        f.debug_struct("Pack").field("objects", &objects).finish_non_exhaustive()
    }
}

impl Pack {
    /// Reads the pack in a file of the folder `scratch`.
    pub(super) async fn read(path: PathBuf, scratch: TempDir, deadline: Instant) -> Result<Self, GitError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reading = tokio::task::spawn_blocking(move || {
            let bundle = bundle(&path, scratch.path(), &stopped)?;
            Ok(Self { bundle, _scratch: scratch })
        });
        let read = tokio::time::timeout_at(deadline, reading).await;
        stop.store(true, Ordering::Relaxed);
        read.map_err(|_| GitError::Slow)?.unwrap_or_else(|panic| Err(GitError::object("of the pack", panic)))
    }

    /// Returns the content of an object, or `None` when the pack does not have it.
    ///
    /// # Errors
    /// [`GitError::Object`] when it is damaged, larger than [`limits::GIT_OBJECT_BYTES`], or of another kind.
    pub fn find(&self, id: &oid, kind: gix_object::Kind) -> Result<Option<Vec<u8>>, GitError> {
        let Some(bundle) = &self.bundle else { return Ok(None) };
        let mut content = Vec::new();
        match bundle.find(id, &mut content, &mut Inflate::default(), &mut Never) {
            Ok(Some((object, _))) if object.kind == kind => Ok(Some(content)),
            Ok(Some((object, _))) => Err(GitError::object(id, format!("it is a {}, not a {kind}", object.kind))),
            Ok(None) => Ok(None),
            Err(error) => Err(GitError::object(id, error)),
        }
    }

    /// Returns the content of an object that the pack must have.
    ///
    /// # Errors
    /// As [`Pack::find`], and when the pack does not have it.
    pub fn object(&self, id: &oid, kind: gix_object::Kind) -> Result<Vec<u8>, GitError> {
        self.find(id, kind)?.ok_or_else(|| GitError::object(id, "it is missing"))
    }

    /// Returns the root folder of a commit.
    ///
    /// # Errors
    /// As [`Pack::object`].
    pub fn root(&self, commit: &oid) -> Result<ObjectId, GitError> {
        let content = self.object(commit, gix_object::Kind::Commit)?;
        CommitRefIter::from_bytes(&content, Kind::Sha1).tree_id().map_err(|error| GitError::object(commit, error))
    }

    /// Returns the entries of one folder, in the order of the tree.
    ///
    /// # Errors
    /// As [`Pack::object`].
    pub fn entries(&self, folder: &oid) -> Result<Vec<Entry>, GitError> {
        let content = self.object(folder, gix_object::Kind::Tree)?;
        TreeRefIter::from_bytes(&content, Kind::Sha1)
            .map(|entry| {
                let entry = entry.map_err(|error| GitError::object(folder, error))?;
                let kind = match entry.mode.kind() {
                    EntryKind::Tree => EntryType::Folder,
                    EntryKind::Commit => EntryType::Submodule,
                    EntryKind::Link => EntryType::Link,
                    EntryKind::Blob => EntryType::File(Mode::Plain),
                    EntryKind::BlobExecutable => EntryType::File(Mode::Executable),
                };
                let name = String::from_utf8_lossy(entry.filename);
                let is_utf8 = matches!(name, std::borrow::Cow::Borrowed(_));
                Ok(Entry { path: name.into_owned(), is_utf8, kind, id: entry.oid.to_owned() })
            })
            .collect()
    }

    /// Returns the folder at a path below another.
    ///
    /// # Errors
    /// [`GitError::NoSuchFolder`], or as [`Pack::object`].
    pub fn folder(&self, root: ObjectId, path: &str) -> Result<ObjectId, GitError> {
        path.split('/').try_fold(root, |folder, name| {
            let mut entries = self.entries(&folder)?.into_iter();
            let found = entries.find(|entry| entry.kind == EntryType::Folder && entry.is_utf8 && entry.path == name);
            Ok(found.ok_or_else(|| GitError::NoSuchFolder(path.to_owned()))?.id)
        })
    }

    /// Calls `visit` with everything below a folder but its folders, in the order of the trees.
    ///
    /// # Errors
    /// [`GitError`] when a tree cannot be read, or there are more than `limit` entries; and the first error of `visit`.
    pub fn walk<E: From<GitError>>(
        &self,
        folder: ObjectId,
        limit: usize,
        visit: &mut impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut walk = Walk { pack: self, left: limit, limit };
        walk.folder(folder, "", FOLDER_DEPTH, visit)
    }
}

/// Counts trees too: a tree can hold another twice, and so on, small to send and endless to walk.
struct Walk<'p> {
    pack: &'p Pack,
    left: usize,
    limit: usize,
}

impl Walk<'_> {
    fn folder<E: From<GitError>>(
        &mut self,
        folder: ObjectId,
        prefix: &str,
        depth: usize,
        visit: &mut impl FnMut(Entry) -> Result<(), E>,
    ) -> Result<(), E> {
        if depth == 0 {
            return Err(GitError::TooLarge { limit: FOLDER_DEPTH as u64, unit: "folders in one another" }.into());
        }
        for entry in self.pack.entries(&folder)? {
            let too_many = || GitError::TooLarge { limit: self.limit as u64, unit: "files and folders" };
            self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
            let path = format!("{prefix}{}", entry.path);
            match entry.kind {
                EntryType::Folder if entry.is_utf8 => self.folder(entry.id, &format!("{path}/"), depth - 1, visit)?,
                _ => visit(Entry { path, ..entry })?,
            }
        }
        Ok(())
    }
}

fn bundle(path: &std::path::Path, scratch: &std::path::Path, stop: &AtomicBool) -> Result<Option<Bundle>, GitError> {
    let damaged = |error: &dyn std::fmt::Display| GitError::object("of the pack", error.to_string());
    let options =
        Options { thread_limit: Some(1), alloc_limit_bytes: Some(limits::GIT_OBJECT_BYTES), ..Options::default() };
    let mut reader = BufReader::new(File::open(path).map_err(|error| GitError::temporary(&error))?);
    let no_base = None::<gix_object::find::Never>;
    let written =
        Bundle::write_to_directory(&mut reader, Some(scratch), &mut Discard, stop, no_base, Kind::Sha1, options);
    let bundle = written.and_then(|written| written.to_bundle().transpose()).map_err(|error| damaged(&error))?;
    Ok(bundle.map(|mut bundle| {
        bundle.pack = bundle.pack.with_alloc_limit_bytes(Some(limits::GIT_OBJECT_BYTES));
        bundle
    }))
}
