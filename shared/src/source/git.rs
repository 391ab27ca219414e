//! A registry repository on a Git host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gix_hash::ObjectId;
use http::HeaderValue;
use tokio::time::Instant;
use url::Url;

use super::github::{CallFailure, GitHub, InstallationToken, given_up, token_value, with_plain};
use super::{Listing, Scope, Source, SourceError};
use crate::digest::CommitSha;
use crate::fetch::{Fetcher, Reason, Rules};
use crate::git::{
    Filter, GitCredentials, GitError, Objects, Pack, Packed, Remote, RepositoryUrl, Revision, TreeEntry, TreeEntryKind,
    Wanted, object_id,
};
use crate::limits;
use crate::retry::retry;
use crate::secret::Secret;
use crate::timestamp::Timestamp;
use crate::tree::Tree;

/// Time for one question about a reference, further attempts included.
const LOOK: Duration = Duration::from_secs(20);

/// Time for one pack, further attempts included.
const PACK: Duration = Duration::from_secs(60);

/// Time for the history of undated paths. Paths without an answer stay pending.
const HISTORY: Duration = Duration::from_secs(20);

/// The user of a token: that of GitHub's documentation for tokens of Apps; other tokens take any name.
const USER: &str = "x-access-token";

/// A registry repository on a Git host, read over Git's protocol alone.
#[derive(Debug)]
pub struct GitSource {
    repository: RepositoryUrl,
    url: String,
    remote: Remote,
    access: GitAccess,
    /// The folders of the last commit that was listed; where the host has no filters, all of its files.
    listed: Mutex<Option<(CommitSha, Arc<Folders>)>>,
}

/// The credentials of a [`GitSource`].
#[derive(Debug)]
pub enum GitAccess {
    /// None.
    Anonymous,
    /// The user and the secret that `GIT_CREDENTIALS` has for the host of a URL.
    Host(GitCredentials, Url),
    /// A token of GitHub.
    Token(Secret),
    /// The token of a GitHub App, which is asked for when it is needed.
    App(Arc<GitHub>),
}

/// The folders of a commit.
#[derive(Debug)]
struct Folders {
    pack: Pack,
    root: ObjectId,
    parents: Vec<CommitSha>,
    /// Whether the pack has the files as well.
    has_files: bool,
}

impl GitAccess {
    /// Chooses the credentials of a host: those of `GIT_CREDENTIALS`, or none.
    pub fn of_host(credentials: &GitCredentials, repository: &RepositoryUrl) -> Self {
        Self::Host(credentials.clone(), repository.url().clone())
    }

    async fn header(&self) -> Result<Option<HeaderValue>, CallFailure> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Host(credentials, url) => {
                let header = credentials.authorization(url).await;
                header.map_err(|error| {
                    CallFailure::Final(SourceError::unavailable("the credentials of Git hosts", error))
                })
            }
            Self::Token(token) => {
                let token = token_value(token).await.map_err(CallFailure::Final)?;
                with_plain(token.trim(), |token| GitCredentials::basic(USER, token))
                    .map(Some)
                    .map_err(CallFailure::Final)
            }
            Self::App(app) => {
                let InstallationToken(token) = app.installation_token().await?;
                Ok(GitCredentials::basic(USER, &token))
            }
        }
    }

    /// Forgets a token that the host refused; whether another one may do better.
    async fn refused(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Host(credentials, _) => credentials.is_renewed().await,
            Self::Token(token) => token.is_renewed().await,
            Self::App(app) => app.refused().await,
        }
    }
}

impl GitSource {
    /// Connects nothing yet. The host may have a private address, since the operator chose it.
    pub fn new(repository: RepositoryUrl, access: GitAccess) -> Self {
        let fetcher = Arc::new(Fetcher::new(Rules::of_operator(repository.url())));
        let remote = Remote::new(&fetcher, repository.url().clone(), None);
        let url = repository.url().as_str().trim_end_matches(".git").to_owned();
        Self { url, repository, remote, access, listed: Mutex::default() }
    }

    /// The repository and the branch that is followed.
    pub fn repository(&self) -> &RepositoryUrl {
        &self.repository
    }

    /// Returns the monitored branch: that of the URL, else the repository's default branch.
    ///
    /// # Errors
    /// [`SourceError`] when the host does not answer.
    pub async fn branch(&self) -> Result<String, SourceError> {
        match self.repository.branch() {
            Some(branch) => Ok(branch.to_owned()),
            None => {
                let what = format!("the default branch of {}", self.url);
                self.call(&what, LOOK, |remote, deadline| async move { remote.default_branch(deadline).await }).await
            }
        }
    }

    /// Runs a call with the credentials of now, and again after failures that may pass.
    async fn call<T, F>(
        &self,
        what: &str,
        budget: Duration,
        call: impl Fn(Remote, Instant) -> F,
    ) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, GitError>>,
    {
        let deadline = Instant::now() + budget;
        let is_gone = AtomicBool::new(false);
        let attempt = || async {
            let remote = self.remote.authorized(self.access.header().await?);
            let answer = call(remote, deadline).await;
            is_gone.store(matches!(answer, Err(GitError::NoSuchCommit { .. })), Ordering::Relaxed);
            match answer {
                Ok(answer) => Ok(answer),
                Err(error) => Err(self.failure(what, error).await),
            }
        };
        retry(what, budget, attempt).await.map_err(|error| match is_gone.load(Ordering::Relaxed) {
            true => SourceError::NotFound(what.to_owned()),
            false => given_up(what, error),
        })
    }

    async fn failure(&self, what: &str, error: GitError) -> CallFailure {
        let reason = match &error {
            GitError::Fetch(error) => Some(&error.reason),
            _ => None,
        };
        let is_denied = matches!(reason, Some(Reason::Status(401 | 403)));
        match reason {
            _ if is_denied && self.access.refused().await => CallFailure::Passing(error.to_string()),
            _ if is_denied => {
                let help = "set GIT_CREDENTIALS, or for GitHub GITHUB_TOKEN or a GitHub App, to read the repository";
                CallFailure::Final(SourceError::unavailable(what, format!("{error}; {help}")))
            }
            Some(Reason::Wait(_, wait)) => CallFailure::Wait(error.to_string(), *wait),
            _ if error.is_temporary() => CallFailure::Passing(error.to_string()),
            Some(Reason::NotFound) => CallFailure::Final(SourceError::NotFound(what.to_owned())),
            _ if matches!(error, GitError::NoSuchRevision { .. } | GitError::Empty(_)) => {
                CallFailure::Final(SourceError::NotFound(format!("{what} ({error})")))
            }
            _ => CallFailure::Final(SourceError::unavailable(what, error)),
        }
    }

    /// The folders of a commit: those of the last listing, or fetched.
    async fn folders(&self, commit: &CommitSha) -> Result<Arc<Folders>, SourceError> {
        let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, folders)) = known.filter(|(known, _)| known == commit) {
            return Ok(folders);
        }
        let what = format!("the folders of {} at {}", self.url, commit.short());
        let id = object_id(commit).map_err(|error| SourceError::unavailable(&what, error))?;
        let fetched = self.call(&what, PACK, |remote, deadline| async move {
            let has_files = !remote.has_filters(deadline).await?;
            // The commit, its root folder, and the folders in that: the ids of all stacks.
            let Packed { pack, .. } = remote.fetch(Wanted::commit(&[id], Filter::Depth(2)), deadline).await?;
            let found = pack.commit(&id)?.ok_or_else(|| GitError::object(id, "it is missing"))?;
            let parents = found.parents.iter().filter_map(|parent| parent.to_string().parse().ok()).collect();
            Ok(Folders { pack, root: found.tree, parents, has_files })
        });
        let folders = Arc::new(fetched.await?);
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        *listed = Some((commit.clone(), Arc::clone(&folders)));
        Ok(folders)
    }
}

impl Folders {
    /// The entries of the root folder, and of `stacks`.
    fn entries(&self) -> Result<(Vec<TreeEntry>, Vec<TreeEntry>), GitError> {
        let root = self.pack.entries(&self.root)?;
        let stacks = root.iter().find(|entry| entry.path == "stacks" && entry.kind == TreeEntryKind::Folder);
        let stacks = stacks.map(|stacks| self.pack.entries(&stacks.id)).transpose()?.unwrap_or_default();
        Ok((root, stacks))
    }

    fn listing(&self) -> Result<Listing, GitError> {
        let (root, stacks) = self.entries()?;
        let is_stack = |entry: &&TreeEntry| !matches!(entry.kind, TreeEntryKind::File(_) | TreeEntryKind::Submodule);
        let is_other = |entry: &&TreeEntry| Tree::wants(&entry.path) || entry.path == "samples";
        Ok(Listing {
            stacks: stacks.iter().filter(is_stack).map(|entry| (entry.path.clone(), entry.id.into())).collect(),
            others: root.iter().filter(is_other).map(|entry| (entry.path.clone(), entry.id.into())).collect(),
            parents: self.parents.clone(),
        })
    }

    /// The entries of a scope, each with its path in the repository.
    fn wanted(&self, scope: &Scope) -> Result<Vec<TreeEntry>, GitError> {
        let (root, stacks) = self.entries()?;
        let in_stacks = stacks.into_iter().map(|entry| TreeEntry { path: format!("stacks/{}", entry.path), ..entry });
        let in_root = root.into_iter().filter(|entry| entry.path != "stacks");
        let is_wanted = |entry: &TreeEntry| match entry.kind {
            TreeEntryKind::Submodule => false,
            TreeEntryKind::Folder => scope.wants(&format!("{}/", entry.path)),
            TreeEntryKind::File(_) => scope.wants(&entry.path),
            // It stands for a file or for a folder.
            TreeEntryKind::Link => scope.wants(&entry.path) || scope.wants(&format!("{}/", entry.path)),
        };
        Ok(in_root.chain(in_stacks).filter(is_wanted).collect())
    }
}

impl Source for GitSource {
    fn url(&self) -> &str {
        &self.url
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        let (what, revision) = match self.repository.branch() {
            Some(branch) => (format!("the branch {branch} of {}", self.url), Revision::Name(branch.to_owned())),
            None => (format!("the default branch of {}", self.url), Revision::Default),
        };
        let revision = &revision;
        self.call(&what, LOOK, |remote, deadline| async move { remote.resolve(revision, deadline).await }).await
    }

    async fn reference(&self, name: &str) -> Result<Option<CommitSha>, SourceError> {
        let what = format!("{name} of {}", self.url);
        self.call(&what, LOOK, |remote, deadline| async move { remote.reference(name, deadline).await }).await
    }

    async fn listing(&self, commit: &CommitSha) -> Result<Listing, SourceError> {
        let what = || format!("the folders of {} at {}", self.url, commit.short());
        self.folders(commit).await?.listing().map_err(|error| SourceError::unavailable(what(), error))
    }

    async fn files(&self, commit: &CommitSha, scope: &Scope) -> Result<Tree, SourceError> {
        let what = format!("the files of {} at {}", self.url, commit.short());
        let failed = |error: GitError| SourceError::unavailable(&what, error);
        let folders = self.folders(commit).await?;
        let wanted = folders.wanted(scope).map_err(failed)?;
        let ids: Vec<ObjectId> =
            wanted.iter().filter(|entry| entry.kind != TreeEntryKind::Link).map(|entry| entry.id).collect();
        let fetched = if folders.has_files || ids.is_empty() {
            None
        } else {
            let ids = &ids;
            let fetched = self.call(&what, PACK, |remote, deadline| async move {
                // Larger files are refused anyway.
                let filter = Filter::FilesFrom(limits::FILE_BYTES + 1);
                remote.fetch(Wanted { depth: None, ..Wanted::commit(ids, filter) }, deadline).await
            });
            Some(fetched.await?.pack)
        };
        let reading = tokio::task::spawn_blocking(move || {
            let mut tree = Tree::default();
            let pack = fetched.as_ref().unwrap_or(&folders.pack);
            for entry in wanted {
                pack.read(entry, &mut tree, &mut |_| Ok(()))?;
            }
            Ok(tree)
        });
        let read = reading.await.unwrap_or_else(|panic| Err(GitError::object("of the pack", panic)));
        read.map_err(failed)
    }

    async fn descends(&self, commit: &CommitSha, ancestor: &CommitSha) -> Result<bool, SourceError> {
        // Most commits follow the live one directly, or merge a branch into it.
        if commit == ancestor || self.folders(commit).await?.parents.contains(ancestor) {
            return Ok(true);
        }
        let Ok(_) = object_id(ancestor) else { return Ok(false) };
        let what = format!("the history of {} from {} to {}", self.url, ancestor.short(), commit.short());
        let descends = |remote: Remote, deadline| async move { remote.descends(commit, ancestor, deadline).await };
        self.call(&what, LOOK, descends).await
    }

    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        let what = format!("the history of {} at {}", self.url, commit.short());
        let dates = |remote: Remote, deadline| async move { remote.last_modified(commit, paths, deadline).await };
        self.call(&what, HISTORY, dates).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::server::TestServer;

    #[tokio::test]
    async fn wait_that_a_host_asks_for_beyond_the_budget_ends_the_call_at_once() {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let answer =
                format!("HTTP/1.1 {status}\r\nretry-after: 3600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let host = TestServer::start(move |_, _| answer.clone().into_bytes()).await;
            let source = GitSource::new(host.url("/registry").parse().unwrap(), GitAccess::Anonymous);
            let error = source.listing(&"1".repeat(40).parse().unwrap()).await.unwrap_err().to_string();
            assert!(error.contains("try again after"), "{error}");
            assert_eq!(host.asked().len(), 1, "{status}");
        }
    }
}
