//! A small registry repository with a history of fixed dates, and a source that reads it.

use std::path::Path;
use std::time::Duration;

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use devfile_registry::source::github::{GitHub as Api, GitHubCredentials};
use devfile_registry::source::{GitAccess, GitSource};
use registry_tests::git::git;
use registry_tests::github::GitHub;
use tempfile::TempDir;

/// A work tree in a temporary folder, and the stand-in that serves it.
pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) github: GitHub,
}

impl Fixture {
    /// A repository with one commit: two stacks and a read-me.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
        let github = GitHub::start_example(folder.path()).await.unwrap();
        let fixture = Self { folder, github };
        fixture.write("README.md", "read me");
        fixture.write("extraDevfileEntries.yaml", "samples: []");
        fixture.write("stacks/go/1.0.0/devfile.yaml", "go 1.0.0");
        fixture.write("stacks/go/stack.yaml", "go");
        fixture.write("stacks/node/devfile.yaml", "node");
        fixture.commit("2025-01-01T10:00:00+02:00");
        fixture
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Commits everything as it is, with a date.
    pub(crate) fn commit(&self, date: &str) -> CommitSha {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "a change", "--date", date]);
        self.head()
    }

    pub(crate) fn head(&self) -> CommitSha {
        self.git(&["rev-parse", "HEAD"]).trim().parse().unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }

    /// The URL of the repository, with a branch if one is given.
    pub(crate) fn url(&self, branch: &str) -> RepositoryUrl {
        let branch = if branch.is_empty() { String::new() } else { format!("/tree/{branch}") };
        format!("{}/example/registry{branch}", self.github.url()).parse().unwrap()
    }

    /// A source without credentials.
    pub(crate) fn source(&self) -> GitSource {
        self.source_as(GitAccess::Anonymous)
    }

    pub(crate) fn source_as(&self, access: GitAccess) -> GitSource {
        GitSource::new(self.url(""), access)
    }

    /// GitHub's API for the repository.
    pub(crate) fn api(&self, credentials: GitHubCredentials) -> Api {
        let api = Api::new(&self.url(""), Some(self.github.url()), credentials);
        // Some of these tests wait until the time is up.
        api.unwrap().with_budget(Duration::from_secs(10))
    }
}
