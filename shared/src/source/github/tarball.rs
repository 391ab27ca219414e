//! Downloads the tarball of a commit and unpacks it while it arrives.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::api::Api;
use super::call::{Body, Call, Failure, chain, unavailable};
use crate::digest::CommitSha;
use crate::limits;
use crate::source::unpack::{UnpackError, registry_file, unpack};
use crate::source::{SourceError, Tree, TreeError};

/// Parts that may wait to be unpacked.
const AHEAD: usize = 16;

/// API: "Download a repository archive (tar)" (<https://docs.github.com/en/rest/repos/contents>).
pub(super) async fn download(api: &Api, commit: &CommitSha) -> Result<Tree, SourceError> {
    let what = format!("the tarball of {} at {}", api.repository().url(), commit.short());
    let call = Call::get(&what, api.repository_route(&format!("/tarball/{commit}")));
    api.download(call, |body| async {
        let (sender, receiver) = channel(AHEAD);
        let unpacking =
            tokio::task::spawn_blocking(move || unpack(Parts { receiver, part: Bytes::new() }, &registry_file));
        let sent = send(body, sender).await;
        let unpacked = unpacking.await.map_err(|_| Failure::Final(unavailable(&what, "the unpacking stopped")))?;
        match (unpacked, sent) {
            (Err(UnpackError::Refused(error)), _) => Err(Failure::Final(error.into())),
            (_, Err(failure)) => Err(failure),
            (Err(damaged), Ok(())) => Err(Failure::Passing(damaged.to_string())),
            (Ok(tree), Ok(())) => Ok(tree),
        }
    })
    .await
}

/// A part of the download, or the news that it is whole.
enum Part {
    Bytes(Bytes),
    End,
}

/// Passes a body on. Ends early when nobody wants the rest.
async fn send(mut body: Body, parts: Sender<Part>) -> Result<(), Failure> {
    let mut total = 0_u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Passing(format!("the tarball was cut off: {}", chain(&error))))?;
        let Ok(bytes) = frame.into_data() else { continue };
        total = total.saturating_add(bytes.len() as u64);
        if total > limits::TARBALL_BYTES {
            return Err(Failure::Final(TreeError::ArchiveTooLarge.into()));
        }
        if parts.send(Part::Bytes(bytes)).await.is_err() {
            return Ok(());
        }
    }
    // Unpacking may have ended already; its own result counts.
    let _ = parts.send(Part::End).await;
    Ok(())
}

/// The download as the unpacking thread reads it. Without an [`Part::End`] it ends with an error: a lost connection must not
/// look like the end of the file.
struct Parts {
    receiver: Receiver<Part>,
    part: Bytes,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Part::Bytes(bytes)) => self.part = bytes,
                Some(Part::End) => return Ok(0),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download ended early")),
            }
        }
        let read = buffer.len().min(self.part.len());
        buffer[..read].copy_from_slice(&self.part[..read]);
        self.part.advance(read);
        Ok(read)
    }
}
