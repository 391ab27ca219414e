//! How two commits stand to each other, and which files differ.

use std::collections::BTreeSet;

use http::StatusCode;
use serde::Deserialize;

use super::api::Api;
use super::call::{Call, unavailable};
use crate::digest::CommitSha;
use crate::source::{Comparison, Relation, SourceError, Tree, TreeError, TreePath};

/// GitHub lists no more files in a comparison, and does not say that there are more.
const COMPARED_FILES: usize = 300;

/// API: "Compare two commits" (<https://docs.github.com/en/rest/commits/commits>). The list of files is on the first page
/// only, whatever the size of a page of commits.
pub(super) async fn compare(api: &Api, base: &CommitSha, target: &CommitSha) -> Result<Comparison, SourceError> {
    #[derive(Deserialize)]
    struct Compared {
        status: String,
        #[serde(default)]
        files: Option<Vec<ComparedFile>>,
    }
    let what = format!("the comparison of {} and {} in {}", base.short(), target.short(), api.repository().url());
    let route = api.repository_route(&format!("/compare/{base}...{target}?per_page=1"));
    let answer = api.call(Call::get(&what, route)).await?;
    if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY) {
        // After a forced push GitHub may have forgotten the base, or the two have nothing in common.
        must_exist(api, target).await?;
        return Ok(Comparison { relation: Relation::Diverged, changed: None });
    }
    let compared: Compared = answer.json(&what)?;
    let relation = match compared.status.as_str() {
        "identical" => Relation::Same,
        "ahead" => Relation::Ahead,
        "behind" => Relation::Behind,
        "diverged" => Relation::Diverged,
        other => return Err(unavailable(&what, format!("unexpected answer: status {other:?}"))),
    };
    let changed = match (relation, compared.files) {
        (Relation::Same, _) => Some(BTreeSet::new()),
        (Relation::Ahead, Some(files)) if files.len() < COMPARED_FILES => Some(wanted(files)?),
        _ => None,
    };
    Ok(Comparison { relation, changed })
}

/// API: "Get a commit object" (<https://docs.github.com/en/rest/git/commits>).
async fn must_exist(api: &Api, commit: &CommitSha) -> Result<(), SourceError> {
    let what = format!("the commit {} of {}", commit.short(), api.repository().url());
    let answer = api.call(Call::get(&what, api.repository_route(&format!("/git/commits/{commit}")))).await?;
    if answer.status().is_success() { Ok(()) } else { Err(answer.error(&what)) }
}

#[derive(Deserialize)]
struct ComparedFile {
    filename: String,
    /// Of a renamed file.
    previous_filename: Option<String>,
}

fn wanted(files: Vec<ComparedFile>) -> Result<BTreeSet<TreePath>, TreeError> {
    let paths = files.into_iter().flat_map(|file| [Some(file.filename), file.previous_filename]).flatten();
    paths.filter(|path| Tree::wants(path)).map(|path| TreePath::parse(&path)).collect()
}
