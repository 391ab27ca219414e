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
    /// Panics with the output of `git` when it fails.
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
}
