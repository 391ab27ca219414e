//! What differs from a Git revision.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail};
use tokio::process::Command;

/// Files that differ, and the stacks that they belong to.
#[derive(Debug)]
pub(crate) struct Changes {
    paths: BTreeSet<String>,
}

impl Changes {
    /// Compares the folder, with what is not committed yet, to where it and the revision part.
    pub(crate) async fn since(registry: &Path, revision: &str) -> anyhow::Result<Self> {
        if revision.starts_with('-') {
            bail!("`{revision}` is not a revision");
        }
        let commit = git(registry, &["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")]).await;
        let commit = commit.with_context(|| {
            format!("`{revision}` is not a revision that is known here; in a shallow clone, fetch it first")
        })?;
        let base = git(registry, &["merge-base", commit.trim(), "HEAD"]).await.unwrap_or(commit);
        let differing = git(registry, &["diff", "--name-only", "--relative", "-z", base.trim(), "--", "."]).await?;
        let new = git(registry, &["ls-files", "--others", "--exclude-standard", "-z", "--", "."]).await?;
        let paths = differing.split('\0').chain(new.split('\0')).filter(|path| !path.is_empty());
        Ok(Self { paths: paths.map(str::to_owned).collect() })
    }

    /// Whether a file, or the stack that it belongs to, differs.
    pub(crate) fn concern(&self, path: &str) -> bool {
        let stack = |path: &str| {
            let mut names = path.split('/');
            let name = (names.next() == Some("stacks")).then(|| names.next()).flatten()?;
            names.next().map(|_| name.to_owned())
        };
        let own = stack(path);
        self.paths.contains(path) || (own.is_some() && self.paths.iter().any(|changed| stack(changed) == own))
    }
}

async fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments).env("GIT_OPTIONAL_LOCKS", "0").kill_on_drop(true);
    let output = command.output().await.context("git cannot be run")?;
    if !output.status.success() {
        bail!("git {} failed: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_concerns_all_of_its_stack() {
        let paths = ["stacks/go/1.0.0/devfile.yaml", "stacks/base.yaml", "extraDevfileEntries.yaml"];
        let changes = Changes { paths: paths.map(str::to_owned).into() };
        for (path, expected) in [
            ("stacks/go/stack.yaml", true),
            ("stacks/go/2.0.0/devfile.yaml", true),
            ("stacks/go-x/stack.yaml", false),
            ("stacks/base.yaml", true),
            ("stacks/other.yaml", false),
            ("extraDevfileEntries.yaml", true),
            ("last_modified.json", false),
        ] {
            assert_eq!(changes.concern(path), expected, "{path}");
        }
    }
}
