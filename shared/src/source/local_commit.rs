//! A commit of a Git repository on this machine, apart from its work tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::local::{PARTS, dates};
use super::{Listing, Scope, Source, SourceError};
use crate::digest::CommitSha;
use crate::git::{GitError, LocalRepository, Objects, TreeEntry, object_id};
use crate::timestamp::Timestamp;
use crate::tree::Tree;

/// A commit of the repository that a folder is in; the folder is that of the registry repository. It is the head of this source.
#[derive(Debug)]
pub struct LocalCommit {
    folder: PathBuf,
    url: String,
    commit: CommitSha,
}

impl LocalCommit {
    /// Takes the commit of a revision: a branch, a tag, `HEAD` or a full hash, each perhaps followed by `~N` or `^`.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when the folder is in no repository, or the revision is not known there.
    pub fn new(folder: &Path, revision: &str) -> Result<Self, SourceError> {
        let no_repository = || SourceError::NotFound(format!("the Git repository of {}", folder.display()));
        let repository = LocalRepository::of(folder).ok_or_else(no_repository)?;
        let commit = repository.resolve(revision).and_then(|commit| commit.to_string().parse().ok());
        let no_commit = || SourceError::NotFound(format!("the revision {revision} of {}", folder.display()));
        let commit = commit.ok_or_else(no_commit)?;
        let folder = folder.canonicalize().map_err(|error| unavailable(folder, &error))?;
        Ok(Self { url: format!("file://{}", folder.display()), folder, commit })
    }

    /// Reads the repository where it keeps nobody waiting.
    async fn read<T: Send + 'static>(
        &self,
        commit: &CommitSha,
        read: impl FnOnce(&LocalRepository, gix_hash::ObjectId) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let (folder, id) = (self.folder.clone(), object_id(commit));
        let reading = tokio::task::spawn_blocking(move || {
            let gone = || GitError::object("of the repository", "the repository is gone");
            read(&LocalRepository::of(&folder).ok_or_else(gone)?, id?)
        });
        let read = reading.await.map_err(|panic| unavailable(&self.folder, &panic))?;
        read.map_err(|error| unavailable(&self.folder, &error))
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        let read = |repository: &LocalRepository, commit| {
            let mut tree = Tree::default();
            for part in PARTS {
                if let Some(entry) = repository.entry_at(commit, part)? {
                    let entry = TreeEntry { path: part.to_owned(), ..entry };
                    repository.read(entry, &mut tree, &mut |_| Ok(()))?;
                }
            }
            Ok(tree)
        };
        self.read(commit, read).await
    }
}

impl Source for LocalCommit {
    fn url(&self) -> &str {
        &self.url
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        Ok(self.commit.clone())
    }

    async fn listing(&self, commit: &CommitSha) -> Result<Listing, SourceError> {
        Ok(Listing::of(&self.tree(commit).await?))
    }

    async fn files(&self, commit: &CommitSha, scope: &Scope) -> Result<Tree, SourceError> {
        Ok(scope.of(self.tree(commit).await?))
    }

    /// It has one state, which can always be followed.
    async fn descends(&self, _: &CommitSha, _: &CommitSha) -> Result<bool, SourceError> {
        Ok(true)
    }

    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        let paths = paths.to_vec();
        self.read(commit, move |repository, commit| Ok(dates(repository, commit, paths))).await
    }
}

fn unavailable(path: &Path, reason: &dyn std::error::Error) -> SourceError {
    SourceError::unavailable(path.display().to_string(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::local::tests::git;

    #[tokio::test]
    async fn commit_keeps_its_files_whatever_is_checked_out() {
        let folder = tempfile::tempdir().unwrap();
        let registry = folder.path().join("registry");
        std::fs::create_dir_all(registry.join("stacks/go")).unwrap();
        let devfile = registry.join("stacks/go/devfile.yaml");
        std::fs::write(&devfile, "one").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", registry.join("stacks/go/link")).unwrap();
        git(folder.path(), &["init", "-q", "-b", "main"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", "One"]);
        std::fs::write(&devfile, "two").unwrap();
        git(folder.path(), &["commit", "-qam", "Two"]);
        std::fs::write(&devfile, "three").unwrap();
        for (revision, expected) in [("main~1", "one"), ("HEAD", "two")] {
            let source = LocalCommit::new(&registry, revision).unwrap();
            let head = source.head().await.unwrap();
            let tree = source.files(&head, &Scope::All).await.unwrap();
            assert_eq!(tree.get("stacks/go/devfile.yaml").unwrap(), expected);
            assert_eq!(tree.refused().len(), 1, "the link");
            assert_eq!(source.listing(&head).await.unwrap().stacks.len(), 1);
            assert_eq!(source.last_modified(&head, &["stacks/go".to_owned()]).await.unwrap().len(), 1);
        }
        assert!(matches!(LocalCommit::new(&registry, "nothing"), Err(SourceError::NotFound(_))));
        let other = tempfile::tempdir().unwrap();
        assert!(matches!(LocalCommit::new(other.path(), "HEAD"), Err(SourceError::NotFound(_))));
    }
}
