//! The history of a branch: whether a commit descends from another, and when folders were last touched.

use std::collections::{BTreeMap, BTreeSet};

use gix_hash::ObjectId;
use tokio::time::Instant;

use super::error::GitError;
use super::objects::{History, Objects, object_id};
use super::remote::{Filter, Packed, Remote, Wanted};
use crate::digest::CommitSha;
use crate::timestamp::Timestamp;

/// Commits in a row that are fetched to find an ancestor; most pushes are found in the first step.
const ANCESTRY_DEPTHS: [u32; 3] = [64, 1024, 16_384];

/// Commits in a row that are fetched for dates. Each brings the trees that it changed.
const DATES_DEPTHS: [u32; 3] = [32, 256, 2_048];

impl Remote {
    /// Whether `head` descends from `ancestor`, as far as the last [`ANCESTRY_DEPTHS`] commits say.
    ///
    /// # Errors
    /// [`GitError`] when the host does not send the commits.
    pub async fn descends(&self, head: &CommitSha, ancestor: &CommitSha, deadline: Instant) -> Result<bool, GitError> {
        let (start, end) = (object_id(head)?, object_id(ancestor)?);
        let objects = [start];
        for depth in ANCESTRY_DEPTHS {
            let commits = Wanted::commit(&objects, Filter::Depth(0));
            let wanted = Wanted { known: Some(ancestor), depth: Some(depth), ..commits };
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
    /// [`GitError`] when the host does not send the first commits. Commits that it sent before it failed count.
    pub async fn last_modified(
        &self,
        head: &CommitSha,
        paths: &[String],
        deadline: Instant,
    ) -> Result<BTreeMap<String, Timestamp>, GitError> {
        let start = object_id(head)?;
        let objects = [start];
        let mut dates = BTreeMap::new();
        for (step, depth) in DATES_DEPTHS.into_iter().enumerate() {
            let missing: Vec<&str> =
                paths.iter().map(String::as_str).filter(|path| !dates.contains_key(*path)).collect();
            if missing.is_empty() {
                break;
            }
            let wanted = Wanted { depth: Some(depth), ..Wanted::commit(&objects, Filter::Blobs) };
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

/// The answer of a part of a history about an ancestor.
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
        let Some(commit) = packed.pack.commit(&id)? else { continue };
        queue.extend(commit.parents.into_iter().filter(|parent| seen.insert(*parent)));
    }
    let ends_early = packed.shallow.iter().any(|id| seen.contains(id));
    Ok(if ends_early { Ancestry::Deeper } else { Ancestry::DoesNot })
}

/// The dates of those paths that a section of a history touches.
fn touched(packed: &Packed, start: ObjectId, paths: &[&str]) -> Result<BTreeMap<String, Timestamp>, GitError> {
    let mut history = History::new(&packed.pack, &packed.shallow);
    let mut dates = BTreeMap::new();
    for path in paths {
        dates.extend(history.last_modified(start, path)?.map(|date| ((*path).to_owned(), date)));
    }
    Ok(dates)
}
