//! Zip archives: those that come in, and the one that goes out.

mod names;
mod packer;
#[cfg(test)]
mod tests;
mod unpack;

use std::io;

pub(super) use packer::Packer;
pub(super) use unpack::repack;

use crate::git::GitError;
use crate::limits;

/// Why a project was not packed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A name that could lead out of the folder where a client unpacks it.
    #[error("the name {0:?} is not a plain relative path")]
    Name(String),
    /// A link, or something else that is not a file.
    #[error("{0} is a link or a special file")]
    NotAFile(String),
    /// A file that needs a password.
    #[error("{0} is encrypted")]
    Encrypted(String),
    /// A file packed with something else than deflate.
    #[error("{0} is packed with a method that is not deflate")]
    Method(String),
    /// The same file twice.
    #[error("{0} is in it twice")]
    Duplicate(String),
    /// Two files whose names some file systems take for the same.
    #[error("{0} is in it twice, but for upper and lower case")]
    DiffersByCase(String),
    /// A name of a file and of a folder.
    #[error("a file and a folder have the same name at {0}")]
    FileAndFolder(String),
    /// Too many files and folders.
    #[error("it has more than {} files and folders", limits::STARTER_ENTRIES)]
    TooManyEntries,
    /// Names that are too long together.
    #[error("the names of its files have more than {} bytes together", limits::STARTER_NAMES_BYTES)]
    NamesTooLong,
    /// It unpacks to too much.
    #[error("it unpacks to more than {} bytes", limits::STARTER_UNPACKED_BYTES)]
    UnpacksTooLarge,
    /// Its zip is too large.
    #[error("its zip has more than {} bytes", limits::STARTER_BYTES)]
    TooLarge,
    /// The folder that is the project is not there.
    #[error("it has no folder {0}")]
    NoSuchFolder(String),
    /// The content is not an archive, or only a section of one.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// The Git repository that it is packed from cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The temporary folder failed.
    #[error("the temporary folder failed: {0}")]
    Temporary(io::Error),
}

impl ArchiveError {
    /// The reason in words that everybody may read: those about the archive, not about this machine.
    pub fn public(&self) -> String {
        match self {
            Self::Temporary(_) => "the temporary folder failed".to_owned(),
            Self::Git(error) => error.public(),
            _ => self.to_string(),
        }
    }
}

impl From<rawzip::Error> for ArchiveError {
    fn from(error: rawzip::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
