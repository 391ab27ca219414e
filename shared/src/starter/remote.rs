//! Sources on other hosts: their state, and their files.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gix_hash::ObjectId;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::archive::{ArchiveError, Packer, repack};
use crate::digest::{CommitSha, Digest};
use crate::fetch::{Body, FetchAnswer, FetchError, Reason, Request};
use crate::git::{Client, Filter, GitError, Objects, Packed, Revision, TreeEntryKind, Wanted, object_id};
use crate::limits;
use crate::tree::TreePath;

/// Time for a question about a state. A Git host is asked twice.
const LOOK: Duration = Duration::from_secs(4);

/// Time for a download. With looking, packing and writing, all is done within the 30 seconds that a gateway waits.
const DOWNLOAD: Duration = Duration::from_secs(12);

/// More time for the files of a Git repository, which are packed anew.
const PACK: Duration = Duration::from_secs(10);

/// The state of a source at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A commit.
    Commit(CommitSha),
    /// The entity tag of a file.
    Tag(String),
    /// The content of a file whose host gives no entity tags.
    Content(Digest),
}

/// A source somewhere else.
#[derive(Debug, Clone, Copy)]
pub enum RemoteSource<'a> {
    /// A Git repository.
    Git(&'a Url, &'a Revision),
    /// A zip.
    Zip(&'a Url),
}

/// The result of revalidating a source.
#[derive(Debug)]
pub enum Revalidated {
    /// It is in the known state.
    Unchanged,
    /// It is in another state, with these files.
    Changed(State, Files),
}

/// Files that are still to be downloaded or packed.
#[derive(Debug)]
pub struct Files(FilesLocation);

#[derive(Debug)]
enum FilesLocation {
    Git(Url, CommitSha),
    Zip(Url, Box<Body>),
    Here(Url, NamedTempFile),
}

/// Why the files of a source are missing. It names the host.
#[derive(Debug, thiserror::Error)]
#[error("{}", named(.host, .error.to_string()))]
pub struct RemoteError {
    host: String,
    error: ArchiveError,
}

impl RemoteError {
    fn new(url: &Url, error: impl Into<ArchiveError>) -> Self {
        Self { host: url.host_str().unwrap_or_default().to_owned(), error: error.into() }
    }

    /// Host and reason, without words of the host, of libraries and of this machine.
    pub fn public(&self) -> String {
        named(&self.host, self.error.public())
    }

    /// Whether the host was too slow.
    pub fn is_slow(&self) -> bool {
        match &self.error {
            ArchiveError::Git(GitError::Fetch(error)) => error.reason == Reason::Slow,
            error => matches!(error, ArchiveError::Git(GitError::Slow)),
        }
    }

    /// Whether the content of the host is refused, so that a retry is useless until it changes.
    pub fn is_lasting(&self) -> bool {
        match &self.error {
            ArchiveError::Git(GitError::Fetch(error)) => {
                matches!(error.reason, Reason::TooLarge(_) | Reason::NotAllowed(_))
            }
            ArchiveError::Git(error) => !error.is_temporary(),
            error => !matches!(error, ArchiveError::Temporary(_)),
        }
    }
}

/// Names the host of an error. Errors of the Git reader and of fetches begin with it already.
fn named(host: &str, reason: String) -> String {
    if reason.starts_with(host) { reason } else { format!("{host}: {reason}") }
}

/// Revalidates and downloads sources.
#[derive(Debug)]
pub struct Remotes {
    client: Client,
}

impl Remotes {
    /// Connects nothing yet.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Asks for the state of a source.
    ///
    /// # Errors
    /// When its host does not say.
    pub async fn revalidate(
        &self,
        remote: RemoteSource<'_>,
        known: Option<&State>,
    ) -> Result<Revalidated, RemoteError> {
        match remote {
            RemoteSource::Git(url, revision) => {
                let remote =
                    self.client.repository(url).await.map_err(|error| RemoteError::new(url, GitError::from(error)))?;
                let resolved = remote.resolve(revision, Instant::now() + LOOK).await;
                let commit = resolved.map_err(|error| RemoteError::new(url, error))?;
                let state = State::Commit(commit.clone());
                Ok(if known == Some(&state) {
                    Revalidated::Unchanged
                } else {
                    Revalidated::Changed(state, Files(FilesLocation::Git(url.clone(), commit)))
                })
            }
            RemoteSource::Zip(url) => self.revalidate_zip(url, known).await,
        }
    }

    async fn revalidate_zip(&self, url: &Url, known: Option<&State>) -> Result<Revalidated, RemoteError> {
        let tag = known.and_then(|state| match state {
            State::Tag(tag) => Some(tag.as_str()),
            _ => None,
        });
        let request = Request { url: url.as_str(), limit: limits::STARTER_BYTES, time: DOWNLOAD, known: tag };
        let failed = |error: FetchError| RemoteError::new(url, GitError::from(error));
        let body = match self.client.get(&request).await.map_err(failed)? {
            FetchAnswer::NotModified => return Ok(Revalidated::Unchanged),
            FetchAnswer::Found(body) => body,
        };
        if let Some(tag) = body.etag.clone() {
            let state = State::Tag(tag);
            // Some hosts give entity tags and ignore those of a request.
            return Ok(if known == Some(&state) {
                Revalidated::Unchanged
            } else {
                Revalidated::Changed(state, Files(FilesLocation::Zip(url.clone(), body)))
            });
        }
        let file = download(url, body).await?;
        let digest = Digest::of_file(file.path()).await;
        let digest = digest.map_err(|error| RemoteError::new(url, ArchiveError::Temporary(error)))?;
        let (state, file) = (State::Content(digest), Files(FilesLocation::Here(url.clone(), file)));
        Ok(if known == Some(&state) { Revalidated::Unchanged } else { Revalidated::Changed(state, file) })
    }

    /// The zip of the files of a source: those of `folder`, or all.
    ///
    /// # Errors
    /// Fails when the host does not answer, or its content is refused.
    pub async fn zip(&self, files: Files, folder: Option<&TreePath>) -> Result<NamedTempFile, RemoteError> {
        let (url, file) = match files.0 {
            FilesLocation::Git(remote, commit) => return self.zip_of_commit(&remote, commit, folder).await,
            FilesLocation::Zip(url, body) => (url.clone(), download(&url, body).await?),
            FilesLocation::Here(url, file) => (url, file),
        };
        let failed = |error: ArchiveError| RemoteError::new(&url, error);
        let file = file.reopen().map_err(|error| failed(ArchiveError::Temporary(error)))?;
        pack_zip(file, folder).await.map_err(failed)
    }

    async fn zip_of_commit(
        &self,
        url: &Url,
        commit: CommitSha,
        folder: Option<&TreePath>,
    ) -> Result<NamedTempFile, RemoteError> {
        let failed = |error: GitError| RemoteError::new(url, error);
        let commit = object_id(&commit).map_err(failed)?;
        let objects = [commit];
        let wanted = Wanted { limit_bytes: limits::STARTER_BYTES, ..Wanted::commit(&objects, Filter::Nothing) };
        let remote = self.client.repository(url).await.map_err(|error| failed(error.into()))?;
        let deadline = Instant::now() + DOWNLOAD + PACK;
        let packed = remote.fetch(wanted, deadline).await.map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, stopped) = (folder.cloned(), Arc::clone(&stop));
        let packing = tokio::task::spawn_blocking(move || pack_commit(&packed, commit, folder.as_ref(), &stopped));
        let zip = timeout_at(deadline, packing).await;
        stop.store(true, Ordering::Relaxed);
        match zip {
            Ok(Ok(zip)) => zip.map_err(|error| RemoteError::new(url, error)),
            Ok(Err(panic)) => Err(RemoteError::new(url, ArchiveError::Damaged(panic.to_string()))),
            Err(_) => Err(failed(GitError::Slow)),
        }
    }
}

/// Packs the files of a commit: those of `folder`, or all. Ends early when `stop` is set.
fn pack_commit(
    packed: &Packed,
    commit: ObjectId,
    folder: Option<&TreePath>,
    stop: &AtomicBool,
) -> Result<NamedTempFile, ArchiveError> {
    let zip = NamedTempFile::new().map_err(ArchiveError::Temporary)?;
    let mut packer = Packer::new(zip.reopen().map_err(ArchiveError::Temporary)?);
    let pack = &packed.pack;
    let root = pack.root(&commit)?;
    let root = folder.map_or(Ok(root), |folder| pack.folder(root, folder.as_str()))?;
    pack.walk(root, limits::STARTER_ENTRIES, &mut |entry| {
        if stop.load(Ordering::Relaxed) {
            return Err(GitError::Slow.into());
        }
        let name = || ArchiveError::Name(entry.path.chars().take(200).collect());
        let path = TreePath::parse(&entry.path).ok().filter(|_| entry.is_utf8).ok_or_else(name)?;
        match entry.kind {
            TreeEntryKind::File(mode) => {
                let content = pack.object(&entry.id, gix_object::Kind::Blob)?;
                packer.add(path, mode, content.as_slice())
            }
            TreeEntryKind::Link => Err(ArchiveError::NotAFile(path.to_string())),
            // Another repository; archives of commits have an empty folder in its place.
            TreeEntryKind::Submodule | TreeEntryKind::Folder => Ok(()),
        }
    })?;
    packer.finish()?;
    Ok(zip)
}

/// Packs the files of a zip anew: those of `folder`, or all.
///
/// # Errors
/// [`ArchiveError`] when anything in it is refused, or a limit is passed.
pub async fn pack_zip(packed: File, folder: Option<&TreePath>) -> Result<NamedTempFile, ArchiveError> {
    let folder = folder.cloned();
    let packing = tokio::task::spawn_blocking(move || {
        let zip = NamedTempFile::new().map_err(ArchiveError::Temporary)?;
        let into = zip.reopen().map_err(ArchiveError::Temporary)?;
        repack(packed, folder.as_ref(), into)?;
        Ok(zip)
    });
    packing.await.unwrap_or_else(|panic| Err(ArchiveError::Damaged(panic.to_string())))
}

async fn download(url: &Url, body: Box<Body>) -> Result<NamedTempFile, RemoteError> {
    let here = |error: io::Error| RemoteError::new(url, ArchiveError::Temporary(error));
    let file = NamedTempFile::new().map_err(here)?;
    let mut into = tokio::fs::File::from_std(file.reopen().map_err(here)?);
    body.write_to(&mut into).await.map_err(|error| RemoteError::new(url, GitError::from(error)))?;
    Ok(file)
}
