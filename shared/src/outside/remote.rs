//! Git repositories that entries name: which repository, revision and folder they mean, and what is read of those.

use std::time::Duration;

use bytes::Bytes;
use gix_hash::ObjectId;
use tokio::time::Instant;

use super::run::Run;
use crate::digest::CommitSha;
use crate::fetch::{FetchError, Reason};
use crate::git::{self, EntryType, FolderPack, GitError, InvalidRepositoryUrl, Objects, Pack, RepositoryUrl, Revision};
use crate::index::Git;
use crate::limits;
use crate::timestamp::Timestamp;
use crate::tree::{File, Tree, TreeError, TreePath};

/// Time for one repository.
const TIME: Duration = Duration::from_secs(8);

/// A folder of a Git repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    url: RepositoryUrl,
    revision: Revision,
    /// Empty for the whole repository.
    folder: String,
}

/// Why an entry names no repository that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidRemote {
    #[error("no remote is given")]
    Missing,
    #[error(transparent)]
    Url(#[from] InvalidRepositoryUrl),
    #[error("the revision is neither a branch, a tag nor a commit")]
    Revision,
    #[error("the folder is not a plain relative path")]
    Folder,
}

/// Why files of a repository were not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Refused(#[from] TreeError),
    #[error("the repository has nothing in its folder `{0}`")]
    Nothing(String),
    #[error("everything that is fetched has more than {} bytes together", limits::UPSTREAM_BYTES)]
    BudgetSpent,
}

impl ReadError {
    /// Whether a later attempt may succeed without a change of the entry.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Git(error) => error.is_temporary(),
            // The next refresh has less to fetch.
            Self::BudgetSpent => true,
            Self::Refused(_) | Self::Nothing(_) => false,
        }
    }

    /// The same in words that everybody may read.
    pub(super) fn public(&self) -> String {
        match self {
            Self::Git(error) => error.public(),
            error => error.to_string(),
        }
    }
}

impl Remote {
    /// The remote that an entry means: the one it names, `origin`, or the only one.
    pub(super) fn new(git: &Git) -> Result<Self, InvalidRemote> {
        let named = git.remotes.get(&git.remote_name).or_else(|| git.remotes.get("origin"));
        let written = named.or_else(|| git.remotes.values().next()).unwrap_or(&git.url);
        if written.is_empty() {
            return Err(InvalidRemote::Missing);
        }
        let url: RepositoryUrl = written.parse()?;
        let revision = match (git.revision.as_str(), url.branch()) {
            ("", Some(branch)) => Revision::Name(branch.to_owned()),
            (revision, _) => Revision::parse(revision).map_err(|_| InvalidRemote::Revision)?,
        };
        let folder = git.sub_dir.trim_matches('/');
        let folder = folder.strip_prefix("./").unwrap_or(folder);
        let folder = if folder == "." { "" } else { folder };
        if !folder.is_empty() && TreePath::parse(folder).is_err() {
            return Err(InvalidRemote::Folder);
        }
        Ok(Self { url, revision, folder: folder.to_owned() })
    }

    /// The name under which releases remember a file or folder below the folder: `URL@REVISION#PATH`.
    pub(super) fn name(&self, path: &str) -> String {
        let revision = match &self.revision {
            Revision::Default => "HEAD",
            Revision::Name(name) => name,
            Revision::Commit(commit) => commit.as_str(),
        };
        format!("{}@{revision}#{}", self.url.url(), self.path(path))
    }

    /// Whether the revision may name another commit later.
    pub(super) fn follows_branch(&self) -> bool {
        !matches!(self.revision, Revision::Commit(_))
    }

    /// Returns the commit that the revision names now.
    pub(super) async fn commit(&self, run: &Run<'_>) -> Result<CommitSha, GitError> {
        match &self.revision {
            Revision::Commit(commit) => Ok(commit.clone()),
            revision => {
                let (remote, deadline) = self.open(run)?;
                run.note_down(remote.resolve(revision, deadline).await)
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
    ) -> Result<(Tree, Option<Timestamp>), ReadError> {
        let (remote, deadline) = self.open(run)?;
        let _place = run.packs.acquire().await;
        let folder = run.note_down(remote.folder(commit, &self.folder, limits::PACK_BYTES, deadline).await)?;
        let FolderPack { pack, folder, authored } = folder;
        let (to, left) = (to.to_owned(), std::sync::Arc::clone(&run.bytes_left));
        let reading = tokio::task::spawn_blocking(move || tree(&pack, folder, &to, &left));
        let tree = reading.await.unwrap_or_else(|panic| Err(GitError::Temporary(panic.to_string()).into()))?;
        if tree.iter().next().is_none() {
            return Err(ReadError::Nothing(self.folder.clone()));
        }
        Ok((tree, authored))
    }

    /// Reads the first of some files below the folder; `None` when there is none of them.
    pub(super) async fn first_file<'p>(
        &self,
        run: &Run<'_>,
        commit: &CommitSha,
        paths: &[&'p str],
    ) -> Result<Option<(&'p str, Bytes)>, ReadError> {
        let (remote, deadline) = self.open(run)?;
        let _place = run.packs.acquire().await;
        let full: Vec<String> = paths.iter().map(|path| self.path(path)).collect();
        let found = run.note_down(remote.first_file(commit, &full, limits::PACK_BYTES, deadline).await)?;
        let Some((at, content)) = found else { return Ok(None) };
        if content.len() > limits::DEVFILE_BYTES {
            return Err(GitError::TooLarge { limit: limits::DEVFILE_BYTES as u64, unit: "bytes in its devfile" }.into());
        }
        if !run.takes(content.len()) {
            return Err(ReadError::BudgetSpent);
        }
        Ok(paths.get(at).map(|path| (*path, Bytes::from(content))))
    }

    fn path(&self, path: &str) -> String {
        match (self.folder.as_str(), path) {
            ("", path) => path.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, path) => format!("{folder}/{path}"),
        }
    }

    fn open(&self, run: &Run<'_>) -> Result<(git::Remote, Instant), GitError> {
        let host = self.url.url().host_str().unwrap_or_default();
        let error = |reason| FetchError { host: host.to_owned(), redirected_from: None, reason };
        let client = run.client.ok_or_else(|| error(Reason::NotAllowed("nothing is fetched here")))?;
        if let Some(reason) = run.down(host) {
            return Err(error(reason).into());
        }
        Ok((client.repository(self.url.url()), run.deadline.min(Instant::now() + TIME)))
    }
}

/// Reads everything below a folder of a pack, with its paths below `to`. The bytes come out of the budget of the run.
fn tree(pack: &Pack, folder: ObjectId, to: &str, bytes_left: &std::sync::atomic::AtomicU64) -> Result<Tree, ReadError> {
    use std::sync::atomic::Ordering::Relaxed;
    let mut tree = Tree::default();
    pack.walk(folder, limits::TREE_FILES, &mut |entry| {
        let path = format!("{to}/{}", entry.path);
        let mode = match entry.kind {
            EntryType::File(mode) => mode,
            EntryType::Link => return Err(TreeError::NotAFile(path).into()),
            EntryType::Submodule | EntryType::Folder => return Ok(()),
        };
        let path = if entry.is_utf8 { TreePath::parse(&path)? } else { return Err(TreeError::Path(path).into()) };
        let content = pack.object(&entry.id, gix_object::Kind::Blob)?;
        let take = |left: u64| left.checked_sub(content.len() as u64);
        bytes_left.fetch_update(Relaxed, Relaxed, take).map_err(|_| ReadError::BudgetSpent)?;
        tree.insert(path, File { content: content.into(), mode }).map_err(ReadError::from)
    })?;
    Ok(tree)
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
            let remote = Remote::new(&git(url, revision, folder)).unwrap();
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
            assert!(Remote::new(&git(url, revision, folder)).is_err(), "{url} {revision} {folder}");
        }
    }
}
