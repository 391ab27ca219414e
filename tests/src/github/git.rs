//! Questions to a real Git repository, answered by `git`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// A Git repository on disk, bare or not.
#[derive(Debug, Clone)]
pub struct Git {
    folder: PathBuf,
}

/// An entry of a tree.
#[derive(Debug, Clone)]
pub(super) struct TreeEntry {
    pub(super) mode: String,
    pub(super) kind: String,
    pub(super) sha: String,
    pub(super) size: Option<u64>,
    pub(super) path: String,
}

/// A file that differs between two commits.
#[derive(Debug)]
pub(super) struct DiffEntry {
    pub(super) status: &'static str,
    pub(super) sha: String,
    pub(super) path: String,
    pub(super) previous: Option<String>,
}

/// A commit as the API shows it.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub(super) sha: String,
    pub(super) tree: String,
    pub(super) name: String,
    pub(super) email: String,
    /// With the author's offset.
    pub(super) date: String,
    pub(super) message: String,
}

impl Git {
    /// The repository in a folder.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs `git` and gives its output.
    ///
    /// # Errors
    /// With what `git` said when it failed.
    pub async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&self.folder)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("git cannot be run")?;
        if !output.status.success() {
            bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }

    async fn text(&self, arguments: &[&str]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run(arguments).await?).trim().to_owned())
    }

    /// The name of the default branch.
    pub(super) async fn default_branch(&self) -> Result<String> {
        self.text(&["symbolic-ref", "--short", "HEAD"]).await
    }

    /// The object that a full reference names, none when there is no such reference.
    pub(super) async fn reference(&self, name: &str) -> Option<String> {
        self.text(&["show-ref", "--verify", "--hash", "--", name]).await.ok()
    }

    /// The commit that a branch, a tag or a hash names.
    pub(super) async fn commit(&self, name: &str) -> Option<String> {
        let wanted = format!("{name}^{{commit}}");
        self.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).await.ok()
    }

    /// The newest common ancestor.
    pub(super) async fn merge_base(&self, a: &str, b: &str) -> Option<String> {
        self.text(&["merge-base", a, b]).await.ok()
    }

    /// How many commits `a` and `b` each have that the other has not.
    pub(super) async fn apart(&self, a: &str, b: &str) -> Result<(u64, u64)> {
        let counts = self.text(&["rev-list", "--left-right", "--count", &format!("{a}...{b}")]).await?;
        let (left, right) = counts.split_once('\t').context("rev-list --count")?;
        Ok((left.parse()?, right.parse()?))
    }

    /// Commits up to `target` and not up to `base` if there is one, the newest first, that touched `path`.
    pub(super) async fn log(&self, base: Option<&str>, target: &str, path: &str, most: usize) -> Result<Vec<Commit>> {
        let most = format!("-n{most}");
        let excluded = base.map(|base| format!("^{base}"));
        let mut arguments = vec!["log", &most, "-z", "--format=%H%x1f%T%x1f%an%x1f%ae%x1f%aI%x1f%s", target];
        arguments.extend(excluded.as_deref());
        arguments.push("--");
        if !path.is_empty() {
            arguments.push(path);
        }
        let output = self.text(&arguments).await?;
        output.split('\0').filter(|line| !line.is_empty()).map(parse_commit).collect()
    }

    /// The files that differ, renames found.
    pub(super) async fn diff(&self, base: &str, target: &str) -> Result<Vec<DiffEntry>> {
        let output = self.text(&["diff", "--raw", "-z", "-M", "--no-abbrev", base, target]).await?;
        let mut fields = output.split('\0').filter(|field| !field.is_empty());
        let mut entries = vec![];
        while let Some(head) = fields.next() {
            let words: Vec<_> = head.trim_start_matches(':').split(' ').collect();
            let [_, _, old, new, status] = words[..] else { bail!("git diff --raw: {head}") };
            let first = fields.next().context("a path")?.to_owned();
            let (status, sha) = match &status[..1] {
                "A" => ("added", new),
                "D" => ("removed", old),
                "R" => ("renamed", new),
                "T" => ("changed", new),
                _ => ("modified", new),
            };
            let (path, previous) = match status {
                "renamed" => (fields.next().context("the new path")?.to_owned(), Some(first)),
                _ => (first, None),
            };
            entries.push(DiffEntry { status, sha: sha.to_owned(), path, previous });
        }
        Ok(entries)
    }

    /// Entries of a tree. `arguments` are those of `git ls-tree`.
    pub(super) async fn ls_tree(&self, arguments: &[&str]) -> Result<Vec<TreeEntry>> {
        let mut all = vec!["ls-tree", "-z", "--long", "--full-tree"];
        all.extend(arguments);
        let output = String::from_utf8_lossy(&self.run(&all).await?).into_owned();
        output
            .split('\0')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (head, path) = line.split_once('\t').context("git ls-tree")?;
                let words: Vec<_> = head.split_whitespace().collect();
                let [mode, kind, sha, size] = words[..] else { bail!("git ls-tree: {line}") };
                Ok(TreeEntry {
                    mode: mode.to_owned(),
                    kind: kind.to_owned(),
                    sha: sha.to_owned(),
                    size: size.parse().ok(),
                    path: path.to_owned(),
                })
            })
            .collect()
    }

    /// The content of a blob.
    pub(super) async fn blob(&self, sha: &str) -> Result<Vec<u8>> {
        self.run(&["cat-file", "blob", sha]).await
    }

    /// The archive of a commit, with one folder at the top.
    pub(super) async fn archive(&self, commit: &str, folder: &str) -> Result<Vec<u8>> {
        self.run(&["archive", "--format=tar.gz", &format!("--prefix={folder}/"), commit]).await
    }
}

fn parse_commit(line: &str) -> Result<Commit> {
    let fields: Vec<_> = line.split('\x1f').map(str::to_owned).collect();
    let [sha, tree, name, email, date, message] = <[String; 6]>::try_from(fields).ok().context("git log")?;
    Ok(Commit { sha, tree, name, email, date, message })
}
