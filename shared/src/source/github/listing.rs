//! The names of all files of a commit, and the contents of a few: the way to refresh without a whole tarball.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderValue, header};
use serde::Deserialize;

use super::api::Api;
use super::call::{Call, unavailable};
use crate::digest::CommitSha;
use crate::limits;
use crate::source::{File, Mode, SourceError, Tree, TreeError, TreePath};

/// Blobs fetched at a time.
const AT_ONCE: usize = 8;

/// A file by name: what [`GitHubSource::files`](super::GitHubSource::files) fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    /// The name of its Git blob: the same name, the same content.
    pub blob: String,
    /// Its permissions.
    pub mode: Mode,
    /// Its size, in bytes.
    pub size: u64,
}

/// API: "Get a tree", recursive (<https://docs.github.com/en/rest/git/trees>). GitHub truncates it above 100,000 entries or 7 MB.
pub(super) async fn list(api: &Api, commit: &CommitSha) -> Result<Option<BTreeMap<TreePath, ListedFile>>, SourceError> {
    #[derive(Deserialize)]
    struct Listing {
        tree: Vec<Entry>,
        truncated: bool,
    }
    let what = format!("the list of files of {} at {}", api.repository().url(), commit.short());
    let route = api.repository_route(&format!("/git/trees/{commit}?recursive=1"));
    let listing: Listing = api.call(Call::get(&what, route)).await?.json(&what)?;
    if listing.truncated {
        return Ok(None);
    }
    let files = listing.tree.into_iter().filter_map(|entry| entry.file().transpose());
    Ok(Some(files.collect::<Result<_, _>>()?))
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    mode: String,
    sha: String,
    #[serde(default)]
    size: u64,
}

impl Entry {
    /// None when nobody wants it. Refuses the same as the unpacking of a tarball.
    fn file(self) -> Result<Option<(TreePath, ListedFile)>, TreeError> {
        let mode = match self.mode.as_str() {
            // Folders, and submodules, which are empty folders in a tarball.
            "040000" | "160000" => return Ok(None),
            "100644" => Mode::Plain,
            "100755" => Mode::Executable,
            _ if Tree::wants(&self.path) || Tree::wants(&format!("{}/", self.path)) => {
                return Err(TreeError::NotAFile(self.path));
            }
            _ => return Ok(None),
        };
        if !Tree::wants(&self.path) {
            return Ok(None);
        }
        if self.size > limits::FILE_BYTES {
            return Err(TreeError::FileTooLarge { path: self.path });
        }
        Ok(Some((TreePath::parse(&self.path)?, ListedFile { blob: self.sha, mode, size: self.size })))
    }
}

/// API: "Get a blob" (<https://docs.github.com/en/rest/git/blobs>), one call a file.
pub(super) async fn fetch(
    api: &Api,
    files: &BTreeMap<TreePath, ListedFile>,
) -> Result<BTreeMap<TreePath, File>, SourceError> {
    let calls: Vec<_> = files.iter().map(|(path, listed)| fetch_one(api, path, listed)).collect();
    let files = stream::iter(calls).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    Ok(files.into_iter().collect())
}

async fn fetch_one(api: &Api, path: &TreePath, listed: &ListedFile) -> Result<(TreePath, File), SourceError> {
    let what = format!("{path} of {}", api.repository().url());
    let raw = HeaderValue::from_static("application/vnd.github.raw+json");
    let call = Call::get(&what, api.repository_route(&format!("/git/blobs/{}", listed.blob)));
    let answer = api.call(call.with(header::ACCEPT, raw)).await?;
    if !answer.status().is_success() {
        return Err(answer.error(&what));
    }
    let content = answer.into_body();
    if content.len() as u64 != listed.size {
        return Err(unavailable(&what, format!("{} bytes arrived in place of {}", content.len(), listed.size)));
    }
    Ok((path.clone(), File { content, mode: listed.mode }))
}
