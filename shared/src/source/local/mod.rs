//! A registry repository in a local folder: for development, tests and air gaps.

mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::{Comparison, File, Mode, Relation, Scope, Source, SourceError, Tree, TreeError, TreePath};
use crate::digest::CommitSha;
use crate::limits;
use crate::timestamp::Timestamp;

/// Longest time for one call of `git`.
const GIT_TIME: Duration = Duration::from_secs(30);

/// The parts of the folder that releases are made of.
const PARTS: [&str; 4] = ["stacks", "samples", "extraDevfileEntries.yaml", "last_modified.json"];

/// A folder. In a Git work tree whose registry files are as committed, the commit is `HEAD`; otherwise the folder is named by the
/// digest of its tree, since the same commit must always mean the same bytes (invariant 6).
#[derive(Debug)]
pub struct LocalSource {
    folder: PathBuf,
    url: String,
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
        Ok(Self { url: format!("file://{}", folder.display()), folder })
    }

    /// Reads the files below some folders.
    async fn read(&self, parts: Vec<String>) -> Result<Tree, SourceError> {
        let folder = self.folder.clone();
        let read = move || {
            let mut tree = Tree::default();
            for part in parts {
                collect(&folder, &part, &mut tree)?;
            }
            Ok(tree)
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| unavailable(&self.folder, &error))?
    }

    /// The commit of the work tree, or none when it is not one or differs from it in some parts. Both by one look.
    async fn clean_head(&self, parts: &[String]) -> Option<CommitSha> {
        let status = ["status", "--porcelain=v2", "--branch", "--ignored", "--untracked-files=all", "--"];
        let literal: Vec<String> = parts.iter().map(|part| format!(":(literal){part}")).collect();
        let output =
            self.git(&status.into_iter().chain(literal.iter().map(String::as_str)).collect::<Vec<_>>()).await?;
        let (headers, differences): (Vec<&str>, Vec<&str>) = output.lines().partition(|line| line.starts_with("# "));
        let head = headers.iter().find_map(|line| line.strip_prefix("# branch.oid "))?;
        if differences.is_empty() { head.parse().ok() } else { None }
    }

    fn changed_meanwhile(&self) -> SourceError {
        SourceError::Unavailable {
            what: format!("reading {}", self.folder.display()),
            reason: "the folder changed while it was read; run refresh again".into(),
        }
    }

    /// Output of a git command in the folder; none when git is not there or refuses.
    async fn git(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.folder).args(arguments).env("GIT_OPTIONAL_LOCKS", "0").kill_on_drop(true);
        let output = tokio::time::timeout(GIT_TIME, command.output()).await.ok()?.ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
    }
}

impl Source for LocalSource {
    fn url(&self) -> &str {
        &self.url
    }

    async fn head(&self) -> Result<CommitSha, SourceError> {
        match self.clean_head(&all()).await {
            Some(commit) => Ok(commit),
            None => Ok(self.read(all()).await?.digest().into()),
        }
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, SourceError> {
        let tree = self.read(all()).await?;
        let now = self.clean_head(&all()).await.unwrap_or_else(|| tree.digest().into());
        if now == *commit { Ok(tree) } else { Err(self.changed_meanwhile()) }
    }

    /// None when the name is that of a content: then all of it has to be read to see whether it still is.
    async fn part(&self, commit: &CommitSha, scope: &Scope) -> Result<Option<Tree>, SourceError> {
        let stacks = scope.stacks.iter().map(|stack| format!("stacks/{stack}"));
        let extra = scope.extra_entries.then(|| ["samples".to_owned(), "extraDevfileEntries.yaml".to_owned()]);
        let parts = stacks.chain(extra.into_iter().flatten()).chain(["last_modified.json".to_owned()]);
        let parts: Vec<String> = parts.collect();
        let tree = self.read(parts.clone()).await?;
        // That the rest is as committed was seen with the head.
        match self.clean_head(&parts).await {
            Some(head) if head == *commit => Ok(Some(tree)),
            Some(_) => Err(self.changed_meanwhile()),
            None => Ok(None),
        }
    }

    async fn compare(&self, base: &CommitSha, target: &CommitSha) -> Result<Comparison, SourceError> {
        if base == target {
            return Ok(Comparison { relation: Relation::Same, changed: Some(BTreeSet::new()) });
        }
        let is_ancestor = async |a: &CommitSha, b: &CommitSha| {
            self.git(&["merge-base", "--is-ancestor", a.as_str(), b.as_str()]).await.is_some()
        };
        if is_ancestor(base, target).await {
            let diff = ["diff", "--name-only", "--no-renames", "-z", base.as_str(), target.as_str(), "--"];
            let changed = self.git(&[diff.as_slice(), PARTS.as_slice()].concat()).await;
            let paths = |output: String| {
                output.split_terminator('\0').map(TreePath::parse).collect::<Result<BTreeSet<_>, _>>().ok()
            };
            return Ok(Comparison { relation: Relation::Ahead, changed: changed.and_then(paths) });
        }
        let relation = if is_ancestor(target, base).await { Relation::Behind } else { Relation::Diverged };
        Ok(Comparison { relation, changed: None })
    }

    async fn last_modified(
        &self,
        commit: &CommitSha,
        paths: &[String],
    ) -> Result<BTreeMap<String, Timestamp>, SourceError> {
        let dates = history::last_modified(&self.folder, commit, paths);
        Ok(tokio::time::timeout(GIT_TIME, dates).await.unwrap_or_default())
    }
}

fn all() -> Vec<String> {
    PARTS.map(str::to_owned).to_vec()
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
