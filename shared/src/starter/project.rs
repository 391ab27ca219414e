//! Starter projects as devfiles name them (devfile schema, `starterProjects`).

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use crate::git::Revision;
use crate::tree::TreePath;
use crate::yaml::{self, nullable};

/// The name of a devfile.
const PATH: &str = "devfile.yaml";

/// A starter project of a devfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarterProject {
    /// Its name, as it is written.
    pub name: String,
    /// The source of its files.
    pub source: Result<StarterSource, NoSource>,
}

/// The source of the files of a starter project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarterSource {
    /// The files.
    pub origin: Origin,
    /// The folder of them that is the project; none: all.
    pub sub_dir: Option<TreePath>,
}

/// A place that has files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A Git repository.
    Git {
        /// Its URL, without slashes at the end.
        remote: Url,
        /// The revision to check out.
        revision: Revision,
    },
    /// A zip file somewhere else.
    Zip(Url),
    /// A zip file in the folder of the version.
    File(TreePath),
}

/// Why a starter project has no source that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSource {
    /// Neither `git` nor `zip`, or an empty one.
    #[error("it names neither a git remote nor the location of a zip")]
    Nothing,
    /// `checkoutFrom.remote` names none of the remotes.
    #[error("it has no remote `{0}`")]
    NoSuchRemote(String),
    /// Several remotes, and none is chosen.
    #[error("it has several remotes and does not say which to check out")]
    WhichRemote,
    /// The address is none that can be fetched over https.
    #[error("`{0}` is not an https URL")]
    Address(String),
    /// The revision cannot be the name of a branch or tag.
    #[error("`{0}` is neither a branch, a tag nor a commit")]
    Revision(String),
    /// The folder or file is not below the root of the project.
    #[error("the path `{0}` is not a plain relative path")]
    Path(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDevfile {
    #[serde(default, deserialize_with = "nullable")]
    starter_projects: Vec<RawProject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProject {
    name: String,
    git: Option<GitRemotes>,
    zip: Option<Zip>,
    #[serde(default, deserialize_with = "nullable")]
    sub_dir: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GitRemotes {
    #[serde(default, deserialize_with = "nullable")]
    remotes: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nullable")]
    checkout_from: CheckoutFrom,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CheckoutFrom {
    #[serde(deserialize_with = "nullable")]
    remote: String,
    #[serde(deserialize_with = "nullable")]
    revision: String,
}

#[derive(Deserialize)]
struct Zip {
    #[serde(default, deserialize_with = "nullable")]
    location: String,
}

impl StarterProject {
    /// Reads the starter projects of a devfile.
    ///
    /// # Errors
    /// Why the devfile cannot be read. Published ones can.
    pub fn all(devfile: &[u8]) -> Result<Vec<Self>, String> {
        let read = yaml::parse(PATH, devfile).map_err(|problems| problems.into_iter().next());
        let read = read.and_then(|node| yaml::decode::<RawDevfile>(PATH, &node).map_err(|problem| Some(*problem)));
        let raw = read.map_err(|problem| problem.map_or_else(String::new, |problem| problem.message))?;
        Ok(raw.starter_projects.into_iter().map(|raw| Self { source: source(&raw), name: raw.name }).collect())
    }
}

fn source(raw: &RawProject) -> Result<StarterSource, NoSource> {
    let origin = match (&raw.git, &raw.zip) {
        (Some(git), _) => git_origin(git)?,
        (None, Some(zip)) => zip_origin(&zip.location)?,
        (None, None) => return Err(NoSource::Nothing),
    };
    let sub_dir = raw.sub_dir.trim().trim_matches('/');
    let sub_dir = match sub_dir.strip_prefix("./").unwrap_or(sub_dir) {
        "" | "." => None,
        folder => Some(plain_path(folder)?),
    };
    Ok(StarterSource { origin, sub_dir })
}

fn plain_path(text: &str) -> Result<TreePath, NoSource> {
    TreePath::parse(text).map_err(|_| NoSource::Path(text.to_owned()))
}

fn git_origin(git: &GitRemotes) -> Result<Origin, NoSource> {
    let chosen = match git.checkout_from.remote.as_str() {
        "" => match git.remotes.get("origin") {
            Some(origin) => Some(origin),
            None if git.remotes.len() > 1 => return Err(NoSource::WhichRemote),
            None => git.remotes.values().next(),
        },
        name => Some(git.remotes.get(name).ok_or_else(|| NoSource::NoSuchRemote(name.to_owned()))?),
    };
    let text = chosen.map(|remote| remote.trim()).filter(|remote| !remote.is_empty()).ok_or(NoSource::Nothing)?;
    let mut remote = web_address(text.trim_end_matches('/')).ok_or_else(|| NoSource::Address(text.to_owned()))?;
    remote.set_fragment(None);
    let revision = git.checkout_from.revision.trim();
    let revision = Revision::parse(revision).map_err(|_| NoSource::Revision(revision.to_owned()))?;
    Ok(Origin::Git { remote, revision })
}

fn zip_origin(location: &str) -> Result<Origin, NoSource> {
    match location.trim() {
        "" => Err(NoSource::Nothing),
        text if text.contains("://") => {
            web_address(text).map(Origin::Zip).ok_or_else(|| NoSource::Address(text.to_owned()))
        }
        text => {
            let path = text.trim_start_matches('/');
            plain_path(path.strip_prefix("./").unwrap_or(path)).map(Origin::File)
        }
    }
}

/// A URL of the web. Whether it may be fetched is for the rules of fetches to say, `http` and the own machine included.
fn web_address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<StarterSource, NoSource> {
        let devfile = format!("starterProjects:\n  - name: clay\n    {}\n", text.replace('\n', "\n    "));
        let mut all = StarterProject::all(devfile.as_bytes()).unwrap();
        assert_eq!((all.len(), all[0].name.as_str()), (1, "clay"));
        all.remove(0).source
    }

    fn git(remote: &str, revision: Revision) -> Origin {
        Origin::Git { remote: remote.parse().unwrap(), revision }
    }

    #[test]
    fn project_with_a_source_is_read() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let url = "https://example.org/clay";
        let cases = [
            ("git: {remotes: {origin: https://example.org/clay.git}}", git(&format!("{url}.git"), Revision::Default)),
            ("git: {remotes: {origin: https://example.org/clay/}}", git(url, Revision::Default)),
            ("git: {remotes: {upstream: https://example.org/clay}}", git(url, Revision::Default)),
            (
                "git: {remotes: {origin: https://example.org/clay, mine: https://example.org/pot}, checkoutFrom: {remote: mine}}",
                git("https://example.org/pot", Revision::Default),
            ),
            (
                "git: {remotes: {origin: https://example.org/clay}, checkoutFrom: {revision: feature/x}}",
                git(url, Revision::Name("feature/x".into())),
            ),
            (
                "git: {remotes: {origin: https://example.org/clay}, checkoutFrom: {revision: '1.10'}}",
                git(url, Revision::Name("1.10".into())),
            ),
            (
                &format!(
                    "git: {{remotes: {{origin: https://example.org/clay}}, checkoutFrom: {{revision: {}}}}}",
                    hash.to_uppercase()
                ),
                git(url, Revision::Commit(hash.parse().unwrap())),
            ),
            (
                "zip: {location: 'https://example.org/a.zip?x=1'}",
                Origin::Zip("https://example.org/a.zip?x=1".parse().unwrap()),
            ),
            ("zip: {location: clay-offline.zip}", Origin::File(TreePath::parse("clay-offline.zip").unwrap())),
            ("zip: {location: ./a/clay.zip}", Origin::File(TreePath::parse("a/clay.zip").unwrap())),
        ];
        for (text, origin) in cases {
            assert_eq!(one(text), Ok(StarterSource { origin, sub_dir: None }), "{text}");
        }
        for (written, folder) in [("app", "app"), ("/app/", "app"), ("./a/b", "a/b")] {
            let source = one(&format!("zip: {{location: c.zip}}\nsubDir: {written}")).unwrap();
            assert_eq!(source.sub_dir, Some(TreePath::parse(folder).unwrap()), "{written}");
        }
        for written in ["''", ".", "/", "./"] {
            assert_eq!(
                one(&format!("zip: {{location: c.zip}}\nsubDir: {written}")).unwrap().sub_dir,
                None,
                "{written}"
            );
        }
    }

    #[test]
    fn project_without_a_usable_source_is_refused_with_its_reason() {
        let remote = |remote: &str, revision: &str| {
            format!("git: {{remotes: {{origin: '{remote}'}}, checkoutFrom: {{revision: '{revision}'}}}}")
        };
        let cases = [
            ("description: empty".to_owned(), NoSource::Nothing),
            ("git: {}".to_owned(), NoSource::Nothing),
            ("git: {remotes: {origin: ''}}".to_owned(), NoSource::Nothing),
            ("zip: {location: ''}".to_owned(), NoSource::Nothing),
            ("git: {remotes: {a: https://a/b, b: https://b/c}}".to_owned(), NoSource::WhichRemote),
            (
                "git: {remotes: {a: https://a/b}, checkoutFrom: {remote: b}}".to_owned(),
                NoSource::NoSuchRemote("b".to_owned()),
            ),
            (remote("git@github.com:a/b.git", ""), NoSource::Address("git@github.com:a/b.git".into())),
            (remote("ssh://git@github.com/a/b", ""), NoSource::Address("ssh://git@github.com/a/b".into())),
            (remote("file:///etc", ""), NoSource::Address("file:///etc".into())),
            (remote("https://a/b", "a..b"), NoSource::Revision("a..b".into())),
            (remote("https://a/b", "--upload-pack=x"), NoSource::Revision("--upload-pack=x".into())),
            (remote("https://a/b", "a b"), NoSource::Revision("a b".into())),
            ("zip: {location: ../c.zip}".to_owned(), NoSource::Path("../c.zip".into())),
            ("zip: {location: c.zip}\nsubDir: a/../../b".to_owned(), NoSource::Path("a/../../b".into())),
            ("zip: {location: 'ftp://a/c.zip'}".to_owned(), NoSource::Address("ftp://a/c.zip".into())),
        ];
        for (text, reason) in cases {
            assert_eq!(one(&text), Err(reason), "{text}");
        }
    }
}
