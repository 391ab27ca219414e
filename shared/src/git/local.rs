//! A Git repository on this machine. It is read by the library alone: no program runs, and nothing that its configuration says is done.

use std::collections::{BinaryHeap, HashSet};
use std::path::{Path, PathBuf};

use gix_hash::{Kind, ObjectId, oid};
use gix_object::{Find, FindHeader};
use gix_odb::store::init::Options;
use gix_ref::file::ReferenceExt;

use super::error::GitError;
use super::objects::{History, Objects, TreeEntry};
use crate::limits;
use crate::timestamp::Timestamp;

/// Most commits that are read to find a common ancestor.
const COMMITS: usize = 200_000;

/// Most bytes of `.git` files and of the list of shallow commits.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// Why a file of a partial clone cannot be read. Its content is at the host, and nothing here asks it.
const MISSING_FILE: &str = "the clone lacks it; run `git fetch --refetch --no-filter`";

/// The repository whose work tree has a folder.
pub struct LocalRepository {
    objects: gix_odb::Handle,
    references: gix_ref::file::Store,
    shallow: HashSet<ObjectId>,
    /// The folder, below the top of the work tree; empty for the top.
    prefix: String,
}

impl std::fmt::Debug for LocalRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalRepository").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl LocalRepository {
    /// Finds the repository by the nearest `.git` above a folder. Folders that only look like a repository themselves are content,
    /// and do not count. `None` when there is none, or it is not one that can be read.
    pub fn of(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let top = folder.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok())?;
        let prefix = folder.strip_prefix(top).ok()?.to_str()?.to_owned();
        let git = git_folder(&top.join(".git"))?;
        // A linked work tree has references of its own, and all else in the main repository.
        let common = small_file(&git.join("commondir")).map(|text| git.join(text.trim_end()));
        let main = common.clone().unwrap_or_else(|| git.clone());
        let options = Options { alloc_limit_bytes: Some(limits::GIT_OBJECT_BYTES), ..Options::default() };
        let objects = gix_odb::at_opts(main.join("objects"), Kind::Sha1, None, options).ok()?;
        let references = match common {
            Some(common) => gix_ref::file::Store::for_linked_worktree(git, common, Kind::Sha1),
            None => gix_ref::file::Store::at(git, Kind::Sha1),
        };
        let shallow = small_file(&main.join("shallow")).unwrap_or_default();
        let shallow = shallow.lines().filter_map(|line| ObjectId::from_hex(line.trim().as_bytes()).ok()).collect();
        Some(Self { objects, references, shallow, prefix })
    }

    /// Returns the commit that is checked out, or `None` when there is none yet.
    pub fn head(&self) -> Option<ObjectId> {
        self.resolve("HEAD")
    }

    /// Returns the commit of a revision: a branch, a tag, `HEAD` or a full hash, each perhaps followed by `~N` or `^`. `None` when it is
    /// not known here.
    pub fn resolve(&self, revision: &str) -> Option<ObjectId> {
        let name_end = revision.find(['~', '^']).unwrap_or(revision.len());
        let (name, steps) = revision.split_at(name_end);
        let mut id = match ObjectId::from_hex(name.as_bytes()) {
            Ok(id) => id,
            Err(_) => {
                let mut reference = self.references.try_find(name).ok()??;
                reference.peel_to_id(&self.references, &self.objects).ok()?
            }
        };
        let mut steps = steps.chars().peekable();
        while let Some(step) = steps.next() {
            let mut digits = String::new();
            while let Some(digit) = steps.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            let number = if digits.is_empty() { 1 } else { digits.parse::<usize>().ok()? };
            for _ in 0..if step == '~' { number } else { 1 } {
                let parent = if step == '~' { 1 } else { number };
                let parents = self.commit(&id).ok()??.parents;
                id = if parent == 0 { id } else { *parents.get(parent.checked_sub(1)?)? };
            }
        }
        self.commit(&id).ok()?.map(|_| id)
    }

    /// Returns the entry at a path below the folder in a commit, or `None` when there is none.
    ///
    /// # Errors
    /// [`GitError`] when an object cannot be read.
    pub fn entry_at(&self, commit: ObjectId, path: &str) -> Result<Option<TreeEntry>, GitError> {
        self.entry(self.root(&commit)?, &self.full(path))
    }

    /// Returns the newest commit that both commits descend from, or `None` when the history here has none.
    ///
    /// # Errors
    /// [`GitError`] when a commit cannot be read.
    pub fn merge_base(&self, one: ObjectId, other: ObjectId) -> Result<Option<ObjectId>, GitError> {
        let mut ancestors = HashSet::new();
        self.ancestors(other, |id| {
            ancestors.insert(id);
            false
        })?;
        let mut base = None;
        self.ancestors(one, |id| {
            base = ancestors.contains(&id).then_some(id);
            base.is_some()
        })?;
        Ok(base)
    }

    /// Returns the author date of the newest commit up to `head` that touched a path below the folder.
    ///
    /// # Errors
    /// [`GitError`] when an object cannot be read.
    pub fn last_modified(&self, head: ObjectId, paths: &[String]) -> Result<Vec<Option<Timestamp>>, GitError> {
        let mut history = History::new(self, &self.shallow);
        paths.iter().map(|path| history.last_modified(head, &self.full(path))).collect()
    }

    /// Calls `visit` with a commit and its ancestors, newest first, until it returns `true`.
    fn ancestors(&self, start: ObjectId, mut visit: impl FnMut(ObjectId) -> bool) -> Result<(), GitError> {
        let mut seen = HashSet::from([start]);
        let mut queue = BinaryHeap::from([(i64::MAX, start)]);
        while let Some((_, id)) = queue.pop() {
            if visit(id) || seen.len() > COMMITS {
                break;
            }
            let Some(commit) = self.commit(&id)? else { continue };
            let parents = commit.parents.into_iter().filter(|_| !self.shallow.contains(&id));
            for parent in parents.filter(|parent| seen.insert(*parent)) {
                let committed = self.commit(&parent)?.map_or(i64::MIN, |commit| commit.committed);
                queue.push((committed, parent));
            }
        }
        Ok(())
    }

    fn full(&self, path: &str) -> String {
        if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) }
    }
}

impl Objects for LocalRepository {
    fn find(&self, id: &oid, kind: gix_object::Kind) -> Result<Option<Vec<u8>>, GitError> {
        let Some(header) = self.objects.try_header(id).map_err(|error| GitError::object(id, error))? else {
            return match kind {
                // `None` stands for a large file.
                gix_object::Kind::Blob => Err(GitError::object(id, MISSING_FILE)),
                _ => Ok(None),
            };
        };
        if header.kind != kind {
            return Err(GitError::object(id, format!("it is a {}, not a {kind}", header.kind)));
        }
        if kind == gix_object::Kind::Blob && header.size > limits::FILE_BYTES {
            // As a host with filters, which sends no such file.
            return Ok(None);
        }
        if header.size > limits::GIT_OBJECT_BYTES as u64 {
            return Err(GitError::object(id, format!("it has {} bytes", header.size)));
        }
        let mut content = Vec::new();
        let found = self.objects.try_find(id, &mut content).map_err(|error| GitError::object(id, error))?;
        Ok(found.is_some().then_some(content))
    }
}

/// The folder that `.git` is, or that the file `.git` names.
fn git_folder(git: &Path) -> Option<PathBuf> {
    let folder = if git.is_dir() {
        git.to_owned()
    } else {
        git.parent()?.join(small_file(git)?.strip_prefix("gitdir: ")?.trim_end())
    };
    folder.join("HEAD").is_file().then_some(folder)
}

fn small_file(path: &Path) -> Option<String> {
    let is_small = path.metadata().is_ok_and(|file| file.is_file() && file.len() <= SMALL_FILE_BYTES);
    is_small.then(|| std::fs::read_to_string(path).ok()).flatten()
}
