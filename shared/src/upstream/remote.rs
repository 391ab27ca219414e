//! Git repositories that entries name: their repositories, revisions and folders, and the content that is read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::run::Run;
use super::unavailable::Unavailable;
use crate::digest::CommitSha;
use crate::fetch::{FetchError, Reason};
use crate::git::{self, FolderPack, GitError, Objects, RepositoryUrl, Revision, TreeEntry, TreeEntryKind};
use crate::index::Git;
use crate::limits;
use crate::release::{Pending, PendingReason};
use crate::timestamp::Timestamp;
use crate::tree::{Tree, TreePath};

/// Time for one repository.
const TIME: Duration = Duration::from_secs(8);

/// A folder of a Git repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteFolder {
    url: RepositoryUrl,
    revision: Revision,
    /// Empty for the whole repository.
    folder: String,
}

impl RemoteFolder {
    /// The remote that an entry means: the one it names, `origin`, or the only one.
    ///
    /// # Errors
    /// [`Unavailable`] when the entry names no repository that can be read.
    pub(super) fn new(git: &Git) -> Result<Self, Unavailable> {
        let named = git.remotes.get(&git.remote_name).or_else(|| git.remotes.get("origin"));
        let written = named.or_else(|| git.remotes.values().next()).unwrap_or(&git.url);
        if written.is_empty() {
            return Err(Unavailable::lasting("no remote is given"));
        }
        let url = written.parse::<RepositoryUrl>().map_err(Unavailable::lasting)?;
        let revision = match (git.revision.as_str(), url.branch()) {
            ("", Some(branch)) => Revision::Name(branch.to_owned()),
            (revision, _) => {
                Revision::parse(revision).map_err(|error| Unavailable::lasting(format!("the revision is {error}")))?
            }
        };
        let folder = git.sub_dir.trim_matches('/');
        let folder = folder.strip_prefix("./").unwrap_or(folder);
        let folder = if folder == "." { "" } else { folder };
        if !folder.is_empty() && TreePath::parse(folder).is_err() {
            return Err(Unavailable::lasting("the folder is not a plain relative path"));
        }
        Ok(Self { url, revision, folder: folder.to_owned() })
    }

    /// The name under which releases remember a file or folder below the folder: `URL@REVISION#PATH`.
    pub(super) fn name(&self, path: &str) -> String {
        let revision = self.revision.name().unwrap_or("HEAD");
        format!("{}@{revision}#{}", self.url.url(), self.path(path))
    }

    /// Returns the commit that the revision names now.
    pub(super) async fn commit(&self, run: &Run<'_>) -> Result<CommitSha, Unavailable> {
        match &self.revision {
            Revision::Commit(commit) => Ok(commit.clone()),
            revision => {
                let (remote, deadline) = self.open(run).await?;
                Ok(run.note_down(remote.resolve(revision, deadline).await)?)
            }
        }
    }

    /// Reads the files below the folder, as files of a tree below `to`.
    /// Also returns the author date of the commit, if it says one.
    pub(super) async fn files(
        &self,
        run: &Run<'_>,
        commit: &CommitSha,
        to: &str,
    ) -> Result<(Tree, Option<Timestamp>), Unavailable> {
        let (remote, deadline) = self.open(run).await?;
        let _place = run.packs.acquire().await;
        let folder = run.note_down(remote.folder(commit, &self.folder, limits::PACK_BYTES, deadline).await)?;
        let FolderPack { pack, folder, authored } = folder;
        let folder = TreeEntry { path: to.to_owned(), is_utf8: true, kind: TreeEntryKind::Folder, id: folder };
        let (budget, remote) = (Arc::clone(&run.bytes), self.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut tree = Tree::default();
            let mut take = |bytes| budget.take(bytes).map_err(|reason| remote.error(reason));
            pack.read(folder, &mut tree, &mut take).map(|()| tree)
        });
        let tree = reading.await.unwrap_or_else(|panic| Err(GitError::Temporary(panic.to_string())))?;
        if let Some(refused) = tree.refused().first() {
            return Err(Unavailable::lasting(&refused.reason));
        }
        if tree.iter().next().is_none() {
            return Err(Unavailable::lasting(format!("the repository has nothing in its folder `{}`", self.folder)));
        }
        Ok((tree, authored))
    }

    /// Reads the first of some files below the folder; `None` when there is none of them.
    pub(super) async fn first_file<'p>(
        &self,
        run: &Run<'_>,
        commit: &CommitSha,
        paths: &[&'p str],
    ) -> Result<Option<(&'p str, Bytes)>, Unavailable> {
        let (remote, deadline) = self.open(run).await?;
        let _place = run.packs.acquire().await;
        let full: Vec<String> = paths.iter().map(|path| self.path(path)).collect();
        let found = run.note_down(remote.first_file(commit, &full, limits::PACK_BYTES, deadline).await)?;
        let Some((at, content)) = found else { return Ok(None) };
        if content.len() > limits::DEVFILE_BYTES {
            return Err(GitError::TooLarge { limit: limits::DEVFILE_BYTES as u64, unit: "bytes in its devfile" }.into());
        }
        run.bytes.take(content.len()).map_err(|reason| self.error(reason))?;
        Ok(paths.get(at).map(|path| (*path, Bytes::from(content))))
    }

    fn path(&self, path: &str) -> String {
        match (self.folder.as_str(), path) {
            ("", path) => path.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, path) => format!("{folder}/{path}"),
        }
    }

    fn host(&self) -> &str {
        self.url.url().host_str().unwrap_or_default()
    }

    fn error(&self, reason: Reason) -> GitError {
        FetchError { host: self.host().to_owned(), redirected_from: None, reason }.into()
    }

    async fn open(&self, run: &Run<'_>) -> Result<(git::Remote, Instant), GitError> {
        let client = run.client.ok_or_else(|| self.error(Reason::NotAllowed("nothing is fetched here")))?;
        if let Some(reason) = run.down(self.host()) {
            return Err(self.error(reason));
        }
        Ok((client.repository(self.url.url()).await?, run.deadline.min(Instant::now() + TIME)))
    }
}

/// Records why an entry of a repository is tried again: it follows a branch, or its host failed.
pub(super) fn note_pending(run: &Run<'_>, git: &Git, failed: Option<&Unavailable>, of: &str, pending: &mut Pending) {
    let is_fixed = |remote: RemoteFolder| matches!(remote.revision, Revision::Commit(_));
    if run.client.is_some() && RemoteFolder::new(git).is_ok_and(|remote| !is_fixed(remote)) {
        pending.add(of.to_owned(), PendingReason::Branch);
    }
    if run.client.is_some() && failed.is_some_and(|failed| failed.is_temporary) {
        pending.add(of.to_owned(), PendingReason::Unreachable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str, revision: &str, folder: &str) -> Git {
        let remotes = [("origin".to_owned(), url.to_owned())].into();
        Git { remotes, revision: revision.to_owned(), sub_dir: folder.to_owned(), ..Git::default() }
    }

    #[test]
    fn remote_is_named_by_url_revision_and_path() {
        let commit = "0123456789012345678901234567890123456789";
        for (url, revision, folder, name) in [
            ("https://github.com/clay/pot.git", "", "", "https://github.com/clay/pot.git@HEAD#devfile.yaml"),
            ("https://x.org/a/b/c", "feature/a", "/glazed/", "https://x.org/a/b/c@feature/a#glazed/devfile.yaml"),
            ("https://x.org/a/b/tree/v1", "", "./", "https://x.org/a/b@v1#devfile.yaml"),
            ("https://x.org/a", commit, ".", &format!("https://x.org/a@{commit}#devfile.yaml")),
        ] {
            let remote = RemoteFolder::new(&git(url, revision, folder)).unwrap();
            assert_eq!(remote.name("devfile.yaml"), name);
        }
    }

    #[test]
    fn remote_that_cannot_be_read_is_refused() {
        for (url, revision, folder) in [
            ("", "", ""),
            ("git@github.com:clay/pot.git", "", ""),
            ("ssh://git@github.com/clay/pot", "", ""),
            ("https://github.com/clay//pot", "", ""),
            ("https://github.com/clay/pot", "../../other", ""),
            ("https://github.com/clay/pot", "", "../x"),
            ("https://github.com/clay/pot", "a\nb", ""),
        ] {
            assert!(RemoteFolder::new(&git(url, revision, folder)).is_err(), "{url} {revision} {folder}");
        }
    }
}
