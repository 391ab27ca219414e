//! The releases: commits whose content tells their number, and the refreshes that publish them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::table::Refreshes;
use crate::git::git;
use crate::github::signature;

const STACKS: usize = 12;

/// Longest that a refresh may take to answer.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(80);

/// The names of the stacks.
pub(super) fn stacks() -> Vec<String> {
    (0..STACKS).map(|index| format!("soak-{index:02}")).collect()
}

/// Facts about all releases: the numbers of their commits, and the entity tags of their answers.
#[derive(Debug, Default)]
pub(super) struct Known {
    numbers: Mutex<HashMap<String, u32>>,
    tags: Mutex<HashMap<(String, u32), String>>,
}

impl Known {
    fn add(&self, commit: String, number: u32) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(commit, number);
    }

    /// Returns the number of a commit; none if there is no such commit.
    pub(super) fn number(&self, commit: &str) -> Option<u32> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).get(commit).copied()
    }

    /// Whether an answer had this tag whenever it was given from this release.
    pub(super) fn is_same_tag(&self, path: &str, number: u32, tag: &str) -> bool {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.entry((path.to_owned(), number)).or_insert_with(|| tag.to_owned()) == tag
    }
}

/// The registry repository.
#[derive(Debug)]
pub(super) struct Repository {
    folder: TempDir,
    known: Arc<Known>,
    commits: AtomicU32,
}

impl Repository {
    /// An empty repository.
    pub(super) fn new(known: Arc<Known>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
        Ok(Self { folder, known, commits: AtomicU32::new(0) })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Commits the next release and returns its number. Every file of it tells that number.
    pub(super) fn commit(&self) -> Result<u32> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        for name in stacks() {
            let stack = self.folder().join("stacks").join(&name);
            std::fs::create_dir_all(stack.join("notes"))?;
            std::fs::write(stack.join("devfile.yaml"), devfile(&name, number))?;
            std::fs::write(stack.join("notes/release.txt"), format!("release {number}\n"))?;
        }
        git(self.folder(), &["add", "--all"]);
        git(self.folder(), &["commit", "--quiet", "--message", &format!("Release {number}")]);
        self.known.add(git(self.folder(), &["rev-parse", "HEAD"]), number);
        Ok(number)
    }
}

/// Publishes commits by signed requests, and counts how they end.
#[derive(Debug)]
pub(super) struct Publisher {
    repository: Arc<Repository>,
    url: String,
    secret: String,
    refreshes: Mutex<Refreshes>,
}

impl Publisher {
    /// Sends requests to the function at a base URL.
    pub(super) fn new(repository: Arc<Repository>, url: &str, secret: String) -> Self {
        Self { repository, url: format!("{url}/refresh"), secret, refreshes: Mutex::default() }
    }

    /// Returns the refreshes so far.
    pub(super) fn refreshes(&self) -> Refreshes {
        *self.refreshes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits the next release and returns its number. Other tasks of this thread go on meanwhile.
    pub(super) fn commit(&self) -> Result<u32> {
        tokio::task::block_in_place(|| self.repository.commit())
    }

    /// Publishes the head; returns whether that succeeded.
    pub(super) async fn publish(&self) -> Result<bool> {
        const BODY: &str = "{}";
        let request = crate::http::client().post(&self.url).timeout(REFRESH_TIMEOUT).body(BODY);
        let request = request.header("x-hub-signature-256", signature(&self.secret, BODY.as_bytes())?);
        let published = request.send().await.is_ok_and(|answer| answer.status() == 200);
        let mut refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        if published {
            refreshes.published += 1;
        } else {
            refreshes.failed += 1;
        }
        Ok(published)
    }

    /// Commits and publishes every second, as far as a refresh takes less, until the other end of `stop` is dropped.
    pub(super) async fn publish_every_second(&self, mut stop: watch::Receiver<()>) -> Result<()> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = stop.changed() => return Ok(()),
                _ = seconds.tick() => {}
            }
            self.commit()?;
            self.publish().await?;
        }
    }
}

fn devfile(name: &str, number: u32) -> String {
    format!(
        "\
schemaVersion: 2.2.0
metadata:
  name: {name}
  version: 1.0.0
  displayName: {name}
  description: release {number}
  language: Go
  projectType: Go
  tags: [Soak, Release{number}]
components:
  - name: runtime
    container:
      image: docker.io/library/golang:1.25
      memoryLimit: 1024Mi
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_have_numbers_and_content_that_tells_them() {
        let known = Arc::new(Known::default());
        let repository = Repository::new(Arc::clone(&known)).unwrap();
        for number in 1..=2 {
            assert_eq!(repository.commit().unwrap(), number);
            assert_eq!(known.number(&git(repository.folder(), &["rev-parse", "HEAD"])), Some(number));
            let devfile = git(repository.folder(), &["show", "HEAD:stacks/soak-11/devfile.yaml"]);
            assert!(devfile.contains(&format!("description: release {number}\n")), "{devfile}");
        }
        assert_eq!(known.number(&"d".repeat(40)), None);
    }

    #[test]
    fn answer_has_one_tag_a_release() {
        let known = Known::default();
        for (path, number, tag, is_same) in [
            ("/index", 1, "a", true),
            ("/index", 2, "b", true),
            ("/index", 1, "b", false),
            ("/index", 1, "a", true),
            ("/v2index/all", 1, "b", true),
        ] {
            assert_eq!(known.is_same_tag(path, number, tag), is_same, "{path} {number} {tag}");
        }
    }
}
