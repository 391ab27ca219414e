//! The address of a repository on GitHub, as people write it in the configuration.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters that one name of a URL path holds unescaped.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A repository on github.com or a GitHub Enterprise server, and the branch to follow if the address names one.
///
/// Parsed from `https://HOST/OWNER/REPO[.git][/tree/BRANCH]`. The parts are plain names: each can be put into a URL
/// path, and none leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubRepository {
    host: String,
    owner: String,
    name: String,
    branch: Option<String>,
}

/// Why a text is not a [`GitHubRepository`] or its branch. The messages leave out the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepository {
    /// Another protocol than https.
    #[error("the repository URL does not begin with https://; write https://github.com/OWNER/REPO")]
    NotHttps,
    /// A user name or password in the URL.
    #[error("the repository URL carries credentials; take them out and set GITHUB_TOKEN or the GitHub App instead")]
    Credentials,
    /// A host that cannot be one.
    #[error("the host in the repository URL is not a host name; write https://github.com/OWNER/REPO")]
    Host,
    /// No owner or no repository.
    #[error("the repository URL does not name an owner and a repository; write https://github.com/OWNER/REPO")]
    Name,
    /// Something after the repository that is not a branch.
    #[error("the repository URL goes on after the repository; only /tree/BRANCH may follow OWNER/REPO")]
    Rest,
    /// Not the name of a branch.
    #[error("the branch is not a name that Git allows; write it as `git branch` shows it")]
    Branch,
}

impl GitHubRepository {
    /// The same repository, with a branch to follow in place of the address's own or the default branch.
    ///
    /// # Errors
    /// [`InvalidRepository::Branch`] when Git allows no such branch.
    pub fn on_branch(self, branch: &str) -> Result<Self, InvalidRepository> {
        if is_branch(branch) {
            Ok(Self { branch: Some(branch.to_owned()), ..self })
        } else {
            Err(InvalidRepository::Branch)
        }
    }

    /// The host, in lower case, with its port if it has one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The user or organization.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository's name, without its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch to follow; none means the repository's default branch.
    pub fn branch(&self) -> Option<&str> {
        self.branch.as_deref()
    }

    /// Where people find it: the address without `.git` and branch.
    pub fn url(&self) -> String {
        format!("https://{}/{}/{}", self.host, self.owner, self.name)
    }

    /// Where its REST API is, unless configured otherwise.
    pub(super) fn api_url(&self) -> String {
        let host = &self.host;
        if host == "github.com" || host.ends_with(".ghe.com") {
            format!("https://api.{host}")
        } else {
            format!("https://{host}/api/v3")
        }
    }
}

impl FromStr for GitHubRepository {
    type Err = InvalidRepository;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.trim().strip_prefix("https://").ok_or(InvalidRepository::NotHttps)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            return Err(InvalidRepository::Credentials);
        }
        if !is_host(host) {
            return Err(InvalidRepository::Host);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut parts = path.splitn(3, '/');
        let owner = parts.next().unwrap_or_default();
        let name = parts.next().unwrap_or_default();
        let name = name.strip_suffix(".git").unwrap_or(name);
        let named = |text: &str| !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_name_byte);
        if !named(owner) || owner.len() > 100 || name.len() > 100 || !(named(name) || is_dotted(name)) {
            return Err(InvalidRepository::Name);
        }
        let repository =
            Self { host: host.to_ascii_lowercase(), owner: owner.to_owned(), name: name.to_owned(), branch: None };
        match parts.next() {
            None => Ok(repository),
            Some(rest) => {
                let branch = rest.strip_prefix("tree/").ok_or(InvalidRepository::Rest)?;
                let branch = percent_decode_str(branch).decode_utf8().map_err(|_| InvalidRepository::Branch)?;
                repository.on_branch(&branch)
            }
        }
    }
}

/// The address that parses to the same value again.
impl fmt::Display for GitHubRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())?;
        match &self.branch {
            Some(branch) => write!(f, "/tree/{}", encode_path(branch)),
            None => Ok(()),
        }
    }
}

/// A path in the form in which it can stand in a URL, its slashes kept.
pub(super) fn encode_path(path: &str) -> String {
    let names: Vec<_> = path.split('/').map(|name| utf8_percent_encode(name, NAME).to_string()).collect();
    names.join("/")
}

/// A text in the form in which it can stand for one value of a query.
pub(super) fn encode_value(text: &str) -> String {
    utf8_percent_encode(text, NAME).to_string()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// `.github` and the like are names of repositories, `.` and `..` are not.
fn is_dotted(name: &str) -> bool {
    name.starts_with('.') && name.bytes().any(|b| b != b'.') && name.bytes().all(is_name_byte)
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "443"));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// The rules of git-check-ref-format(1) for a branch.
fn is_branch(branch: &str) -> bool {
    let name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.ends_with(".lock");
    let refused = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    branch.len() <= 255
        && !branch.contains(refused)
        && !branch.contains("..")
        && !branch.contains("@{")
        && !branch.starts_with('-')
        && !branch.ends_with('.')
        && branch != "@"
        && branch.split('/').all(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<GitHubRepository, InvalidRepository> {
        text.parse()
    }

    #[test]
    fn reads_the_forms_that_people_paste() {
        for (text, url, branch, api) in [
            (
                "https://github.com/devfile/registry",
                "https://github.com/devfile/registry",
                None,
                "https://api.github.com",
            ),
            (
                "https://GitHub.com/devfile/registry.git",
                "https://github.com/devfile/registry",
                None,
                "https://api.github.com",
            ),
            (
                " https://github.com/devfile/registry/ ",
                "https://github.com/devfile/registry",
                None,
                "https://api.github.com",
            ),
            (
                "https://github.com/devfile/registry/tree/feature/go-1.22",
                "https://github.com/devfile/registry",
                Some("feature/go-1.22"),
                "https://api.github.com",
            ),
            (
                "https://github.com/acme/.github/tree/with%23hash",
                "https://github.com/acme/.github",
                Some("with#hash"),
                "https://api.github.com",
            ),
            (
                "https://git.example.com:8443/acme/stacks.git/tree/main",
                "https://git.example.com:8443/acme/stacks",
                Some("main"),
                "https://git.example.com:8443/api/v3",
            ),
            ("https://acme.ghe.com/acme/stacks", "https://acme.ghe.com/acme/stacks", None, "https://api.acme.ghe.com"),
        ] {
            let repository = parse(text).unwrap();
            assert_eq!((repository.url().as_str(), repository.branch()), (url, branch), "{text}");
            assert_eq!(repository.api_url(), api);
        }
    }

    #[test]
    fn says_what_is_wrong_without_repeating_a_password() {
        use InvalidRepository::*;
        for (text, error) in [
            ("", NotHttps),
            ("http://github.com/a/b", NotHttps),
            ("git@github.com:a/b.git", NotHttps),
            ("https://user:secret@github.com/a/b", Credentials),
            ("https://", Host),
            ("https://-x/a/b", Host),
            ("https://a b/a/b", Host),
            ("https://github.com:port/a/b", Host),
            ("https://github.com", Name),
            ("https://github.com/a", Name),
            ("https://github.com/a/", Name),
            ("https://github.com//b", Name),
            ("https://github.com/a/..", Name),
            ("https://github.com/a/.git", Name),
            ("https://github.com/../b", Name),
            ("https://github.com/a/b?token=secret", Name),
            ("https://github.com/a/b#x", Name),
            ("https://github.com/a%2fb/c", Name),
            ("https://github.com/a/b/blob/main/README.md", Rest),
            ("https://github.com/a/b/tree", Rest),
            ("https://github.com/a/b/tree/", Rest),
            ("https://github.com/a/b/tree/a..b", Branch),
            ("https://github.com/a/b/tree/a//b", Branch),
            ("https://github.com/a/b/tree/a%00b", Branch),
            ("https://github.com/a/b/tree/%ff", Branch),
            ("https://github.com/a/b/tree/x.lock", Branch),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_parses_its_own_spelling(text in "(https://)?[ -~]{0,40}") {
            if let Ok(repository) = parse(&text) {
                prop_assert_eq!(parse(&repository.to_string()), Ok(repository));
            }
        }

        #[test]
        fn keeps_every_part(
            owner in "[A-Za-z0-9][A-Za-z0-9_-]{0,20}",
            name in "[A-Za-z0-9_-]{1,20}",
            branch in "[A-Za-z0-9#%+é&]{1,8}(/[A-Za-z0-9#%]{1,8}){0,2}",
        ) {
            let address = format!("https://github.com/{owner}/{name}.git/tree/{}", encode_path(&branch));
            let repository = parse(&address).unwrap();
            prop_assert_eq!(repository.owner(), owner);
            prop_assert_eq!(repository.name(), name);
            prop_assert_eq!(repository.branch(), Some(branch.as_str()));
        }
    }
}
