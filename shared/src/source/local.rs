//! A registry repository in a local folder: for development, tests and air gaps.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gix_hash::ObjectId;

use super::{Listing, Scope, Source, SourceError};
use crate::digest::CommitSha;
use crate::git::{self, LocalRepository, TreeEntryKind, object_id};
use crate::limits;
use crate::timestamp::Timestamp;
use crate::tree::{File, Mode, Tree, TreeError};

/// The parts of the folder that releases are made of.
pub(super) const PARTS: [&str; 4] = ["stacks", "samples", "extraDevfileEntries.yaml", "last_modified.json"];

/// A folder. Where its registry files are those of the commit that is checked out, it is called by that commit; otherwise by the digest
/// of its tree, since the same commit must always mean the same bytes (invariant 6).
#[derive(Debug)]
pub struct LocalSource {
    folder: PathBuf,
    url: String,
    /// The files that the last head was named by.
    read: Mutex<Option<(CommitSha, Arc<Tree>)>>,
}

impl LocalSource {
    /// Takes a folder that holds `stacks/`.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when there is no such folder, or no `stacks/` in it.
    pub fn new(folder: &Path) -> Result<Self, SourceError> {
        let reason = match (folder.is_dir(), folder.join("stacks").is_dir()) {
            (true, true) => None,
            (true, false) => Some("it has no folder stacks; name the folder of a registry repository, which has one"),
            (false, _) => Some("there is no such folder"),
        };
        if let Some(reason) = reason {
            return Err(SourceError::unavailable(folder.display().to_string(), reason));
        }
        let folder = folder.canonicalize().map_err(|error| unavailable(folder, &error))?;
        Ok(Self { url: format!("file://{}", folder.display()), folder, read: Mutex::default() })
    }

    /// Reads the files, and names them.
    async fn read(&self) -> Result<(CommitSha, Arc<Tree>), SourceError> {
        self.blocking(|folder| {
            let mut tree = Tree::default();
            for part in PARTS {
                // A file that goes while its folder is read means that somebody changes the folder.
                if exists(&folder.join(part))? {
                    collect(folder, part, &mut tree)?;
                }
            }
            if !exists(folder)? {
                let gone = format!("the folder {} of the registry repository", folder.display());
                return Err(SourceError::NotFound(gone));
            }
            let commit = clean_head(folder, &tree).unwrap_or_else(|| tree.digest().into());
            Ok((commit, Arc::new(tree)))
        })
        .await
    }

    /// The files of the last head, without a second read; the files read now must have that id.
    async fn tree(&self, commit: &CommitSha) -> Result<Arc<Tree>, SourceError> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, tree)) = known.filter(|(name, _)| name == commit) {
            return Ok(tree);
        }
        let (now, tree) = self.read().await?;
        if now == *commit {
            return Ok(tree);
        }
        let reason = "the folder changed while it was read; run refresh again";
        Err(SourceError::unavailable(self.folder.display().to_string(), reason))
    }

    /// Reads the disk where it keeps nobody waiting.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Path) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let folder = self.folder.clone();
        let reading = tokio::task::spawn_blocking(move || read(&folder)).await;
        reading.map_err(|error| unavailable(&self.folder, &error))?
    }
}

impl Source for LocalSource {
    fn url(&self) -> &str {
        &self.url
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        let read = self.read().await?;
        let commit = read.0.clone();
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        Ok(commit)
    }

    async fn listing(&self, commit: &CommitSha) -> Result<Listing, SourceError> {
        let tree = self.tree(commit).await?;
        let listing = tokio::task::spawn_blocking(move || Listing::of(&tree)).await;
        listing.map_err(|panic| unavailable(&self.folder, &panic))
    }

    async fn files(&self, commit: &CommitSha, scope: &Scope) -> Result<Tree, SourceError> {
        let whole = self.tree(commit).await?;
        Ok(scope.of(Arc::unwrap_or_clone(whole)))
    }

    /// A folder has one state and no other copy that could lag behind, so its state can always be followed.
    async fn descends(&self, _: &CommitSha, _: &CommitSha) -> Result<bool, SourceError> {
        Ok(true)
    }

    /// An uncommitted tree has no commit, and the history that counts is that of `HEAD`.
    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        let (commit, paths) = (object_id(commit).ok(), paths.to_vec());
        self.blocking(move |folder| {
            let repository = LocalRepository::of(folder);
            let head = commit.or_else(|| repository.as_ref()?.head());
            Ok(repository.zip(head).map(|(repository, head)| dates(&repository, head, paths)).unwrap_or_default())
        })
        .await
    }
}

/// The dates of paths in the history of a commit, as far as it can be read.
pub(super) fn dates(repository: &LocalRepository, commit: ObjectId, paths: Vec<String>) -> BTreeMap<String, Timestamp> {
    let dates = repository.last_modified(commit, &paths).unwrap_or_default();
    paths.into_iter().zip(dates).filter_map(|(path, date)| Some((path, date?))).collect()
}

/// The commit that is checked out, if it has just these files.
fn clean_head(folder: &Path, tree: &Tree) -> Option<CommitSha> {
    let repository = LocalRepository::of(folder)?;
    let head = repository.head()?;
    for part in PARTS {
        let committed = repository.entry_at(head, part).ok()?.map(|entry| (entry.kind, entry.id));
        let here = match tree.file(part) {
            Some(file) => Some((TreeEntryKind::File(file.mode), git::blob_id(&file.content))),
            None if tree.below(part).next().is_none() => None,
            None => Some((TreeEntryKind::Folder, git::folder_id(tree.below(part)))),
        };
        if committed != here {
            return None;
        }
    }
    head.to_string().parse().ok()
}

fn unavailable(path: &Path, reason: &dyn std::error::Error) -> SourceError {
    SourceError::unavailable(path.display().to_string(), reason)
}

fn exists(path: &Path) -> Result<bool, SourceError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unavailable(path, &error)),
    }
}

/// Adds a file, or all files below a folder, to the tree. Links, unreadable files and names that are not UTF-8 are recorded as refused.
fn collect(root: &Path, relative: &str, tree: &mut Tree) -> Result<(), SourceError> {
    let path = root.join(relative);
    let metadata = path.symlink_metadata().map_err(|error| unavailable(&path, &error))?;
    if metadata.is_dir() {
        let entries = match path.read_dir() {
            Ok(entries) => entries,
            Err(error) => return unreadable(relative, &path, &error, tree),
        };
        for entry in entries {
            let name = entry.map_err(|error| unavailable(&path, &error))?.file_name();
            match name.to_str() {
                Some(name) => collect(root, &format!("{relative}/{name}"), tree)?,
                None => {
                    let path = format!("{relative}/{}", name.to_string_lossy());
                    tree.refuse(&path, TreeError::NotUtf8(path.clone()));
                }
            }
        }
    } else if !metadata.is_file() {
        tree.refuse(relative, TreeError::NotAFile(relative.to_owned()));
    } else if metadata.len() > limits::FILE_BYTES {
        tree.refuse(relative, TreeError::FileTooLarge { path: relative.to_owned() });
    } else {
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) => return unreadable(relative, &path, &error, tree),
        };
        let mode = if metadata.permissions().mode() & 0o100 == 0 { Mode::Plain } else { Mode::Executable };
        tree.add(relative, File { content: content.into(), mode });
    }
    Ok(())
}

/// Records a file that may not be read. Any other failure, a file that went meanwhile among them, says nothing about the file.
fn unreadable(relative: &str, path: &Path, error: &std::io::Error, tree: &mut Tree) -> Result<(), SourceError> {
    if error.kind() != std::io::ErrorKind::PermissionDenied {
        return Err(unavailable(path, error));
    }
    tree.refuse(relative, TreeError::Unreadable { path: relative.to_owned(), reason: error.to_string() });
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::git::server::git_command;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    /// Runs `git` in a folder and returns its trimmed output.
    pub(in crate::source) fn git(folder: &Path, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        let output = git_command()
            .args(["-C", folder.to_str().unwrap()])
            .args(identity)
            .args(arguments)
            .env("GIT_AUTHOR_DATE", "2025-03-01T10:00:00+02:00")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[tokio::test]
    async fn plain_folder_is_named_by_its_content() {
        let folder = folder(&["stacks/go/devfile.yaml", "README.md"]);
        let source = LocalSource::new(folder.path()).unwrap();
        let head = source.head().await.unwrap();
        assert_eq!(source.files(&head, &Scope::All).await.unwrap().iter().count(), 1);
        std::fs::write(folder.path().join("README.md"), "changed").unwrap();
        assert_eq!(source.head().await.unwrap(), head);
        std::fs::write(folder.path().join("stacks/go/devfile.yaml"), "changed").unwrap();
        assert_ne!(source.head().await.unwrap(), head);
        let error = source.files(&head, &Scope::All).await.unwrap_err().to_string();
        assert!(error.contains("changed while it was read"), "{error}");
    }

    #[tokio::test]
    async fn work_tree_is_named_by_its_commit_until_it_differs() {
        let folder = folder(&["stacks/go/devfile.yaml", "stacks/é/1.0.0/devfile.yaml", "samples/x"]);
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", "One"]);
        let source = LocalSource::new(folder.path()).unwrap();
        let first = source.head().await.unwrap();
        assert_eq!(first.as_str().len(), 40);
        let paths = ["stacks/go", "stacks/é", "stacks/none"].map(str::to_owned);
        let dates = source.last_modified(&first, &paths).await.unwrap();
        let date: Timestamp = "2025-03-01T10:00:00+02:00".parse().unwrap();
        assert_eq!(
            dates.into_iter().collect::<Vec<_>>(),
            [("stacks/go".to_owned(), date.clone()), ("stacks/é".to_owned(), date)]
        );

        let listing = source.listing(&first).await.unwrap();
        for (path, id) in [
            ("stacks/go", listing.stacks["go"]),
            ("stacks/é", listing.stacks["é"]),
            ("samples", listing.others["samples"]),
        ] {
            assert_eq!(id.to_string(), git(folder.path(), &["rev-parse", &format!("HEAD:{path}")]), "{path}");
        }
        std::fs::write(folder.path().join("stacks/go/devfile.yaml"), "changed").unwrap();
        assert_eq!(source.head().await.unwrap().as_str().len(), 64, "an edited tree is not the commit");
    }

    #[tokio::test]
    async fn scope_has_its_files_and_their_faults_alone() {
        let folder = folder(&["stacks/go/devfile.yaml", "stacks/java/devfile.yaml", "extraDevfileEntries.yaml"]);
        for stack in ["go", "java"] {
            std::os::unix::fs::symlink("/etc/passwd", folder.path().join(format!("stacks/{stack}/link"))).unwrap();
        }
        let source = LocalSource::new(folder.path()).unwrap();
        let head = source.head().await.unwrap();
        let scope = Scope::Some { stacks: ["go".to_owned()].into(), extra_entries: true };
        let tree = source.files(&head, &scope).await.unwrap();
        let paths: Vec<_> = tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["extraDevfileEntries.yaml", "stacks/go/devfile.yaml"]);
        let refused: Vec<_> = tree.refused().iter().map(|refused| refused.path.as_str()).collect();
        assert_eq!(refused, ["stacks/go/link"]);
    }

    #[tokio::test]
    async fn file_that_no_tree_takes_is_recorded_with_its_reason() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder(&["stacks/go/devfile.yaml"]);
        let go = folder.path().join("stacks/go");
        std::os::unix::fs::symlink("/etc/passwd", go.join("link")).unwrap();
        std::fs::write(go.join("big"), vec![0; limits::FILE_BYTES as usize + 1]).unwrap();
        std::fs::write(go.join("back\\slash"), "x").unwrap();
        let mut expected = vec!["stacks/go/big has more than", "stacks/go/link is a link", "the path \"stacks/go/back"];
        // Other systems refuse the name.
        if cfg!(target_os = "linux") {
            std::fs::write(go.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
            expected.insert(2, "the name \"stacks/go/caf");
        }
        let source = LocalSource::new(folder.path()).unwrap();
        let head = source.head().await.unwrap();
        let tree = source.files(&head, &Scope::All).await.unwrap();
        assert_eq!(tree.iter().count(), 1);
        let mut refused: Vec<_> = tree.refused().iter().map(|refused| refused.reason.to_string()).collect();
        refused.sort();
        for (refused, expected) in refused.iter().zip(&expected) {
            assert!(refused.starts_with(expected), "{refused}");
        }
        assert_eq!(refused.len(), expected.len());
    }

    #[tokio::test]
    async fn folder_that_went_is_an_error_and_no_empty_tree() {
        let parent = tempfile::tempdir().unwrap();
        let (here, there) = (parent.path().join("registry"), parent.path().join("moved"));
        std::fs::create_dir_all(here.join("stacks/go")).unwrap();
        let source = LocalSource::new(&here).unwrap();
        source.head().await.unwrap();
        std::fs::rename(&here, &there).unwrap();
        assert!(matches!(source.head().await, Err(SourceError::NotFound(_))));
    }

    #[test]
    fn folder_without_stacks_is_no_registry_repository() {
        let folder = tempfile::tempdir().unwrap();
        let error = LocalSource::new(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("it has no folder stacks; name the folder of a registry repository, which has one"));
    }
}
