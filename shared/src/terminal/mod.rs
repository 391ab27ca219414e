//! Standard output and the terminal of a command: texts, and the progress of work that takes long.

mod progress;

pub use self::progress::{Progress, ProgressOutput, with_progress};

use std::io::{ErrorKind, Write};

use anyhow::Context;

/// Writes a text to standard output, all of it.
///
/// A reader that has seen enough may have closed the pipe (`| head`), which is no error.
///
/// # Errors
/// The text cannot be written: the disk is full, for instance.
pub fn print(text: &str) -> anyhow::Result<()> {
    write(&mut std::io::stdout().lock(), text)
}

fn write(out: &mut impl Write, text: &str) -> anyhow::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// An output that fails with an error.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_pipe_is_the_only_failure_that_is_no_error() {
        assert!(write(&mut Failing(ErrorKind::BrokenPipe), "text").is_ok());
        let error = write(&mut Failing(ErrorKind::StorageFull), "text").unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write to standard output: "), "{error:#}");
        let mut out = Vec::new();
        write(&mut out, "text").unwrap();
        assert_eq!(out, b"text");
    }
}
