//! What lies between two commits, and the files of one: the way to refresh without a whole tarball.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderValue, header};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::api::{Api, Call};
use super::repository::encode_path;
use super::retry::unavailable;
use crate::digest::CommitSha;
use crate::limits;
use crate::source::{Relation, SourceError, Tree, TreeError, TreePath};

/// GitHub lists no more files in a comparison, and does not say that there are more.
const COMPARED_FILES: usize = 300;

/// Files fetched at a time.
const AT_ONCE: usize = 8;

/// How one commit stands to another, and what changed in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// How the target stands to the base.
    pub relation: Relation,
    /// The files that [`Tree::wants`] which differ between base and target. None when GitHub does not tell all of them: more
    /// than 300 files changed, or the target does not descend from the base.
    pub changed: Option<BTreeMap<TreePath, Change>>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new or has other content: the Git blob of that name.
    Blob(String),
    /// It is gone.
    Removed,
}

/// API: "Compare two commits" (<https://docs.github.com/en/rest/commits/commits>). The list of files is on the first page
/// only, whatever the size of a page of commits.
pub(super) async fn compare(api: &Api, base: &CommitSha, target: &CommitSha) -> Result<Comparison, SourceError> {
    #[derive(Deserialize)]
    struct Answer {
        status: String,
        #[serde(default)]
        files: Option<Vec<ComparedFile>>,
    }
    let what = format!("the comparison of {} and {} in {}", base.short(), target.short(), api.repository().url());
    let route = api.repository_route(&format!("/compare/{base}...{target}?per_page=1"));
    let answer: Answer = api.call(Call::get(&what, route)).await?.json(&what)?;
    let relation = match answer.status.as_str() {
        "identical" => Relation::Same,
        "ahead" => Relation::Ahead,
        "behind" => Relation::Behind,
        "diverged" => Relation::Diverged,
        other => return Err(unavailable(&what, format!("unexpected answer: status {other:?}"))),
    };
    let changed = match (relation, answer.files) {
        (Relation::Same, _) => Some(BTreeMap::new()),
        (Relation::Ahead, Some(files)) if files.len() < COMPARED_FILES => changes(files)?,
        _ => None,
    };
    Ok(Comparison { relation, changed })
}

#[derive(Deserialize)]
struct ComparedFile {
    filename: String,
    previous_filename: Option<String>,
    status: String,
    sha: Option<String>,
}

/// None when a file has a status that GitHub did not document when this was written.
fn changes(files: Vec<ComparedFile>) -> Result<Option<BTreeMap<TreePath, Change>>, TreeError> {
    let mut changes = BTreeMap::new();
    for file in files {
        let change = match (file.status.as_str(), file.sha) {
            ("removed", _) => Change::Removed,
            ("added" | "modified" | "changed" | "copied" | "renamed" | "unchanged", Some(sha)) => Change::Blob(sha),
            _ => return Ok(None),
        };
        if let ("renamed", Some(previous)) = (file.status.as_str(), &file.previous_filename)
            && Tree::wants(previous)
        {
            // Unless another file took the name.
            changes.entry(TreePath::parse(previous)?).or_insert(Change::Removed);
        }
        if Tree::wants(&file.filename) {
            changes.insert(TreePath::parse(&file.filename)?, change);
        } else if Tree::wants(&format!("{}/", file.filename)) && change != Change::Removed {
            return Err(TreeError::NotAFile(file.filename));
        }
    }
    Ok(Some(changes))
}

/// API: "Get repository content" (<https://docs.github.com/en/rest/repos/contents>), one call a file. It tells links from
/// files; the blob's name then tells whether GitHub followed a link.
pub(super) async fn files(
    api: &Api,
    commit: &CommitSha,
    blobs: &BTreeMap<TreePath, String>,
) -> Result<BTreeMap<TreePath, Bytes>, SourceError> {
    stream::iter(blobs)
        .map(|(path, blob)| async move { Ok((path.clone(), file(api, commit, path, blob).await?)) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn file(api: &Api, commit: &CommitSha, path: &TreePath, blob: &str) -> Result<Bytes, SourceError> {
    #[derive(Deserialize)]
    struct Content {
        r#type: String,
        sha: String,
        size: u64,
        #[serde(default)]
        encoding: String,
        #[serde(default)]
        content: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Answer {
        File(Content),
        /// A folder is a list.
        Folder(IgnoredAny),
    }
    let what = format!("{path} of {} at {}", api.repository().url(), commit.short());
    let route = api.repository_route(&format!("/contents/{}?ref={commit}", encode_path(path.as_str())));
    let file = match api.call(Call::get(&what, route)).await?.json(&what)? {
        Answer::File(file) if file.r#type == "file" && file.sha == blob => file,
        _ => return Err(TreeError::NotAFile(path.to_string()).into()),
    };
    if file.size > limits::FILE_BYTES {
        return Err(TreeError::FileTooLarge { path: path.to_string() }.into());
    }
    let content = if file.encoding == "base64" {
        let packed: Vec<u8> = file.content.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let content = BASE64_STANDARD.decode(packed).map_err(|_| unavailable(&what, "its content is not base64"))?;
        Bytes::from(content)
    } else {
        // Above 1 MB the content is left out.
        let raw = HeaderValue::from_static("application/vnd.github.raw+json");
        let call = Call::get(&what, api.repository_route(&format!("/git/blobs/{blob}"))).with(header::ACCEPT, raw);
        let answer = api.call(call).await?;
        if !answer.status().is_success() {
            return Err(answer.error(&what));
        }
        answer.into_body()
    };
    if content.len() as u64 != file.size {
        return Err(unavailable(&what, format!("{} bytes arrived in place of {}", content.len(), file.size)));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(files: serde_json::Value) -> Option<Vec<(String, Change)>> {
        let changes = changes(serde_json::from_value(files).unwrap()).unwrap()?;
        Some(changes.into_iter().map(|(path, change)| (path.to_string(), change)).collect())
    }

    #[test]
    fn a_rename_takes_the_old_name_away_unless_it_is_taken_again() {
        let file = |name: &str, status: &str, sha: &str, previous: Option<&str>| serde_json::json!({"filename": name, "status": status, "sha": sha, "previous_filename": previous});
        let renamed = file("stacks/b", "renamed", "1", Some("stacks/a"));
        let again = file("stacks/a", "modified", "2", None);
        let blob = |path: &str, sha: &str| (path.to_owned(), Change::Blob(sha.to_owned()));
        let gone = ("stacks/a".to_owned(), Change::Removed);
        assert_eq!(changed(serde_json::json!([renamed])), Some(vec![gone, blob("stacks/b", "1")]));
        for files in [serde_json::json!([renamed, again]), serde_json::json!([again, renamed])] {
            assert_eq!(changed(files), Some(vec![blob("stacks/a", "2"), blob("stacks/b", "1")]));
        }
        let out = file("docs/a", "renamed", "1", Some("stacks/a"));
        assert_eq!(changed(serde_json::json!([out])), Some(vec![("stacks/a".to_owned(), Change::Removed)]));
        assert_eq!(changed(serde_json::json!([file("stacks/a", "transmuted", "1", None)])), None);
    }
}
