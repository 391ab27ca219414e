//! Reads the zip of somebody else, and trusts nothing in it.

use std::fs::File;

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::{ArchiveError, Packer};
use crate::limits;
use crate::tree::{Mode, TreePath};

/// The bits of a mode for the kind of file, and the kinds (`stat`, inode(7)).
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// The findings about the names of an archive.
#[derive(Default)]
struct Overview {
    /// The folder at the top, while there is only one.
    top: Option<String>,
    /// Something is beside it.
    beside: bool,
    /// The project's folder is at the top.
    at_top: bool,
    /// It is below a folder at the top.
    below_top: bool,
}

/// Packs the files of a zip anew: those of `folder`, or all. The folder is searched at the top, and else below the one folder at the
/// top, where clients look for it.
///
/// # Errors
/// [`ArchiveError`] when anything in it is refused, or a limit is passed. Memory does not grow with the archive.
pub(in crate::starter) fn repack(packed: File, folder: Option<&TreePath>, into: File) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(packed, &mut buffer)?;
    let overview = Overview::of(&archive, &mut buffer, folder)?;
    let prefix = overview.prefix(folder)?;
    let mut packer = Packer::new(into);
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry()? {
        let name = plain_name(entry.file_path().as_bytes())?;
        let Some(path) = name.as_str().strip_prefix(prefix.as_str()) else { continue };
        let kind = entry.mode().value() & KIND;
        let path = TreePath::parse(path).map_err(|_| ArchiveError::Name(name.to_string()))?;
        if entry.is_dir() || kind == FOLDER {
            packer.note_folder(&path)?;
            continue;
        }
        let refused = |error: fn(String) -> ArchiveError| Err(error(name.to_string()));
        if !matches!(kind, 0 | REGULAR) {
            return refused(ArchiveError::NotAFile);
        }
        if entry.flags().is_encrypted() {
            return refused(ArchiveError::Encrypted);
        }
        if entry.uncompressed_size_hint() > packer.left() {
            return Err(ArchiveError::UnpacksTooLarge);
        }
        // Git keeps no other permission than that of the owner to run a file.
        let mode = if entry.mode().permissions() & 0o100 == 0 { Mode::Plain } else { Mode::Executable };
        let content = archive.get_entry(entry.wayfinder())?;
        match entry.compression_method() {
            CompressionMethod::STORE => packer.add(path, mode, content.verifying_reader(content.reader()))?,
            CompressionMethod::DEFLATE => {
                packer.add(path, mode, content.verifying_reader(DeflateDecoder::new(content.reader())))?;
            }
            _ => return refused(ArchiveError::Method),
        }
    }
    packer.finish()
}

impl Overview {
    /// Checks all names first, so that an archive with a bad one is refused as a whole.
    fn of(
        archive: &ZipArchive<FileReader>,
        buffer: &mut [u8],
        folder: Option<&TreePath>,
    ) -> Result<Self, ArchiveError> {
        let mut overview = Self::default();
        let folder = folder.map(|folder| format!("{folder}/"));
        let is_inside = |path: &str| folder.as_ref().is_some_and(|folder| path.starts_with(folder.as_str()));
        let mut count: u64 = 0;
        let mut entries = archive.entries(buffer);
        while let Some(entry) = entries.next_entry()? {
            count += 1;
            if count > limits::STARTER_ENTRIES as u64 {
                return Err(ArchiveError::TooManyEntries);
            }
            let name = plain_name(entry.file_path().as_bytes())?;
            let (top, rest) = name.as_str().split_once('/').unwrap_or((name.as_str(), ""));
            overview.at_top |= is_inside(name.as_str());
            overview.below_top |= is_inside(rest);
            overview.beside |= rest.is_empty() && !entry.is_dir();
            overview.beside |= overview.top.get_or_insert_with(|| top.to_owned()) != top;
        }
        if count == archive.entries_hint() {
            Ok(overview)
        } else {
            Err(ArchiveError::Damaged(format!("it has {count} entries and says {}", archive.entries_hint())))
        }
    }

    /// Returns the prefix of the names of the wanted files.
    fn prefix(self, folder: Option<&TreePath>) -> Result<String, ArchiveError> {
        let Some(folder) = folder else { return Ok(String::new()) };
        match self.top.filter(|_| !self.beside) {
            _ if self.at_top => Ok(format!("{folder}/")),
            Some(top) if self.below_top => Ok(format!("{top}/{folder}/")),
            _ => Err(ArchiveError::NoSuchFolder(folder.to_string())),
        }
    }
}

/// The name of an entry, without the slash that folders end with.
fn plain_name(bytes: &[u8]) -> Result<TreePath, ArchiveError> {
    let refused = || ArchiveError::Name(String::from_utf8_lossy(bytes).chars().take(200).collect());
    let text = std::str::from_utf8(bytes).map_err(|_| refused())?;
    let text = text.strip_suffix('/').unwrap_or(text);
    // To Windows `C:x` is a path of its own.
    let has_drive = text.as_bytes().get(1) == Some(&b':');
    TreePath::parse(text).ok().filter(|_| !has_drive).ok_or_else(refused)
}
