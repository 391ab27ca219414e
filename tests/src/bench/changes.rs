//! Changes of one version, and the time until they are published or served.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::stage::{WEBHOOK_SECRET, read, read_json, refresh};
use crate::github::signature;
use crate::registry::{Serving, TestRegistry};

/// Longest until a commit is live.
const LIVE: Duration = Duration::from_secs(30);

/// Returns the seconds of refreshes, each after a change of one devfile.
pub(super) async fn refresh_changes(registry: &TestRegistry, times: usize) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        append(&devfile(registry.repository.path())?, "# changed\n")?;
        seconds.push(refresh_change(registry).await?);
    }
    Ok(seconds)
}

/// Returns the seconds of refreshes, each after a commit with a change of one devfile.
pub(super) async fn refresh_commits(registry: &TestRegistry, times: usize) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        append(&devfile(registry.repository.path())?, "# changed\n")?;
        tokio::task::block_in_place(|| registry.commit());
        seconds.push(refresh_change(registry).await?);
    }
    Ok(seconds)
}

async fn refresh_change(registry: &TestRegistry) -> Result<f64> {
    let (seconds, report) = refresh(registry).await?;
    ensure!(report["outcome"] == "published", "a refresh after a change ends in {report}");
    Ok(seconds)
}

/// Returns the seconds from a signed `POST /refresh` to `refreshing`, each after a change of one devfile, until `serving` gives the
/// new one.
pub(super) async fn trigger(
    registry: &TestRegistry,
    refreshing: &Serving,
    serving: &Serving,
    times: usize,
) -> Result<Vec<f64>> {
    const BODY: &str = "{}";
    let folder = registry.repository.path();
    let devfile = devfile(folder)?;
    let path = format!("/{}", devfile.strip_prefix(folder)?.display());
    let signature = signature(WEBHOOK_SECRET, BODY.as_bytes())?;
    let mut seconds = Vec::new();
    for number in 0..times {
        let text = format!("# triggered {number}\n");
        append(&devfile, &text)?;
        let begin = Instant::now();
        let request = crate::http::client().post(format!("{}/refresh", refreshing.url)).body(BODY);
        let answer = request.header("x-hub-signature-256", &signature).send().await?;
        let (status, report) = (answer.status(), answer.text().await?);
        let outcome = serde_json::from_str::<serde_json::Value>(&report).unwrap_or_default()["outcome"].take();
        ensure!(outcome == "published", "a trigger ends in {status}: {report}");
        while !read(serving, &path, &[]).await?.ends_with(text.as_bytes()) {
            ensure!(begin.elapsed() < LIVE, "{path} is not the new one {LIVE:?} after a trigger");
        }
        seconds.push(begin.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// Returns the seconds from a change of a devfile on disk until an open page of a preview has its new content.
pub(super) async fn reload(registry: &TestRegistry, preview: &Serving, page: &str, times: usize) -> Result<Vec<f64>> {
    let devfile = devfile(registry.repository.path())?;
    let mut events = crate::http::get(format!("{}/_preview/events", preview.url)).await?.error_for_status()?;
    let mut seconds = Vec::new();
    for number in 0..times {
        let text = format!("reload number {number}");
        let changed = described(&std::fs::read_to_string(&devfile)?, &text);
        let begin = Instant::now();
        std::fs::write(&devfile, changed)?;
        let reloaded = async {
            loop {
                let mut received = String::new();
                while !received.contains("event: release\n") {
                    let chunk = events.chunk().await?.context("a preview ends its events")?;
                    received.push_str(std::str::from_utf8(&chunk)?);
                }
                // A late event of the change before asks for the page as well.
                if String::from_utf8_lossy(&read(preview, page, &[]).await?).contains(&text) {
                    return anyhow::Ok(());
                }
            }
        };
        let reloaded = tokio::time::timeout(LIVE, reloaded).await;
        reloaded.with_context(|| format!("{page} does not have {text} within {LIVE:?}"))??;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// Waits until `serve` answers from a commit.
pub(super) async fn until_live(serving: &Serving, commit: &str) -> Result<()> {
    let begin = Instant::now();
    while read_json(serving, "/status", &[]).await?["live"]["commit_hash"] != commit {
        ensure!(begin.elapsed() < LIVE, "{commit} is not live after {LIVE:?}");
    }
    Ok(())
}

/// Returns the first devfile of a registry repository.
pub(super) fn devfile(folder: &Path) -> Result<PathBuf> {
    first(&folder.join("stacks"))?.with_context(|| format!("{} has a devfile", folder.display()))
}

fn first(folder: &Path) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if let Some(found) = first(&path)? {
                return Ok(Some(found));
            }
        } else if path.file_name().is_some_and(|name| name == "devfile.yaml") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn append(file: &Path, text: &str) -> Result<()> {
    OpenOptions::new().append(true).open(file)?.write_all(text.as_bytes())?;
    Ok(())
}

/// Returns a devfile with another description.
fn described(devfile: &str, description: &str) -> String {
    const FIELD: &str = "  description:";
    let mut is_first = true;
    let lines = devfile.split_inclusive('\n').map(|line| {
        if line.starts_with(FIELD) && std::mem::take(&mut is_first) {
            format!("{FIELD} {description}\n")
        } else {
            line.to_owned()
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_devfile_is_that_of_the_first_version() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        for path in ["stacks/loom/devfile.yaml", "stacks/kiln/stack.yaml"] {
            write(path);
        }
        assert!(devfile(folder.path()).unwrap().ends_with("stacks/loom/devfile.yaml"));
        for path in ["stacks/kiln/1.1.0/devfile.yaml", "stacks/kiln/1.0.0/devfile.yaml"] {
            write(path);
        }
        assert!(devfile(folder.path()).unwrap().ends_with("stacks/kiln/1.0.0/devfile.yaml"));
        devfile(&folder.path().join("stacks/kiln")).unwrap_err();
    }

    #[test]
    fn only_the_first_description_changes() {
        let devfile = "metadata:\n  name: kiln\n  description: bakes\ncommands:\n  description: other\n";
        let changed = described(devfile, "reload number 1");
        assert_eq!(changed, devfile.replace("bakes", "reload number 1"));
        assert_eq!(described(&changed, "bakes"), devfile);
    }
}
