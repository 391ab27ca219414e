//! A directory on disk with everything that a registry stores (`STORE`): atomic writes, and locks between processes.
//!
//! `bucket/` has the objects of the cache bucket under their keys (`cache::directory`), `oci/` the artifacts as OCI image layouts
//! (`registry::layouts`). `tmp/` has files that are being written and `locks/` empty files to lock; no backup needs either.
//!
//! A write goes to a file of its own, which takes its name once its bytes are on the disk. So a process that is killed, a full
//! disk and a loss of power leave either the old content or the new one. Readers take no lock, and write nothing.

#[cfg(test)]
pub(crate) mod faults;
mod lock;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

use self::lock::Lock;
use crate::digest::{Digest, Hasher};

/// The folder of files that are being written. It is in the same file system as their places, so that a rename is atomic.
const TEMPORARY: &str = "tmp";

/// The folder of files to lock.
const LOCKS: &str = "locks";

/// Age from which a file in [`TEMPORARY`] belongs to a process that was killed: no write takes so long.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// A directory that stores a registry. Clones share it.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// The bytes of a write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BlobSource<'c> {
    /// Bytes in memory.
    Bytes(&'c [u8]),
    /// The bytes of a file.
    File(&'c Path),
}

/// A file that was opened for reading. Its bytes stay the same, even when its name is given to another file meanwhile.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    size: u64,
}

impl Directory {
    /// Takes a directory to read, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            root: std::path::absolute(&root).unwrap_or(root),
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    /// Takes a directory to write: creates it when it is missing, and removes files that killed processes left unfinished.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = Self::at(root);
        // Else each write would fail by itself.
        drop(directory.temporary()?);
        directory.remove_abandoned()?;
        Ok(directory)
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a name such as `bucket/index.json`.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
        if !name.split('/').all(is_plain) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the name is not a relative path"));
        }
        Ok(self.root.join(name))
    }

    /// Opens a file of at most `limit` bytes; `None` when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::FileTooLarge`] for a larger file.
    pub(crate) fn open_file(&self, name: &str, limit: u64) -> io::Result<Option<OpenFile>> {
        let Some(file) = unless_missing(File::open(self.path(name)?))? else { return Ok(None) };
        let size = file.metadata()?.len();
        if size > limit {
            let reason = format!("it has {size} bytes, more than the {limit} that are read");
            return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
        }
        Ok(Some(OpenFile { file, size }))
    }

    /// Reads a file of at most `limit` bytes; `None` when there is none.
    pub(crate) fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.open_file(name, limit)?.map(OpenFile::read).transpose()
    }

    /// Returns the digest of a file, which is not read into memory; `None` when there is none.
    pub(crate) fn digest(&self, name: &str) -> io::Result<Option<Digest>> {
        self.open_file(name, u64::MAX)?.map(OpenFile::digest).transpose()
    }

    /// Returns the metadata of a file; `None` when there is none.
    pub(crate) fn metadata(&self, name: &str) -> io::Result<Option<Metadata>> {
        unless_missing(fs::metadata(self.path(name)?))
    }

    /// Returns the files whose names begin with a prefix.
    pub(crate) fn list(&self, prefix: &str) -> io::Result<BTreeMap<String, Metadata>> {
        let mut found = BTreeMap::new();
        let mut folders: Vec<String> =
            prefix.rsplit_once('/').map(|(folder, _)| folder.to_owned()).into_iter().collect();
        while let Some(folder) = folders.pop() {
            let Some(entries) = unless_missing(fs::read_dir(self.path(&folder)?))? else { continue };
            for entry in entries {
                let entry = entry?;
                // No name of a store is anything but ASCII.
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = format!("{folder}/{name}");
                // It may be gone again.
                let Some(metadata) = unless_missing(entry.metadata())? else { continue };
                if metadata.is_dir() {
                    folders.push(name);
                } else if name.starts_with(prefix) {
                    found.insert(name, metadata);
                }
            }
        }
        Ok(found)
    }

    /// Writes a file, in place of the one that has the name.
    ///
    /// # Errors
    /// The old file may be there, or the new one.
    pub(crate) fn write(&self, name: &str, content: BlobSource<'_>) -> io::Result<()> {
        self.write_checked(name, content, None).map(drop)
    }

    /// Writes a file whose name stands for a digest, and returns the number of its bytes.
    ///
    /// # Errors
    /// As [`Directory::write`]. For bytes of another digest [`ErrorKind::InvalidData`]; the old file stays then.
    pub(crate) fn write_blob(&self, name: &str, content: BlobSource<'_>, digest: Digest) -> io::Result<u64> {
        self.write_checked(name, content, Some(digest))
    }

    fn write_checked(&self, name: &str, content: BlobSource<'_>, digest: Option<Digest>) -> io::Result<u64> {
        let path = self.path(name)?;
        let folder = path.parent().unwrap_or(&self.root);
        self.make_folder(folder)?;
        let mut file = self.temporary()?;
        let filled = self.fill(file.as_file_mut(), content, digest).and_then(|length| self.step().map(|()| length));
        #[cfg(test)]
        if filled.is_err() && self.faults.is_killed() {
            // A process that is killed removes nothing.
            let _left = file.keep();
            return filled;
        }
        let length = filled?;
        file.persist(&path).map_err(|error| error.error)?;
        self.step()?;
        sync_folder(folder)?;
        Ok(length)
    }

    /// Fills a file, and returns the number of bytes.
    fn fill(&self, file: &mut File, content: BlobSource<'_>, digest: Option<Digest>) -> io::Result<u64> {
        #[cfg(test)]
        self.faults.write_half(file, content)?;
        let (mut hasher, mut length) = (digest.map(|_| Hasher::default()), 0);
        let mut take = |bytes: &[u8]| {
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            length += bytes.len() as u64;
            io::Write::write_all(file, bytes)
        };
        match content {
            BlobSource::Bytes(bytes) => take(bytes)?,
            BlobSource::File(from) => each_chunk(File::open(from)?, take)?,
        }
        if hasher.map(Hasher::finish) != digest {
            return Err(wrong_digest());
        }
        self.step()?;
        sync(file)?;
        Ok(length)
    }

    /// Removes a file. It is no error when there is none.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?;
        unless_missing(fs::remove_file(self.path(name)?)).map(drop)
    }

    /// Waits for a lock between all threads and processes that use the directory.
    pub(crate) fn lock(&self, name: &str) -> io::Result<Lock> {
        let path = self.path(&format!("{LOCKS}/{name}.lock"))?;
        self.make_folder(path.parent().unwrap_or(&self.root))?;
        Lock::acquire(&path)
    }

    /// Creates a file to write to. It is removed when it is dropped.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let folder = self.root.join(TEMPORARY);
        self.make_folder(&folder)?;
        self.step()?;
        let mut builder = tempfile::Builder::new();
        // The umask of the process decides whether other users may read the files.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(folder)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let Some(parent) = folder.parent().filter(|_| !folder.is_dir()) else { return Ok(()) };
        self.make_folder(parent)?;
        self.step()?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_folder(parent)
    }

    fn remove_abandoned(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(TEMPORARY))? {
            let path = entry?.path();
            // Another process may have removed it.
            let Some(metadata) = unless_missing(fs::metadata(&path))? else { continue };
            let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
            if age >= ABANDONED {
                unless_missing(fs::remove_file(path))?;
            }
        }
        Ok(())
    }

    /// Comes before every change of the disk, for tests that stop at one.
    fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.step()?;
        Ok(())
    }
}

impl OpenFile {
    /// Its length, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads it.
    pub(crate) fn read(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        self.file.take(self.size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns the digest of its bytes.
    pub(crate) fn digest(self) -> io::Result<Digest> {
        digest_of(self.file)
    }

    /// The file itself.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

/// Returns the digest of the bytes of a file, which are not read into memory.
pub(crate) fn digest_of(file: File) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    each_chunk(file, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// Hands on the bytes of a file, some at a time.
fn each_chunk(mut file: File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => take(buffer.get(..read).unwrap_or_default())?,
        }
    }
}

/// The error for bytes that are not those of their digest.
pub(crate) fn wrong_digest() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "its bytes do not have its digest")
}

/// Does work that waits for the disk where it keeps no other task waiting.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn unless_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings the bytes of a file to the disk. Unit tests write far more often than a slow disk can follow; they stop at the
/// [steps](Directory::step) around it.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

/// Brings the names in a folder to the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    sync(&File::open(folder)?)
}

/// Other systems open no folders, and bring names to the disk by themselves.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
