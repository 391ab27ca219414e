//! The files of a commit, from a pack.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use gix_hash::{Kind, ObjectId};
use gix_object::tree::EntryKind;
use gix_object::{CommitRefIter, TreeRefIter};
use gix_pack::Bundle;
use gix_pack::bundle::write::Options;
use gix_pack::cache::Never;
use gix_utils::progress::Discard;
use gix_zlib::Inflate;

use crate::digest::CommitSha;
use crate::limits;
use crate::source::{Mode, TreePath};
use crate::starter::ArchiveError;
use crate::starter::archive::Packer;

/// Deepest nesting of folders.
const DEPTH: usize = 100;

/// Packs the files of a commit: those of `folder`, or all. The index of the pack goes into `scratch`. Ends early when
/// `stop` is set.
pub(in crate::starter) fn pack(
    pack: &Path,
    commit: &CommitSha,
    folder: Option<&TreePath>,
    scratch: &Path,
    stop: &AtomicBool,
    into: File,
) -> Result<(), ArchiveError> {
    let options =
        Options { thread_limit: Some(1), alloc_limit_bytes: Some(limits::GIT_OBJECT_BYTES), ..Options::default() };
    let mut reader = BufReader::new(File::open(pack).map_err(ArchiveError::Temporary)?);
    let no_base = None::<gix_object::find::Never>;
    let written =
        Bundle::write_to_directory(&mut reader, Some(scratch), &mut Discard, stop, no_base, Kind::Sha1, options);
    let mut bundle = written
        .and_then(|written| written.to_bundle().transpose())
        .map_err(damaged)?
        .ok_or_else(|| ArchiveError::Damaged("there is no pack".into()))?;
    bundle.pack = bundle.pack.with_alloc_limit_bytes(Some(limits::GIT_OBJECT_BYTES));
    let mut walk = Walk { bundle, inflate: Inflate::default(), packer: Packer::new(into), trees: 0, stop };
    let commit = ObjectId::from_hex(commit.as_str().as_bytes()).map_err(damaged)?;
    let commit = walk.object(commit, gix_object::Kind::Commit)?;
    let mut tree = CommitRefIter::from_bytes(&commit, Kind::Sha1).tree_id().map_err(damaged)?;
    for name in folder.iter().flat_map(|folder| folder.as_str().split('/')) {
        let missing = || ArchiveError::NoSuchFolder(folder.map(TreePath::to_string).unwrap_or_default());
        let entries = walk.object(tree, gix_object::Kind::Tree)?;
        let mut entries = TreeRefIter::from_bytes(&entries, Kind::Sha1).filter_map(Result::ok);
        let entry = entries.find(|entry| entry.filename == name.as_bytes() && entry.mode.is_tree());
        tree = entry.ok_or_else(missing)?.oid.to_owned();
    }
    walk.folder(tree, "", DEPTH)?;
    walk.packer.finish()
}

fn damaged(error: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Damaged(error.to_string())
}

struct Walk<'a> {
    bundle: Bundle,
    inflate: Inflate,
    packer: Packer,
    trees: usize,
    stop: &'a AtomicBool,
}

impl Walk<'_> {
    /// The content of an object.
    fn object(&mut self, id: ObjectId, kind: gix_object::Kind) -> Result<Vec<u8>, ArchiveError> {
        let bad = |reason: String| ArchiveError::Damaged(format!("object {id}: {reason}"));
        let mut content = Vec::new();
        let found = self.bundle.find(&id, &mut content, &mut self.inflate, &mut Never);
        match found.map_err(|error| bad(error.to_string()))? {
            Some((object, _)) if object.kind == kind => Ok(content),
            Some(_) => Err(bad("it is of another kind".into())),
            None => Err(bad("it is missing".into())),
        }
    }

    /// Packs a folder and what is in it.
    fn folder(&mut self, tree: ObjectId, prefix: &str, depth: usize) -> Result<(), ArchiveError> {
        // A tree can hold another twice, and so on: small to send, endless to walk.
        self.trees = self.trees.saturating_add(1);
        if self.trees > limits::STARTER_ENTRIES {
            return Err(ArchiveError::TooManyEntries);
        }
        let below = depth.checked_sub(1).ok_or_else(|| ArchiveError::Name(prefix.chars().take(200).collect()))?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(ArchiveError::Damaged("there was no time for it".into()));
        }
        let entries = self.object(tree, gix_object::Kind::Tree)?;
        for entry in TreeRefIter::from_bytes(&entries, Kind::Sha1) {
            let entry = entry.map_err(damaged)?;
            let refused = || ArchiveError::Name(format!("{prefix}{}", entry.filename).chars().take(200).collect());
            let name = std::str::from_utf8(entry.filename).map_err(|_| refused())?;
            let path = TreePath::parse(&format!("{prefix}{name}")).ok().filter(|_| !name.contains('/'));
            let path = path.ok_or_else(refused)?;
            let mode = match entry.mode.kind() {
                EntryKind::Tree => {
                    self.folder(entry.oid.to_owned(), &format!("{path}/"), below)?;
                    continue;
                }
                // Another repository; archives of commits have an empty folder in its place.
                EntryKind::Commit => continue,
                EntryKind::Link => return Err(ArchiveError::NotAFile(path.to_string())),
                EntryKind::Blob => Mode::Plain,
                EntryKind::BlobExecutable => Mode::Executable,
            };
            let content = self.object(entry.oid.to_owned(), gix_object::Kind::Blob)?;
            self.packer.add(path, mode, content.as_slice())?;
        }
        Ok(())
    }
}
