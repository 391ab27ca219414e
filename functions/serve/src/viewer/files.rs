//! The files of a version, and their contents as far as a page needs them.

use std::collections::HashMap;

use bytes::Bytes;
use devfile_registry::digest::Digest;
use devfile_registry::index::EntryType;
use devfile_registry::limits::CONCURRENT_READS;
use devfile_registry::release::StoredFile;
use futures_util::stream::{self, StreamExt};

use super::shown::Shown;
use crate::release::blobs::Blobs;
use crate::release::snapshot::Snapshot;

/// Largest file that a page shows, in bytes.
pub(super) const SHOWN_BYTES: u64 = 512 << 10;

/// Names that end so are no texts.
const BINARY: [&str; 13] =
    [".zip", ".tar", ".gz", ".tgz", ".jar", ".vsx", ".vsix", ".ico", ".webp", ".png", ".jpg", ".jpeg", ".gif"];

/// Pictures that `/stacks` answers with their media type.
pub(super) const PICTURES: [&str; 5] = [".svg", ".png", ".jpg", ".jpeg", ".gif"];

/// The contents of files that a page needs, read before it is rendered.
#[derive(Debug, Default)]
pub(super) struct FileTexts {
    bytes: HashMap<Digest, Bytes>,
    /// Whether a file could not be read. A page without it is kept by nobody.
    pub(super) is_incomplete: bool,
}

impl FileTexts {
    /// Reads files from memory or from the bucket.
    pub(super) async fn read(snapshot: &Snapshot, blobs: &Blobs, files: Vec<StoredFile>) -> Self {
        let read = |file: StoredFile| async move {
            let bytes = match snapshot.content(&file.digest) {
                Some(bytes) => Ok(bytes.clone()),
                None => blobs.read(file.digest, file.size).await,
            };
            (file.digest, bytes)
        };
        let all: Vec<_> = stream::iter(files).map(read).buffer_unordered(CONCURRENT_READS).collect().await;
        let mut texts = Self::default();
        for (digest, bytes) in all {
            match bytes {
                Ok(bytes) => {
                    texts.bytes.insert(digest, bytes);
                }
                Err(error) => {
                    tracing::warn!(%error, "a page lacks a file");
                    texts.is_incomplete = true;
                }
            }
        }
        texts
    }

    /// The text of a file; `None` when it is not here or no text.
    pub(super) fn text(&self, file: &StoredFile) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(&file.digest)?).ok().filter(|text| !text.contains('\0'))
    }
}

/// The folder of a version in the registry repository; `None` for samples.
pub(super) fn folder_of<'a>(snapshot: &'a Snapshot, shown: &Shown<'_>) -> Option<&'a str> {
    match shown.entry.entry_type {
        EntryType::Stack => snapshot.folder(&shown.entry.name, shown.name()),
        EntryType::Sample => None,
    }
}

/// The files of a version by their paths in its folder. The archive is made of the others.
pub(super) fn files_of<'a>(
    snapshot: &'a Snapshot,
    shown: &Shown<'_>,
) -> impl Iterator<Item = (&'a str, &'a StoredFile)> {
    let folder = folder_of(snapshot, shown);
    folder.into_iter().flat_map(|folder| {
        let inside = move |path: &'a str| path.strip_prefix(folder).and_then(|path| path.strip_prefix('/'));
        snapshot.files_below(folder).filter_map(move |(path, file)| Some((inside(path)?, file)))
    })
}

/// Whether a file may be shown as text, by its name and size.
pub(super) fn is_text(path: &str, file: &StoredFile) -> bool {
    file.size <= SHOWN_BYTES && !is_binary(path)
}

/// Whether the name of a file says that it is no text.
pub(super) fn is_binary(path: &str) -> bool {
    ends_with(path, &BINARY)
}

/// Whether a name has one of these ends, in any case.
pub(super) fn ends_with(path: &str, ends: &[&str]) -> bool {
    let lower = path.to_ascii_lowercase();
    ends.iter().any(|end| lower.ends_with(end))
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal of a size is shown")]
    let number = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", number / 1024.0),
        _ => format!("{:.1} MiB", number / 1_048_576.0),
    }
}

/// The path of the README of a version: of its folder, else of its stack.
pub(super) fn readme_of<'a>(snapshot: &'a Snapshot, shown: &Shown<'_>) -> Option<(&'a str, &'a StoredFile)> {
    let folder = folder_of(snapshot, shown)?;
    let stack = folder.match_indices('/').nth(1).map_or(folder, |(end, _)| &folder[..end]);
    let of = |folder: &str| {
        let is_readme =
            |path: &str| path.get(folder.len() + 1..).is_some_and(|name| name.eq_ignore_ascii_case("readme.md"));
        snapshot.files_below(folder).find(|(path, _)| is_readme(path))
    };
    of(folder).or_else(|| of(stack))
}
