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

use super::archive::Packer;
use super::archive::{ArchiveError, Layout, repack};
use crate::digest::{CommitSha, Digest};
use crate::fetch::{Answer, Body, FetchError, Reason, Request};
use crate::git::{Client, EntryType, Filter, GitError, Objects, Packed, Revision, Wanted, object_id};
use crate::limits;
use crate::tree::TreePath;

/// Time for a question about a state. A Git host is asked twice.
const LOOK: Duration = Duration::from_secs(4);

/// Time for a download. With looking, packing and writing, all is done within the 30 seconds that a gateway waits.
const DOWNLOAD: Duration = Duration::from_secs(12);

/// More time for the files of a Git repository, which are packed anew.
const PACK: Duration = Duration::from_secs(10);

/// What a source is at a time.
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
pub enum Remote<'a> {
    /// A Git repository.
    Git(&'a Url, &'a Revision),
    /// A zip.
    Zip(&'a Url),
}

/// The answer to a look at a source.
#[derive(Debug)]
pub enum Look {
    /// It is in the state that is known.
    Unchanged,
    /// It is in another state. Its files can be had.
    Changed(State, Files),
}

/// Files that are still to be downloaded or packed.
#[derive(Debug)]
pub struct Files(Place);

#[derive(Debug)]
enum Place {
    Git(Url, CommitSha),
    Zip(String, Box<Body>),
    Here(String, NamedTempFile),
}

/// Why the files of a source are not to be had. It names the host.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host}: {reason}")]
pub struct RemoteError {
    host: String,
    reason: String,
    /// Host and reason in words that everybody may read.
    public: String,
    slow: bool,
    lasting: bool,
}

impl RemoteError {
    fn new(host: String, reason: String) -> Self {
        let public = format!("{host}: {reason}");
        Self { host, reason, public, slow: false, lasting: false }
    }

    /// Host and reason, without words of the host, of libraries and of this machine.
    pub fn public(&self) -> String {
        self.public.clone()
    }

    /// Whether the host was too slow.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether what the host gives is refused, so that asking again is of no use until it is another one.
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }

    fn of_files(host: &str, error: ArchiveError) -> Self {
        let lasting = !matches!(error, ArchiveError::Temporary(_));
        let public = format!("{host}: {}", error.public());
        Self { public, lasting, ..Self::new(host.to_owned(), error.to_string()) }
    }

    fn of_git(host: &str, error: GitError) -> Self {
        let is_lasting = !error.is_temporary();
        match error {
            GitError::Fetch(error) => error.into(),
            GitError::Refused { reason, .. } => {
                let public = format!("{host}: it refused");
                Self { public, ..Self::new(host.to_owned(), format!("it refused: {reason}")) }
            }
            error => {
                let slow = matches!(error, GitError::Slow);
                let text = error.to_string();
                let reason = text.strip_prefix(&format!("{host}: ")).unwrap_or(&text).to_owned();
                Self { slow, lasting: is_lasting, ..Self::new(host.to_owned(), reason) }
            }
        }
    }

    fn here(host: &str, error: &io::Error) -> Self {
        Self::of_files(host, ArchiveError::Temporary(io::Error::new(error.kind(), error.to_string())))
    }
}

impl From<FetchError> for RemoteError {
    fn from(error: FetchError) -> Self {
        let slow = error.reason == Reason::Slow;
        let lasting = matches!(error.reason, Reason::TooLarge(_) | Reason::NotAllowed(_));
        let text = error.to_string();
        let reason = text.strip_prefix(&format!("{}: ", error.host)).unwrap_or(&text).to_owned();
        Self { public: error.public(), slow, lasting, ..Self::new(error.host, reason) }
    }
}

/// Looks at sources and downloads them.
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
    pub async fn look(&self, remote: Remote<'_>, known: Option<&State>) -> Result<Look, RemoteError> {
        match remote {
            Remote::Git(url, revision) => {
                let remote = self.client.repository(url);
                let resolved = remote.resolve(revision, Instant::now() + LOOK).await;
                let commit = resolved.map_err(|error| RemoteError::of_git(&host(url), error))?;
                let state = State::Commit(commit.clone());
                Ok(if known == Some(&state) {
                    Look::Unchanged
                } else {
                    Look::Changed(state, Files(Place::Git(url.clone(), commit)))
                })
            }
            Remote::Zip(url) => self.look_at_zip(url, known).await,
        }
    }

    async fn look_at_zip(&self, url: &Url, known: Option<&State>) -> Result<Look, RemoteError> {
        let tag = known.and_then(|state| match state {
            State::Tag(tag) => Some(tag.as_str()),
            _ => None,
        });
        let request = Request { url: url.as_str(), limit: limits::STARTER_BYTES, time: DOWNLOAD, known: tag };
        let body = match self.client.fetcher().get(&request).await? {
            Answer::NotModified => return Ok(Look::Unchanged),
            Answer::Found(body) => body,
        };
        let host = host(url);
        if let Some(tag) = body.etag.clone() {
            let state = State::Tag(tag);
            // Some hosts give entity tags and do not look at those they are asked about.
            return Ok(if known == Some(&state) {
                Look::Unchanged
            } else {
                Look::Changed(state, Files(Place::Zip(host, body)))
            });
        }
        let file = download(&host, body).await?;
        let digest = Digest::of_file(file.path()).await;
        let state = State::Content(digest.map_err(|error| RemoteError::here(&host, &error))?);
        Ok(if known == Some(&state) { Look::Unchanged } else { Look::Changed(state, Files(Place::Here(host, file))) })
    }

    /// The zip of the files of a source: those of `folder`, or all.
    ///
    /// # Errors
    /// When its host does not give them, or what it gives is refused.
    pub async fn zip(&self, files: Files, folder: Option<&TreePath>) -> Result<NamedTempFile, RemoteError> {
        let (host, file, layout) = match files.0 {
            Place::Git(remote, commit) => return self.zip_of_commit(&remote, commit, folder).await,
            Place::Zip(host, body) => {
                let file = download(&host, body).await?;
                (host, file, Layout::Any)
            }
            Place::Here(host, file) => (host, file, Layout::Any),
        };
        pack_zip(file.reopen().map_err(|error| RemoteError::here(&host, &error))?, layout, folder)
            .await
            .map_err(|error| RemoteError::of_files(&host, error))
    }

    async fn zip_of_commit(
        &self,
        url: &Url,
        commit: CommitSha,
        folder: Option<&TreePath>,
    ) -> Result<NamedTempFile, RemoteError> {
        let at = host(url);
        let failed = |error| RemoteError::of_git(&at, error);
        let commit = object_id(&commit).map_err(failed)?;
        let wanted = Wanted {
            objects: &[commit],
            known: None,
            depth: Some(1),
            filter: Filter::Nothing,
            limit_bytes: limits::STARTER_BYTES,
        };
        let remote = self.client.repository(url);
        let deadline = Instant::now() + DOWNLOAD + PACK;
        let packed = remote.fetch(wanted, deadline).await.map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, stopped) = (folder.cloned(), Arc::clone(&stop));
        let packing = tokio::task::spawn_blocking(move || pack_commit(&packed, commit, folder.as_ref(), &stopped));
        let zip = timeout_at(deadline, packing).await;
        stop.store(true, Ordering::Relaxed);
        match zip {
            Ok(Ok(zip)) => zip.map_err(|error| match error {
                ArchiveError::Git(error) => failed(error),
                error => RemoteError::of_files(&at, error),
            }),
            Ok(Err(panic)) => Err(RemoteError::of_files(&at, ArchiveError::Damaged(panic.to_string()))),
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
            EntryType::File(mode) => {
                let content = pack.object(&entry.id, gix_object::Kind::Blob)?;
                packer.add(path, mode, content.as_slice())
            }
            EntryType::Link => Err(ArchiveError::NotAFile(path.to_string())),
            // Another repository; archives of commits have an empty folder in its place.
            EntryType::Submodule | EntryType::Folder => Ok(()),
        }
    })?;
    packer.finish()?;
    Ok(zip)
}

/// Packs the files of a zip anew; see [`repack`].
///
/// # Errors
/// As [`repack`].
pub async fn pack_zip(packed: File, layout: Layout, folder: Option<&TreePath>) -> Result<NamedTempFile, ArchiveError> {
    let folder = folder.cloned();
    let packing = tokio::task::spawn_blocking(move || {
        let zip = NamedTempFile::new().map_err(ArchiveError::Temporary)?;
        let into = zip.reopen().map_err(ArchiveError::Temporary)?;
        repack(packed, layout, folder.as_ref(), into)?;
        Ok(zip)
    });
    packing.await.unwrap_or_else(|panic| Err(ArchiveError::Damaged(panic.to_string())))
}

async fn download(host: &str, body: Box<Body>) -> Result<NamedTempFile, RemoteError> {
    let here = |error: io::Error| RemoteError::here(host, &error);
    let file = NamedTempFile::new().map_err(here)?;
    body.write_to(&mut tokio::fs::File::from_std(file.reopen().map_err(here)?)).await?;
    Ok(file)
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
