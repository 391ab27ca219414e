//! A registry repository in a local folder: for development, tests and air gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Comparison, File, Mode, Relation, Scope, Source, SourceError, Tree, TreeError, TreePath};
use crate::digest::CommitSha;
use crate::git::{self, EntryType, LocalRepository, object_id};
use crate::limits;
use crate::timestamp::Timestamp;

/// The parts of the folder that releases are made of.
const PARTS: [&str; 4] = ["stacks", "samples", "extraDevfileEntries.yaml", "last_modified.json"];

/// A folder. Where its registry files are those of the commit that is checked out, it is called by that commit; otherwise by the digest
/// of its tree, since the same commit must always mean the same bytes (invariant 6).
#[derive(Debug)]
pub struct LocalSource {
    folder: PathBuf,
    url: String,
    /// The files that the last head was named by.
    read: Mutex<Option<(CommitSha, Tree)>>,
}

impl LocalSource {
    /// Takes a folder that holds `stacks/`.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when there is no such folder, or no `stacks/` in it.
    pub fn new(folder: &Path) -> Result<Self, SourceError> {
        let stacks = folder.join("stacks");
        if !stacks.is_dir() {
            return Err(SourceError::NotFound(format!("the folder {} of a registry repository", stacks.display())));
        }
        let folder = folder.canonicalize().map_err(|error| unavailable(folder, &error))?;
        Ok(Self { url: format!("file://{}", folder.display()), folder, read: Mutex::default() })
    }

    /// Reads the files, and names them.
    async fn read(&self) -> Result<(CommitSha, Tree), SourceError> {
        self.blocking(|folder| {
            let mut tree = Tree::default();
            for part in PARTS {
                collect(folder, part, &mut tree)?;
            }
            let commit = clean_head(folder, &tree).unwrap_or_else(|| tree.digest().into());
            Ok((commit, tree))
        })
        .await
    }

    /// The files of the last head, without reading them again; what is read now must have that name.
    async fn files(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, tree)) = known.filter(|(name, _)| name == commit) {
            return Ok(tree);
        }
        let (now, tree) = self.read().await?;
        if now == *commit { Ok(tree) } else { Err(self.changed_meanwhile()) }
    }

    fn changed_meanwhile(&self) -> SourceError {
        SourceError::Unavailable {
            what: format!("reading {}", self.folder.display()),
            reason: "the folder changed while it was read; run refresh again".into(),
        }
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
        let (commit, tree) = self.read().await?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((commit.clone(), tree));
        Ok(commit)
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        self.files(commit).await
    }

    async fn part(&self, commit: &CommitSha, scope: &Scope) -> Result<Option<Tree>, SourceError> {
        let mut part = Tree::default();
        for (path, file) in self.files(commit).await?.iter().filter(|(path, _)| scope.wants(path.as_str())) {
            part.insert(path.clone(), file.clone())?;
        }
        Ok(Some(part))
    }

    async fn compare(&self, base: &CommitSha, target: &CommitSha) -> Result<Comparison, SourceError> {
        if base == target {
            return Ok(Comparison { relation: Relation::Same, changed: Some(BTreeSet::new()) });
        }
        let unknown = Comparison { relation: Relation::Diverged, changed: None };
        let (Ok(base), Ok(target)) = (object_id(base), object_id(target)) else { return Ok(unknown) };
        self.blocking(move |folder| {
            let compare = || -> Option<Comparison> {
                let repository = LocalRepository::of(folder)?;
                if repository.descends(target, base).ok()? {
                    let changed = repository.changed(base, target, &PARTS).ok()?;
                    let changed = changed.iter().map(|path| TreePath::parse(path)).collect::<Result<_, _>>().ok();
                    return Some(Comparison { relation: Relation::Ahead, changed });
                }
                let behind = repository.descends(base, target).ok()?;
                let relation = if behind { Relation::Behind } else { Relation::Diverged };
                Some(Comparison { relation, changed: None })
            };
            Ok(compare().unwrap_or(unknown))
        })
        .await
    }

    /// An uncommitted tree has no commit, and the history that counts is that of `HEAD`.
    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        let (commit, paths) = (object_id(commit).ok(), paths.to_vec());
        self.blocking(move |folder| {
            let dates = || -> Option<BTreeMap<String, Timestamp>> {
                let repository = LocalRepository::of(folder)?;
                let head = commit.or_else(|| repository.head())?;
                let dates = repository.last_modified(head, &paths).ok()?;
                Some(paths.into_iter().zip(dates).filter_map(|(path, date)| Some((path, date?))).collect())
            };
            Ok(dates().unwrap_or_default())
        })
        .await
    }
}

/// The commit that is checked out, if it has just these files.
fn clean_head(folder: &Path, tree: &Tree) -> Option<CommitSha> {
    let repository = LocalRepository::of(folder)?;
    let head = repository.head()?;
    for part in PARTS {
        let committed = repository.entry_at(head, part).ok()?.map(|entry| (entry.kind, entry.id));
        let here = match tree.file(part) {
            Some(file) => Some((EntryType::File(file.mode), git::blob_id(&file.content))),
            None if tree.below(part).next().is_none() => None,
            None => Some((EntryType::Folder, git::folder_id(tree.below(part)))),
        };
        if committed != here {
            return None;
        }
    }
    head.to_string().parse().ok()
}

fn unavailable(path: &Path, reason: &dyn std::error::Error) -> SourceError {
    SourceError::Unavailable { what: format!("reading {}", path.display()), reason: reason.to_string() }
}

/// Adds a file, or all files below a folder, to the tree. What is not there is left out.
fn collect(root: &Path, relative: &str, tree: &mut Tree) -> Result<(), SourceError> {
    let path = root.join(relative);
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(&path, &error)),
    };
    if metadata.is_dir() {
        let entries = path.read_dir().map_err(|error| unavailable(&path, &error))?;
        for entry in entries {
            let name = entry.map_err(|error| unavailable(&path, &error))?.file_name();
            let name = name.to_str().ok_or_else(|| TreeError::Path(name.to_string_lossy().into_owned()))?;
            collect(root, &format!("{relative}/{name}"), tree)?;
        }
        Ok(())
    } else if metadata.is_file() {
        if metadata.len() > limits::FILE_BYTES {
            return Err(TreeError::FileTooLarge { path: relative.to_owned() }.into());
        }
        let content = std::fs::read(&path).map_err(|error| unavailable(&path, &error))?;
        let mode = if metadata.permissions().mode() & 0o100 == 0 { Mode::Plain } else { Mode::Executable };
        tree.insert(TreePath::parse(relative)?, File { content: content.into(), mode })?;
        Ok(())
    } else {
        Err(TreeError::NotAFile(relative.to_owned()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    fn git(folder: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        let output = std::process::Command::new("git")
            .args(["-C", folder.to_str().unwrap()])
            .args(identity)
            .args(arguments)
            .env("GIT_AUTHOR_DATE", "2025-03-01T10:00:00+02:00")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[tokio::test]
    async fn a_plain_folder_is_named_by_its_content() {
        let folder = folder(&["stacks/go/devfile.yaml", "README.md"]);
        let source = LocalSource::new(folder.path()).unwrap();
        let head = source.head().await.unwrap();
        assert_eq!(source.tree(&head).await.unwrap().iter().count(), 1);
        std::fs::write(folder.path().join("README.md"), "changed").unwrap();
        assert_eq!(source.head().await.unwrap(), head);
        std::fs::write(folder.path().join("stacks/go/devfile.yaml"), "changed").unwrap();
        assert_ne!(source.head().await.unwrap(), head);
        let error = source.tree(&head).await.unwrap_err().to_string();
        assert!(error.contains("changed while it was read"), "{error}");
    }

    #[tokio::test]
    async fn a_work_tree_is_named_by_its_commit_until_it_differs() {
        let folder = folder(&["stacks/go/devfile.yaml"]);
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", "One"]);
        let source = LocalSource::new(folder.path()).unwrap();
        let first = source.head().await.unwrap();
        assert_eq!(first.as_str().len(), 40);
        source.tree(&first).await.unwrap();
        let paths = ["stacks/go".to_owned(), "stacks/none".to_owned()];
        let dates = source.last_modified(&first, &paths).await.unwrap();
        assert_eq!(
            dates.iter().map(|(p, d)| format!("{p} {d}")).collect::<Vec<_>>(),
            ["stacks/go 2025-03-01T10:00:00+02:00"]
        );

        std::fs::write(folder.path().join("stacks/go/devfile.yaml"), "changed").unwrap();
        assert_eq!(source.head().await.unwrap().as_str().len(), 64, "an edited tree is not the commit");
        git(folder.path(), &["commit", "-qam", "Two"]);
        let second = source.head().await.unwrap();
        assert_eq!(source.compare(&first, &second).await.unwrap().relation, Relation::Ahead);
        assert_eq!(source.compare(&second, &first).await.unwrap().relation, Relation::Behind);
        assert_eq!(source.compare(&second, &second).await.unwrap().relation, Relation::Same);
    }

    #[tokio::test]
    async fn a_comparison_and_a_part_name_and_read_what_changed() {
        let folder =
            folder(&["stacks/go/devfile.yaml", "stacks/é/devfile.yaml", "stacks/java/devfile.yaml", "README.md"]);
        let commit = |message: &str| {
            git(folder.path(), &["add", "--all"]);
            git(folder.path(), &["commit", "-qm", message]);
        };
        git(folder.path(), &["init", "-q"]);
        commit("One");
        let source = LocalSource::new(folder.path()).unwrap();
        let first = source.head().await.unwrap();
        for path in ["stacks/é/devfile.yaml", "README.md"] {
            std::fs::write(folder.path().join(path), "changed").unwrap();
        }
        std::fs::remove_file(folder.path().join("stacks/java/devfile.yaml")).unwrap();
        commit("Two");
        let second = source.head().await.unwrap();
        let changed = source.compare(&first, &second).await.unwrap().changed.unwrap();
        let changed: Vec<_> = changed.iter().map(TreePath::as_str).collect();
        assert_eq!(changed, ["stacks/java/devfile.yaml", "stacks/é/devfile.yaml"]);
        assert_eq!(source.compare(&second, &first).await.unwrap().changed, None);

        let scope = Scope { stacks: ["é".to_owned(), "java".to_owned()].into(), extra_entries: true };
        let part = source.part(&second, &scope).await.unwrap().unwrap();
        assert_eq!(part.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["stacks/é/devfile.yaml"]);
        assert!(source.part(&first, &scope).await.is_err());

        // One walk for all dates, non-ASCII paths included.
        let paths = ["stacks/go", "stacks/é", "stacks/é/devfile.yaml", "stacks/none"].map(str::to_owned);
        let dates = source.last_modified(&second, &paths).await.unwrap();
        assert_eq!(dates.keys().collect::<Vec<_>>(), ["stacks/go", "stacks/é", "stacks/é/devfile.yaml"]);
    }

    #[tokio::test]
    async fn links_and_large_files_are_refused_by_name() {
        let folder = folder(&["stacks/go/devfile.yaml"]);
        let link = folder.path().join("stacks/go/link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        let source = LocalSource::new(folder.path()).unwrap();
        let error = source.head().await.unwrap_err().to_string();
        assert!(error.contains("stacks/go/link is a link"), "{error}");
        std::fs::remove_file(link).unwrap();
        std::fs::write(folder.path().join("stacks/go/big"), vec![0; limits::FILE_BYTES as usize + 1]).unwrap();
        let error = source.head().await.unwrap_err().to_string();
        assert!(error.contains("stacks/go/big has more than"), "{error}");
    }

    #[test]
    fn a_folder_without_stacks_is_no_registry_repository() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(LocalSource::new(folder.path()), Err(SourceError::NotFound(_))));
    }
}
