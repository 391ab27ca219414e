//! Links to the repository that a version comes from: its folder at the commit, the editor, a new issue.

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use devfile_registry::index::Git;

use super::link::{encoded, safe_link, segment};
use super::shown::Shown;
use crate::release::snapshot::Snapshot;

/// A host that shows repositories, by the form of its URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    GitHub,
    GitLab,
    Gitea,
}

/// A repository on a host with pages, at a commit or revision.
#[derive(Debug)]
pub(super) struct RepositoryLinks {
    host: Host,
    /// The page of the repository.
    page: String,
    /// The commit or revision.
    at: String,
    /// The branch that changes go to; `None` when it is unknown.
    branch: Option<String>,
}

impl RepositoryLinks {
    /// The registry repository at the commit of a release.
    pub(super) fn of_release(snapshot: &Snapshot) -> Option<Self> {
        let url: RepositoryUrl = snapshot.about.source.parse().ok()?;
        let branch = url.branch().map(str::to_owned);
        Self::new(&url, snapshot.about.commit_hash.to_string(), branch)
    }

    /// The registry repository at a commit.
    pub(super) fn at(source: &str, commit: &CommitSha) -> Option<Self> {
        let url: RepositoryUrl = source.parse().ok()?;
        Self::new(&url, commit.to_string(), None)
    }

    /// The repository that an entry names, at its revision.
    pub(super) fn of_git(git: &Git) -> Option<Self> {
        let url: RepositoryUrl = remote_of(git).parse().ok()?;
        let at = if git.revision.is_empty() { "HEAD".to_owned() } else { git.revision.clone() };
        Self::new(&url, at, None)
    }

    fn new(url: &RepositoryUrl, at: String, branch: Option<String>) -> Option<Self> {
        let name = url.host();
        let host = match name.as_str() {
            "github.com" => Host::GitHub,
            "codeberg.org" => Host::Gitea,
            name if name.starts_with("gitlab.") => Host::GitLab,
            name if name.starts_with("gitea.") || name.starts_with("forgejo.") => Host::Gitea,
            name if name.ends_with(".ghe.com") => Host::GitHub,
            _ => return None,
        };
        let page = safe_link(url.url().as_str())?.trim_end_matches('/').trim_end_matches(".git").to_owned();
        Some(Self { host, page, at, branch })
    }

    /// A folder at the commit or revision.
    pub(super) fn folder(&self, path: &str) -> Option<String> {
        match self.host {
            Host::GitHub => self.link("tree", &self.at, path),
            Host::GitLab => self.link("-/tree", &self.at, path),
            Host::Gitea => self.gitea(path),
        }
    }

    /// A file at the commit or revision.
    pub(super) fn file(&self, path: &str) -> Option<String> {
        match self.host {
            Host::GitHub => self.link("blob", &self.at, path),
            Host::GitLab => self.link("-/blob", &self.at, path),
            Host::Gitea => self.gitea(path),
        }
    }

    /// The page of the commit.
    pub(super) fn commit(&self) -> Option<String> {
        match self.host {
            Host::GitHub | Host::Gitea => self.link("commit", &self.at, ""),
            Host::GitLab => self.link("-/commit", &self.at, ""),
        }
    }

    /// A file or folder on Gitea or Forgejo. They have a path for each kind of revision and none for `HEAD`; below `src` alone they look
    /// for a branch of the name, then for a tag.
    fn gitea(&self, path: &str) -> Option<String> {
        let at = self.at.as_str();
        let is_id = (7..=64).contains(&at.len()) && at.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (kind, at) = if let Some(branch) = at.strip_prefix("refs/heads/") {
            ("src/branch", branch)
        } else if let Some(tag) = at.strip_prefix("refs/tags/") {
            ("src/tag", tag)
        } else if is_id {
            ("src/commit", at)
        } else if at == "HEAD" {
            return None;
        } else {
            ("src", at)
        };
        self.link(kind, at, path)
    }

    /// A line of a file at the commit.
    pub(super) fn line(&self, path: &str, line: Option<u32>) -> Option<String> {
        let file = self.file(path)?;
        Some(line.map_or_else(|| file.clone(), |line| format!("{file}#L{line}")))
    }

    /// The editor of a file on the branch. Where the branch is unknown, the page of the file on the default branch, which links the
    /// editor.
    pub(super) fn edit(&self, path: &str) -> Option<String> {
        match (self.host, &self.branch) {
            (Host::GitHub, Some(branch)) => self.link("edit", branch, path),
            (Host::GitHub, None) => self.link("blob", "HEAD", path),
            (Host::GitLab, Some(branch)) => self.link("-/edit", branch, path),
            (Host::GitLab, None) => self.link("-/blob", "HEAD", path),
            (Host::Gitea, Some(branch)) => self.link("_edit", branch, path),
            (Host::Gitea, None) => None,
        }
    }

    /// The form of a new issue, filled in.
    pub(super) fn issue(&self, title: &str, body: &str) -> Option<String> {
        let (title, body) = (segment(title), segment(body));
        let link = match self.host {
            Host::GitHub | Host::Gitea => format!("{}/issues/new?title={title}&body={body}", self.page),
            Host::GitLab => {
                format!("{}/-/issues/new?issue%5Btitle%5D={title}&issue%5Bdescription%5D={body}", self.page)
            }
        };
        safe_link(&link).map(str::to_owned)
    }

    fn link(&self, kind: &str, at: &str, path: &str) -> Option<String> {
        let path = path.trim_matches('/');
        let link = format!("{}/{kind}/{}", self.page, encoded(at));
        let link = if path.is_empty() { link } else { format!("{link}/{}", encoded(path)) };
        safe_link(&link).map(str::to_owned)
    }
}

/// The remote of a Git repository that an entry names.
pub(super) fn remote_of(git: &Git) -> &str {
    let remote = git.remotes.get(&git.remote_name).or_else(|| git.remotes.get("origin"));
    remote.or_else(|| git.remotes.values().next()).unwrap_or(&git.url)
}

/// The Git repository that a version or its entry names.
pub(super) fn git_of<'a>(shown: &Shown<'a>) -> Option<&'a Git> {
    shown.version.and_then(|version| version.git.as_ref()).or(shown.entry.git.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str) -> Option<RepositoryLinks> {
        let url: RepositoryUrl = url.parse().unwrap();
        RepositoryLinks::new(&url, "0123abcd".to_owned(), url.branch().map(str::to_owned))
    }

    #[test]
    fn revision_of_gitea_is_a_commit_only_when_it_is_an_id() {
        let git = |revision: &str| Git {
            remotes: [("origin".to_owned(), "https://codeberg.org/a/b.git".to_owned())].into(),
            revision: revision.to_owned(),
            ..Git::default()
        };
        let page = "https://codeberg.org/a/b";
        let id = "0123456789abcdef0123456789abcdef01234567";
        for (revision, folder) in [
            (id, Some(format!("{page}/src/commit/{id}/x"))),
            ("0123abc", Some(format!("{page}/src/commit/0123abc/x"))),
            ("v1.2", Some(format!("{page}/src/v1.2/x"))),
            ("feature/é", Some(format!("{page}/src/feature/%C3%A9/x"))),
            ("refs/heads/main", Some(format!("{page}/src/branch/main/x"))),
            ("refs/tags/v1", Some(format!("{page}/src/tag/v1/x"))),
            ("HEAD", None),
            ("", None),
        ] {
            let source = RepositoryLinks::of_git(&git(revision)).unwrap();
            assert_eq!(source.folder("x"), folder, "{revision}");
            assert_eq!(source.file("x"), folder, "{revision}");
        }
    }

    #[test]
    fn links_have_the_form_of_their_host() {
        for (url, folder, edit) in [
            (
                "https://github.com/a/b/tree/next",
                "https://github.com/a/b/tree/0123abcd/stacks/x%20y",
                Some("https://github.com/a/b/edit/next/stacks/x%20y"),
            ),
            (
                "https://github.com/a/b.git",
                "https://github.com/a/b/tree/0123abcd/stacks/x%20y",
                Some("https://github.com/a/b/blob/HEAD/stacks/x%20y"),
            ),
            (
                "https://gitlab.example/a/b/c",
                "https://gitlab.example/a/b/c/-/tree/0123abcd/stacks/x%20y",
                Some("https://gitlab.example/a/b/c/-/blob/HEAD/stacks/x%20y"),
            ),
            ("https://codeberg.org/a/b", "https://codeberg.org/a/b/src/commit/0123abcd/stacks/x%20y", None),
        ] {
            let source = source(url).unwrap();
            assert_eq!(source.folder("stacks/x y").as_deref(), Some(folder), "{url}");
            assert_eq!(source.edit("stacks/x y").as_deref(), edit, "{url}");
        }
        assert!(source("https://git.example/a/b").is_none());
        let issue = source("https://github.com/a/b").unwrap().issue("kiln & co", "x").unwrap();
        assert_eq!(issue, "https://github.com/a/b/issues/new?title=kiln%20%26%20co&body=x");
    }
}
