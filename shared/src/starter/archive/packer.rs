//! Writes the zip of a project: the same files give the same bytes.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::ArchiveError;
use super::names::Names;
use crate::limits;
use crate::tree::{Mode, TreePath};

/// Time of every entry: 1980-01-01, the earliest that a zip can have, in seconds since 1970.
const TIME: i64 = 315_532_800;

/// Size of the buffers, in bytes.
const BUFFER: usize = 64 << 10;

/// A zip that is being written. It takes files within the limits, and of folders only those that have files.
pub(in crate::starter) struct Packer {
    zip: ZipArchiveWriter<BufWriter<File>>,
    deflate: Compress,
    buffer: Vec<u8>,
    names: Names,
    left: u64,
}

impl Packer {
    /// Writes into an empty file.
    pub(in crate::starter) fn new(file: File) -> Self {
        Self {
            zip: ZipArchiveWriter::new(BufWriter::with_capacity(BUFFER, file)),
            deflate: Compress::new(Compression::default(), false),
            buffer: vec![0; BUFFER],
            names: Names::default(),
            left: limits::STARTER_UNPACKED_BYTES,
        }
    }

    /// Bytes that may still be added, unpacked.
    pub(in crate::starter) fn left(&self) -> u64 {
        self.left
    }

    /// Adds a file. Files of Git itself are left out: they could be run as soon as somebody uses Git there.
    ///
    /// # Errors
    /// A name that is taken or leaves the archive, a limit, or a content that cannot be read to its end.
    pub(in crate::starter) fn add(
        &mut self,
        path: TreePath,
        mode: Mode,
        content: impl Read,
    ) -> Result<(), ArchiveError> {
        if is_of_git(&path) {
            return Ok(());
        }
        self.names.add_file(path.clone())?;
        let permissions = match mode {
            Mode::Plain => 0o100_644,
            Mode::Executable => 0o100_755,
        };
        let file = self.zip.new_file(path.as_str()).compression_method(CompressionMethod::DEFLATE);
        let time = rawzip::time::UtcDateTime::from_unix(TIME);
        let (mut entry, config) = file.last_modified(time).unix_permissions(permissions).start()?;
        self.deflate.reset();
        let mut writer = config.wrap(Deflater { deflate: &mut self.deflate, out: &mut entry });
        let read = copy(content, self.left, &mut self.buffer, &mut writer)?;
        self.left -= read;
        let (deflater, descriptor) = writer.finish()?;
        deflater.finish().map_err(ArchiveError::Temporary)?;
        entry.finish(descriptor)?;
        if self.zip.stream_offset() > limits::STARTER_BYTES { Err(ArchiveError::TooLarge) } else { Ok(()) }
    }

    /// Takes note of a folder: no file may have its name.
    ///
    /// # Errors
    /// A file has its name, or a limit is passed.
    pub(in crate::starter) fn note_folder(&mut self, path: &TreePath) -> Result<(), ArchiveError> {
        if is_of_git(path) { Ok(()) } else { self.names.add_folder(path) }
    }

    /// Ends the zip.
    ///
    /// # Errors
    /// When the temporary folder is full.
    pub(in crate::starter) fn finish(self) -> Result<(), ArchiveError> {
        self.zip.finish()?.flush().map_err(ArchiveError::Temporary)
    }
}

fn is_of_git(path: &TreePath) -> bool {
    path.as_str().split('/').any(|name| name.eq_ignore_ascii_case(".git"))
}

/// Copies at most `left` bytes, and fails when there are more.
fn copy(mut from: impl Read, left: u64, buffer: &mut [u8], to: &mut impl Write) -> Result<u64, ArchiveError> {
    let mut copied = 0;
    loop {
        let read = from.read(buffer).map_err(|error| ArchiveError::Damaged(error.to_string()))?;
        if read == 0 {
            return Ok(copied);
        }
        copied += read as u64;
        if copied > left {
            return Err(ArchiveError::UnpacksTooLarge);
        }
        to.write_all(&buffer[..read]).map_err(ArchiveError::Temporary)?;
    }
}

/// Deflates with a state that the next file uses again: making one costs more than most files.
struct Deflater<'a, W> {
    deflate: &'a mut Compress,
    out: W,
}

impl<W: Write> Deflater<'_, W> {
    fn finish(mut self) -> io::Result<()> {
        while self.step(&[], FlushCompress::Finish)?.1 != Status::StreamEnd {}
        Ok(())
    }

    /// Takes some of the input; gives how much.
    fn step(&mut self, input: &[u8], flush: FlushCompress) -> io::Result<(usize, Status)> {
        let mut out = [0; 8 << 10];
        let (taken, given) = (self.deflate.total_in(), self.deflate.total_out());
        let status = self.deflate.compress(input, &mut out, flush).map_err(io::Error::other)?;
        self.out.write_all(&out[..(self.deflate.total_out() - given) as usize])?;
        Ok(((self.deflate.total_in() - taken) as usize, status))
    }
}

impl<W: Write> Write for Deflater<'_, W> {
    fn write(&mut self, input: &[u8]) -> io::Result<usize> {
        loop {
            let (taken, _) = self.step(input, FlushCompress::None)?;
            if taken > 0 || input.is_empty() {
                return Ok(taken);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
