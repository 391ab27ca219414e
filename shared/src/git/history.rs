//! The history of a branch: whether a commit descends from another, and when folders were last touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gix_hash::{Kind, ObjectId};
use gix_object::CommitRefIter;
use tokio::time::Instant;

use super::error::GitError;
use super::pack::{EntryType, Pack};
use super::remote::{Filter, Packed, Remote, Wanted};
use crate::digest::CommitSha;
use crate::limits;
use crate::timestamp::Timestamp;

/// Commits in a row that are fetched to find an ancestor; most pushes are found in the first step.
const ANCESTRY_DEPTHS: [u32; 3] = [64, 1024, 16_384];

/// Commits in a row that are fetched for dates. Each brings the trees that it changed.
const DATES_DEPTHS: [u32; 3] = [32, 256, 2_048];

/// A commit, as far as histories need it.
#[derive(Debug, Clone)]
struct Commit {
    tree: ObjectId,
    parents: Vec<ObjectId>,
    authored: Option<Timestamp>,
}

impl Remote<'_> {
    /// Whether `head` descends from `ancestor`, as far as the last [`ANCESTRY_DEPTHS`] commits say.
    ///
    /// # Errors
    /// [`GitError`] when the host does not send the commits.
    pub async fn descends(&self, head: &CommitSha, ancestor: &CommitSha, deadline: Instant) -> Result<bool, GitError> {
        let (start, end) = (object_id(head)?, object_id(ancestor)?);
        for depth in ANCESTRY_DEPTHS {
            let wanted = Wanted {
                objects: &[start],
                known: Some(ancestor),
                depth: Some(depth),
                filter: Filter::Depth(0),
                limit_bytes: limits::PACK_BYTES,
            };
            let packed = self.fetch(wanted, deadline).await?;
            match ancestry(&packed, start, end)? {
                Ancestry::Descends => return Ok(true),
                Ancestry::DoesNot => return Ok(false),
                Ancestry::Deeper => {}
            }
        }
        Ok(false)
    }

    /// Returns, for each folder or file, the author date of the newest commit up to `head` that touched it, by the rules of
    /// `git log`. Paths that no commit within [`DATES_DEPTHS`] touched are left out.
    ///
    /// # Errors
    /// [`GitError`] when the host does not send the first commits. What it sent before it failed counts.
    pub async fn last_modified(
        &self,
        head: &CommitSha,
        paths: &[String],
        deadline: Instant,
    ) -> Result<BTreeMap<String, Timestamp>, GitError> {
        let start = object_id(head)?;
        let mut dates = BTreeMap::new();
        for (step, depth) in DATES_DEPTHS.into_iter().enumerate() {
            let missing: Vec<&str> =
                paths.iter().map(String::as_str).filter(|path| !dates.contains_key(*path)).collect();
            if missing.is_empty() {
                break;
            }
            let wanted = Wanted {
                objects: &[start],
                known: None,
                depth: Some(depth),
                filter: Filter::Blobs,
                limit_bytes: limits::PACK_BYTES,
            };
            match self.fetch(wanted, deadline).await {
                Ok(packed) => {
                    let is_whole = packed.shallow.is_empty();
                    dates.extend(touched(&packed, start, &missing)?);
                    if is_whole {
                        break;
                    }
                }
                Err(error) if step == 0 => return Err(error),
                Err(error) => {
                    tracing::info!(%error, depth, "the history is not read further");
                    break;
                }
            }
        }
        Ok(dates)
    }
}

/// What a part of a history says about an ancestor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ancestry {
    Descends,
    DoesNot,
    /// The part does not reach far enough.
    Deeper,
}

/// Looks for `end` among the ancestors of `start`. Commits that are neither in the pack nor at its end are in the history of `end`.
fn ancestry(packed: &Packed, start: ObjectId, end: ObjectId) -> Result<Ancestry, GitError> {
    let (mut seen, mut queue) = (BTreeSet::from([start]), vec![start]);
    while let Some(id) = queue.pop() {
        if id == end {
            return Ok(Ancestry::Descends);
        }
        let Some(commit) = commit(&packed.pack, id)? else { continue };
        queue.extend(commit.parents.into_iter().filter(|parent| seen.insert(*parent)));
    }
    let ends_early = packed.shallow.iter().any(|id| seen.contains(id));
    Ok(if ends_early { Ancestry::Deeper } else { Ancestry::DoesNot })
}

/// Finds the newest commit that touched each path. Where a merge has a path as one of its parents has it, that parent is followed.
fn touched(packed: &Packed, start: ObjectId, paths: &[&str]) -> Result<BTreeMap<String, Timestamp>, GitError> {
    let mut history = History { packed, commits: HashMap::new(), entries: HashMap::new() };
    let mut dates = BTreeMap::new();
    for path in paths {
        let mut at = start;
        let Some(id) = history.id_at(at, path)? else { continue };
        'commits: while let Some(commit) = history.commit(at)? {
            if packed.shallow.contains(&at) {
                break;
            }
            for parent in &commit.parents {
                if history.id_at(*parent, path)? == Some(id) {
                    at = *parent;
                    continue 'commits;
                }
            }
            dates.extend(commit.authored.map(|date| ((*path).to_owned(), date)));
            break;
        }
    }
    Ok(dates)
}

/// A history with what was read of it.
struct History<'p> {
    packed: &'p Packed,
    commits: HashMap<ObjectId, Option<Commit>>,
    /// Entries of folders: most commits have most folders in common.
    entries: HashMap<ObjectId, HashMap<String, (EntryType, ObjectId)>>,
}

impl History<'_> {
    fn commit(&mut self, id: ObjectId) -> Result<Option<Commit>, GitError> {
        if !self.commits.contains_key(&id) {
            let read = commit(&self.packed.pack, id)?;
            self.commits.insert(id, read);
        }
        Ok(self.commits.get(&id).cloned().flatten())
    }

    /// The object at a path of a commit.
    fn id_at(&mut self, commit: ObjectId, path: &str) -> Result<Option<ObjectId>, GitError> {
        let Some(commit) = self.commit(commit)? else { return Ok(None) };
        let mut found = (EntryType::Folder, commit.tree);
        for name in path.split('/') {
            let (EntryType::Folder, folder) = found else { return Ok(None) };
            if !self.entries.contains_key(&folder) {
                let entries = self.packed.pack.entries(&folder)?;
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

/// Reads a commit of the pack, or `None` when the pack does not have it.
fn commit(pack: &Pack, id: ObjectId) -> Result<Option<Commit>, GitError> {
    let Some(content) = pack.find(&id, gix_object::Kind::Commit)? else { return Ok(None) };
    let damaged = |error: &dyn std::fmt::Display| GitError::object(id, error.to_string());
    let tree = CommitRefIter::from_bytes(&content, Kind::Sha1).tree_id().map_err(|error| damaged(&error))?;
    let parents = CommitRefIter::from_bytes(&content, Kind::Sha1).parent_ids().collect();
    let author = CommitRefIter::from_bytes(&content, Kind::Sha1).author().map_err(|error| damaged(&error))?;
    let authored = author.time().ok().and_then(|time| date(time.seconds, time.offset));
    Ok(Some(Commit { tree, parents, authored }))
}

/// The time of an author in RFC 3339, as `git log --format=%aI` writes it.
fn date(seconds: i64, offset_seconds: i32) -> Option<Timestamp> {
    let offset = jiff::tz::Offset::from_seconds(offset_seconds).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    time.display_with_offset(offset).to_string().parse().ok()
}

/// The id of a commit as Git's objects name it.
///
/// # Errors
/// [`GitError::Object`] when it is the digest of a folder that is no Git repository.
pub(super) fn object_id(commit: &CommitSha) -> Result<ObjectId, GitError> {
    match ObjectId::from_hex(commit.as_str().as_bytes()) {
        Ok(id) if id.kind() == Kind::Sha1 => Ok(id),
        _ => Err(GitError::object(commit, "it is not the SHA-1 of a commit")),
    }
}
