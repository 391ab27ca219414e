//! Hosts of Git repositories that give the archive of a commit in one request.

use std::collections::BTreeMap;
use std::str::FromStr;

use url::Url;

use crate::digest::CommitSha;
use crate::environment::Environment;

/// How a host names archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `/OWNER/NAME/archive/COMMIT.zip` (GitHub documentation, "Downloading source code archives").
    GitHub,
    /// `/GROUP/.../NAME/-/archive/COMMIT/NAME-COMMIT.zip` (GitLab documentation, "Repository", "Source code download").
    GitLab,
}

/// The hosts that are known to give archives: `github.com` and `gitlab.com`, and what `ARCHIVE_HOSTS` adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveHosts(BTreeMap<String, Kind>);

/// A list of archive hosts is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("archive hosts are HOST=github or HOST=gitlab, separated by commas")]
pub struct InvalidArchiveHosts;

impl Default for ArchiveHosts {
    fn default() -> Self {
        Self(
            [("github.com", Kind::GitHub), ("gitlab.com", Kind::GitLab)]
                .map(|(host, kind)| (host.to_owned(), kind))
                .into(),
        )
    }
}

impl FromStr for ArchiveHosts {
    type Err = InvalidArchiveHosts;

    /// Reads `git.example.com=gitlab,github.example.com:8443=github`; the hosts that are known anyway stay.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hosts = Self::default();
        for item in text.split(',') {
            let (host, kind) = item.trim().split_once('=').ok_or(InvalidArchiveHosts)?;
            let kind = match kind {
                "github" => Kind::GitHub,
                "gitlab" => Kind::GitLab,
                _ => return Err(InvalidArchiveHosts),
            };
            let url = Url::parse(&format!("https://{host}/")).map_err(|_| InvalidArchiveHosts)?;
            if host.is_empty() || url.path() != "/" || !url.username().is_empty() {
                return Err(InvalidArchiveHosts);
            }
            hosts.0.insert(name(&url), kind);
        }
        Ok(hosts)
    }
}

impl ArchiveHosts {
    /// Reads `ARCHIVE_HOSTS`, more hosts than those that are known anyway.
    pub fn from_environment(environment: &mut Environment) -> Self {
        let what = "a list such as git.example.com=gitlab,github.example.com=github";
        environment.or("ARCHIVE_HOSTS", what, Self::default())
    }

    /// The URL of the archive of a commit, when the host is one of these and the path is that of a repository.
    pub(super) fn archive(&self, remote: &Url, commit: &CommitSha) -> Option<Url> {
        let kind = self.0.get(&name(remote))?;
        let mut path: Vec<&str> = remote.path_segments()?.collect();
        let repository = path.pop()?;
        let repository = repository.strip_suffix(".git").unwrap_or(repository);
        path.push(repository);
        let commit = commit.as_str();
        let (zip, named) = (format!("{commit}.zip"), format!("{repository}-{commit}.zip"));
        match kind {
            Kind::GitHub if path.len() == 2 => path.extend(["archive", &zip]),
            Kind::GitLab if path.len() >= 2 => path.extend(["-", "archive", commit, &named]),
            _ => return None,
        }
        let mut url = remote.clone();
        url.set_query(None);
        // The segments are encoded as they stand in the remote.
        url.set_path(&path.join("/"));
        Some(url)
    }
}

/// Host and port as in a list of hosts: the port only where it is not the usual one.
fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn archive(hosts: &ArchiveHosts, remote: &str) -> Option<String> {
        hosts.archive(&remote.parse().unwrap(), &COMMIT.parse().unwrap()).map(String::from)
    }

    #[test]
    fn archives_of_commits() {
        let hosts = "git.example.com=gitlab, 127.0.0.1:8080=github".parse().unwrap();
        let cases = [
            ("https://github.com/o/r", Some(format!("https://github.com/o/r/archive/{COMMIT}.zip"))),
            ("https://GitHub.com/o/r%20s?x=1", Some(format!("https://github.com/o/r%20s/archive/{COMMIT}.zip"))),
            ("https://github.com/o/r.git", Some(format!("https://github.com/o/r/archive/{COMMIT}.zip"))),
            ("https://github.com/o", None),
            ("https://github.com/o/r/tree/main", None),
            ("https://github.com:8443/o/r", None),
            ("https://github.com.example.org/o/r", None),
            ("https://gitlab.com/g/s/r", Some(format!("https://gitlab.com/g/s/r/-/archive/{COMMIT}/r-{COMMIT}.zip"))),
            (
                "https://git.example.com/g/r",
                Some(format!("https://git.example.com/g/r/-/archive/{COMMIT}/r-{COMMIT}.zip")),
            ),
            ("http://127.0.0.1:8080/o/r", Some(format!("http://127.0.0.1:8080/o/r/archive/{COMMIT}.zip"))),
            ("https://example.org/o/r", None),
        ];
        for (remote, expected) in cases {
            assert_eq!(archive(&hosts, remote), expected, "{remote}");
        }
    }

    #[test]
    fn lists_of_hosts() {
        for text in ["", "github.com", "a=svn", "a/b=github", "=github", "a=github,", "me@a=github"] {
            assert_eq!(text.parse::<ArchiveHosts>(), Err(InvalidArchiveHosts), "{text}");
        }
    }
}
