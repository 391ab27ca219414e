//! URLs of Git repositories, as people write them.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::text::url_segment;

/// Longest URL of a repository, in bytes.
const LIMIT_BYTES: usize = 2048;

/// A Git repository on any host, and the branch to follow if the URL names one.
///
/// Parsed from `https://HOST/PATH[.git][/][/tree/BRANCH]`, with any number of groups in PATH; GitLab's `/-/tree/BRANCH` and Gitea's
/// `/src/branch/BRANCH` count as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUrl {
    /// Without a slash at the end, and without the branch.
    url: Url,
    branch: Option<String>,
}

/// Why a text is not a [`RepositoryUrl`] or its branch. The messages leave out the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepositoryUrl {
    /// SSH, which needs a key.
    #[error("SSH URLs cannot be read; write {0}")]
    Ssh(String),
    /// Another protocol than https.
    #[error("the repository URL does not begin with https://; write https://HOST/OWNER/REPO")]
    NotHttps,
    /// A user name or password in the URL.
    #[error("the repository URL has credentials in it; remove them and set GIT_CREDENTIALS instead")]
    Credentials,
    /// No repository.
    #[error("the repository URL does not name a repository; write https://HOST/OWNER/REPO")]
    NoRepository,
    /// Not the name of a branch.
    #[error("the branch is not a name that Git allows; write it as `git branch` shows it")]
    Branch,
}

impl RepositoryUrl {
    /// Replaces the branch to follow.
    ///
    /// # Errors
    /// [`InvalidRepositoryUrl::Branch`] when Git allows no such branch.
    pub fn on_branch(self, branch: &str) -> Result<Self, InvalidRepositoryUrl> {
        if is_reference(branch) {
            Ok(Self { branch: Some(branch.to_owned()), ..self })
        } else {
            Err(InvalidRepositoryUrl::Branch)
        }
    }

    /// The branch to follow; `None` means the repository's default branch.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    /// The URL for Git and for browsers, as it was written but for the branch.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host, in lower case, with its port if it is not the usual one.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The path without `.git`: owner and name, or groups and name.
    pub fn path(&self) -> &str {
        let path = self.url.path().trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path)
    }
}

impl FromStr for RepositoryUrl {
    type Err = InvalidRepositoryUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > LIMIT_BYTES {
            return Err(InvalidRepositoryUrl::NoRepository);
        }
        if let Some(https) = https_of_ssh(text) {
            return Err(InvalidRepositoryUrl::Ssh(https));
        }
        let mut url = Url::parse(text).map_err(|_| InvalidRepositoryUrl::NotHttps)?;
        // Plain HTTP is for servers on the own machine; the rules of fetches say which those are.
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
            return Err(InvalidRepositoryUrl::NotHttps);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidRepositoryUrl::Credentials);
        }
        url.set_query(None);
        url.set_fragment(None);
        let (path, branch) = split_branch(url.path().trim_end_matches('/'));
        let names = path.split('/').skip(1);
        if path.len() < 2 || names.clone().any(|name| matches!(name, "" | "." | ".." | ".git")) {
            return Err(InvalidRepositoryUrl::NoRepository);
        }
        let (path, branch) = (path.to_owned(), branch.map(str::to_owned));
        url.set_path(&path);
        let repository = Self { url, branch: None };
        match branch {
            None => Ok(repository),
            Some(branch) => {
                let branch = percent_decode_str(&branch).decode_utf8().map_err(|_| InvalidRepositoryUrl::Branch)?;
                repository.on_branch(&branch)
            }
        }
    }
}

/// The text that parses to the same value again.
impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())?;
        match &self.branch {
            Some(branch) => {
                let names: Vec<_> = branch.split('/').map(url_segment).collect();
                write!(f, "/tree/{}", names.join("/"))
            }
            None => Ok(()),
        }
    }
}

/// A path, and the branch that the page of a branch names. A repository has two names at least, so that one named `tree` is none.
fn split_branch(path: &str) -> (&str, Option<&str>) {
    for page in ["/-/tree/", "/src/branch/", "/tree/"] {
        if let Some((repository, branch)) = path.split_once(page)
            && repository.matches('/').count() >= 2
        {
            return (repository, Some(branch));
        }
    }
    (path, None)
}

/// The https form of `ssh://git@host[:port]/path` and `git@host:path`.
fn https_of_ssh(text: &str) -> Option<String> {
    let (host, path) = match text.strip_prefix("ssh://").or_else(|| text.strip_prefix("git+ssh://")) {
        Some(rest) => {
            let (authority, path) = rest.split_once('/')?;
            (authority.split(':').next()?, path)
        }
        None if !text.contains("://") => {
            let (authority, path) = text.split_once(':')?;
            authority.contains('@').then_some((authority, path))?
        }
        None => return None,
    };
    let host = host.rsplit('@').next()?;
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/~".contains(c));
    let is_whole = is_plain(host) && !host.is_empty() && is_plain(path);
    Some(if is_whole {
        format!("https://{host}/{}", path.trim_start_matches('/'))
    } else {
        "https://HOST/OWNER/REPO".into()
    })
}

/// Whether Git takes a text for the name of a branch or tag (git-check-ref-format(1)).
pub fn is_reference(name: &str) -> bool {
    let is_component = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.ends_with(".lock");
    name.len() <= 255
        && name.split('/').all(is_component)
        && !name.starts_with('-')
        && !name.ends_with('.')
        && name != "@"
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(|c: char| c.is_ascii_control() || c == ' ' || "~^:?*[\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_any_host_and_depth_is_a_repository() {
        for (text, url, branch, path) in [
            ("https://github.com/acme/registry", "https://github.com/acme/registry", None, "acme/registry"),
            ("https://GitHub.com/acme/registry.git/", "https://github.com/acme/registry.git", None, "acme/registry"),
            ("https://gitlab.com/a/b/c/d.git", "https://gitlab.com/a/b/c/d.git", None, "a/b/c/d"),
            ("https://github.com/a/b/tree/main", "https://github.com/a/b", Some("main"), "a/b"),
            ("https://github.com/a/b/tree/feature%2Fx/y/", "https://github.com/a/b", Some("feature/x/y"), "a/b"),
            ("https://gitlab.com/a/b/c/-/tree/next", "https://gitlab.com/a/b/c", Some("next"), "a/b/c"),
            ("https://codeberg.org/a/b/src/branch/v1", "https://codeberg.org/a/b", Some("v1"), "a/b"),
            ("https://git.example.org/tree/registry", "https://git.example.org/tree/registry", None, "tree/registry"),
            ("https://git.example.org:8443/registry", "https://git.example.org:8443/registry", None, "registry"),
            ("https://git.example.org/a/b?x=1#y", "https://git.example.org/a/b", None, "a/b"),
        ] {
            let parsed: RepositoryUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((parsed.url().as_str(), parsed.branch(), parsed.path()), (url, branch, path), "{text}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed), "{text}");
        }
    }

    #[test]
    fn ssh_url_is_refused_with_its_https_form() {
        for (text, https) in [
            ("git@github.com:acme/registry.git", "https://github.com/acme/registry.git"),
            ("ssh://git@gitlab.com/a/b/c", "https://gitlab.com/a/b/c"),
            ("ssh://git@git.example.org:2222/a/b.git", "https://git.example.org/a/b.git"),
            ("git+ssh://git@git.example.org/a b", "https://HOST/OWNER/REPO"),
        ] {
            assert_eq!(text.parse::<RepositoryUrl>(), Err(InvalidRepositoryUrl::Ssh(https.to_owned())), "{text}");
        }
    }

    #[test]
    fn url_that_names_no_repository_is_refused_without_its_text() {
        use InvalidRepositoryUrl as Invalid;
        for (text, expected) in [
            ("", Invalid::NotHttps),
            ("registry", Invalid::NotHttps),
            ("ftp://github.com/a/b", Invalid::NotHttps),
            ("file:///srv/registry", Invalid::NotHttps),
            ("https://user:s3cret@github.com/a/b", Invalid::Credentials),
            ("https://token@github.com/a/b", Invalid::Credentials),
            ("https://github.com", Invalid::NoRepository),
            ("https://github.com/", Invalid::NoRepository),
            ("https://github.com/a//b", Invalid::NoRepository),
            ("https://github.com/a/.git", Invalid::NoRepository),
            ("https://github.com/a/b/tree/x..y", Invalid::Branch),
            ("https://github.com/a/b/tree/x%20y", Invalid::Branch),
        ] {
            let error = text.parse::<RepositoryUrl>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn references_are_those_that_git_allows() {
        for good in ["main", "feature/x", "v1.0", "ünïcode", "a@b", "x.y/z"] {
            assert!(is_reference(good), "{good}");
        }
        for bad in
            ["", "/", "a//b", "a/", ".a", "a/.b", "a.lock", "-x", "a..b", "a b", "a~1", "a^", "a:b", "@", "a@{1}", "a."]
        {
            assert!(!is_reference(bad), "{bad}");
        }
    }
}
