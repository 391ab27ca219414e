//! Files and archives of Git repositories at GitHub and GitLab, by their URLs.

use url::Url;

use crate::index::Git;

/// A Git repository at a revision, at a host that serves its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    kind: Kind,
    /// The host with its scheme and port.
    origin: Url,
    /// Owner and name, or groups and name.
    path: String,
    revision: String,
    folder: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    GitHub,
    GitLab,
}

/// Why files of a Git repository cannot be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRemote {
    #[error("no remote is given")]
    Missing,
    #[error("`{0}` is not the URL of a Git repository over https")]
    Url(String),
    #[error("the revision or the folder cannot stand in a URL")]
    Path,
}

impl Remote {
    /// The remote that an entry means: the one it names, or the only one. Hosts other than GitHub are taken for GitLab servers,
    /// which have any name.
    pub(super) fn new(git: &Git) -> Result<Self, NoRemote> {
        let named = git.remotes.get(&git.remote_name).or_else(|| git.remotes.get("origin"));
        let written = named.or_else(|| git.remotes.values().next()).unwrap_or(&git.url);
        if written.is_empty() {
            return Err(NoRemote::Missing);
        }
        let invalid = || NoRemote::Url(written.chars().take(200).collect());
        let mut origin =
            Url::parse(written).ok().filter(|url| matches!(url.scheme(), "https" | "http")).ok_or_else(invalid)?;
        let path = origin.path().trim_matches('/').trim_end_matches(".git").to_owned();
        origin.set_path("");
        origin.set_query(None);
        origin.set_fragment(None);
        let kind = match origin.host_str() {
            Some("github.com" | "www.github.com") => Kind::GitHub,
            _ => Kind::GitLab,
        };
        if path.split('/').count() < 2 || !is_plain(&path) {
            return Err(invalid());
        }
        let folder = git.sub_dir.trim_matches('/').trim_start_matches("./").to_owned();
        let revision = if git.revision.is_empty() { "HEAD" } else { &git.revision };
        if !is_plain(revision) || !(folder.is_empty() || is_plain(&folder)) {
            return Err(NoRemote::Path);
        }
        Ok(Self { kind, origin, path, revision: revision.to_owned(), folder })
    }

    /// Whether the revision is a commit, which never means anything else later.
    pub(super) fn is_fixed(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// The folder inside the repository; empty for all of it.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// The URL of one file below the folder, as it is.
    pub(super) fn file(&self, name: &str) -> String {
        let path = if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) };
        match self.kind {
            Kind::GitHub => url("https://raw.githubusercontent.com", &[&self.path, &self.revision, &path]),
            Kind::GitLab => url(self.origin.as_str(), &[&self.path, "-/raw", &self.revision, &path]),
        }
    }

    /// The URL of everything as a tar, compressed with gzip, one folder at its top.
    pub(super) fn archive(&self) -> String {
        match self.kind {
            Kind::GitHub => url("https://codeload.github.com", &[&self.path, "tar.gz", &self.revision]),
            Kind::GitLab => url(self.origin.as_str(), &[&self.path, "-/archive", &self.revision, "archive.tar.gz"]),
        }
    }
}

/// Whether a path leads nowhere else, whatever it is joined to.
fn is_plain(path: &str) -> bool {
    let plain = |name: &str| {
        !matches!(name, "" | "." | "..") && !name.contains(|c: char| c.is_control() || matches!(c, '\\' | '%'))
    };
    path.len() <= 1024 && path.split('/').all(plain)
}

fn url(origin: &str, parts: &[&str]) -> String {
    let mut url = origin.trim_end_matches('/').to_owned();
    for segment in parts.iter().flat_map(|part| part.split('/')) {
        url.push('/');
        url.extend(percent_encoding::utf8_percent_encode(segment, SEGMENT));
    }
    url
}

/// What cannot stand in a segment of a path. The path of a remote is encoded already.
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str, revision: &str, folder: &str) -> Git {
        let remotes = [("origin".to_owned(), url.to_owned())].into();
        Git { remotes, revision: revision.to_owned(), sub_dir: folder.to_owned(), ..Git::default() }
    }

    #[test]
    fn urls_of_files_and_archives() {
        for (url, revision, folder, file, archive) in [
            (
                "https://github.com/clay/pot.git",
                "",
                "",
                "https://raw.githubusercontent.com/clay/pot/HEAD/devfile.yaml",
                "https://codeload.github.com/clay/pot/tar.gz/HEAD",
            ),
            (
                "https://github.com/clay/pot/",
                "feature/a b",
                "/glazed/",
                "https://raw.githubusercontent.com/clay/pot/feature/a%20b/glazed/devfile.yaml",
                "https://codeload.github.com/clay/pot/tar.gz/feature/a%20b",
            ),
            (
                "https://gitlab.com/clay/guild/pot.git",
                "v1",
                "",
                "https://gitlab.com/clay/guild/pot/-/raw/v1/devfile.yaml",
                "https://gitlab.com/clay/guild/pot/-/archive/v1/archive.tar.gz",
            ),
            (
                "http://127.0.0.1:8080/clay/pot",
                "v1",
                "",
                "http://127.0.0.1:8080/clay/pot/-/raw/v1/devfile.yaml",
                "http://127.0.0.1:8080/clay/pot/-/archive/v1/archive.tar.gz",
            ),
        ] {
            let remote = Remote::new(&git(url, revision, folder)).unwrap();
            assert_eq!((remote.file("devfile.yaml").as_str(), remote.archive().as_str()), (file, archive));
        }
        let commit = git("https://github.com/clay/pot", "0123456789012345678901234567890123456789", "");
        assert!(Remote::new(&commit).unwrap().is_fixed());
        assert!(!Remote::new(&git("https://github.com/clay/pot", "main", "")).unwrap().is_fixed());
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (url, revision, folder) in [
            ("", "", ""),
            ("git@github.com:clay/pot.git", "", ""),
            ("ssh://git@github.com/clay/pot", "", ""),
            ("https://github.com/pot", "", ""),
            ("https://github.com/clay//pot", "", ""),
            ("https://github.com/clay/pot", "../../other", ""),
            ("https://github.com/clay/pot", "", "../x"),
            ("https://github.com/clay/pot", "a\nb", ""),
        ] {
            assert!(Remote::new(&git(url, revision, folder)).is_err(), "{url} {revision} {folder}");
        }
    }
}
