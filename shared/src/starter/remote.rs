//! Sources on other hosts: their state, and their files.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};
use tokio::time::timeout;
use url::Url;

use super::archive::{ArchiveError, Layout, repack};
use super::git::{self, GitError, Repository};
use super::hosts::ArchiveHosts;
use super::project::Revision;
use crate::digest::{CommitSha, Digest};
use crate::fetch::{Answer, Body, FetchError, Fetcher, Reason, Request, Rules};
use crate::limits;
use crate::source::TreePath;

/// Time for a question about a state. A Git host is asked twice.
const LOOK: Duration = Duration::from_secs(4);

/// Time for a download. With looking, packing and writing, all is done within the 30 seconds that a gateway waits.
const DOWNLOAD: Duration = Duration::from_secs(12);

/// Time for reading a pack.
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

    fn of_git(remote: &Url, error: GitError) -> Self {
        match error {
            GitError::Fetch(error) => error.into(),
            GitError::Temporary(error) => Self::here(&host(remote), &error),
            GitError::Refused(reason) => {
                let host = host(remote);
                Self { public: format!("{host}: it refused"), ..Self::new(host, format!("it refused: {reason}")) }
            }
            error => Self::new(host(remote), error.to_string()),
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
    fetcher: Fetcher,
    hosts: ArchiveHosts,
}

impl Remotes {
    /// Connects nothing yet.
    pub fn new(rules: Rules, hosts: ArchiveHosts) -> Self {
        Self { fetcher: Fetcher::new(rules), hosts }
    }

    /// Asks for the state of a source.
    ///
    /// # Errors
    /// When its host does not say.
    pub async fn look(&self, remote: Remote<'_>, known: Option<&State>) -> Result<Look, RemoteError> {
        match remote {
            Remote::Git(url, revision) => {
                let commit = match revision {
                    Revision::Commit(commit) => commit.clone(),
                    revision => self.resolve(url, revision).await.map_err(|error| RemoteError::of_git(url, error))?,
                };
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

    async fn resolve(&self, remote: &Url, revision: &Revision) -> Result<CommitSha, GitError> {
        Repository::at(&self.fetcher, remote, LOOK).await?.resolve(revision, LOOK).await
    }

    async fn look_at_zip(&self, url: &Url, known: Option<&State>) -> Result<Look, RemoteError> {
        let tag = known.and_then(|state| match state {
            State::Tag(tag) => Some(tag.as_str()),
            _ => None,
        });
        let request = Request { url: url.as_str(), limit: limits::STARTER_BYTES, time: DOWNLOAD, known: tag };
        let body = match self.fetcher.get(&request).await? {
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
        let state = State::Content(Digest::of_file(file.path()).map_err(|error| RemoteError::here(&host, &error))?);
        Ok(if known == Some(&state) { Look::Unchanged } else { Look::Changed(state, Files(Place::Here(host, file))) })
    }

    /// The zip of the files of a source: those of `folder`, or all.
    ///
    /// # Errors
    /// When its host does not give them, or what it gives is refused.
    pub async fn zip(&self, files: Files, folder: Option<&TreePath>) -> Result<NamedTempFile, RemoteError> {
        let (host, file, layout) = match files.0 {
            Place::Git(remote, commit) => match self.hosts.archive(&remote, &commit) {
                Some(archive) => {
                    let request =
                        Request { url: archive.as_str(), limit: limits::STARTER_BYTES, time: DOWNLOAD, known: None };
                    let Answer::Found(body) = self.fetcher.get(&request).await? else {
                        return Err(RemoteError::of_git(&remote, GitError::Protocol("nothing was known")));
                    };
                    let host = host(&remote);
                    let file = download(&host, body).await?;
                    (host, file, Layout::OneFolder)
                }
                None => return self.clone_one(&remote, commit, folder).await,
            },
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

    async fn clone_one(
        &self,
        remote: &Url,
        commit: CommitSha,
        folder: Option<&TreePath>,
    ) -> Result<NamedTempFile, RemoteError> {
        let (at, failed) = (host(remote), |error| RemoteError::of_git(remote, error));
        let here = |error: io::Error| RemoteError::here(&host(remote), &error);
        let repository = Repository::at(&self.fetcher, remote, LOOK).await.map_err(failed)?;
        let scratch = TempDir::new().map_err(here)?;
        let pack = scratch.path().join("fetched.pack");
        let mut file = tokio::fs::File::create(&pack).await.map_err(here)?;
        repository.fetch(&commit, DOWNLOAD, &mut file).await.map_err(failed)?;
        drop(file);
        let stop = Arc::new(AtomicBool::new(false));
        let (folder, stopped) = (folder.cloned(), Arc::clone(&stop));
        let packing = tokio::task::spawn_blocking(move || {
            let zip = NamedTempFile::new().map_err(ArchiveError::Temporary)?;
            let into = zip.reopen().map_err(ArchiveError::Temporary)?;
            git::pack(&pack, &commit, folder.as_ref(), scratch.path(), &stopped, into)?;
            Ok(zip)
        });
        let packed = timeout(PACK, packing).await;
        stop.store(true, Ordering::Relaxed);
        match packed {
            Ok(Ok(packed)) => packed.map_err(|error| RemoteError::of_files(&at, error)),
            Ok(Err(panic)) => Err(RemoteError::of_files(&at, ArchiveError::Damaged(panic.to_string()))),
            Err(_) => {
                let error = RemoteError::new(at, "the repository takes too long to read".to_owned());
                Err(RemoteError { slow: true, ..error })
            }
        }
    }
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
