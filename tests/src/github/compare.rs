//! "Compare two commits".

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::git::DiffEntry;
use super::reply::Refusal;
use super::rest::show_commit;
use super::{Asked, Shared};

/// Most files of a comparison, whatever the paging.
const FILES: usize = 300;

pub(super) async fn answer(shared: &Shared, asked: &Asked, basehead: &str) -> Result<Value, Refusal> {
    let git = &shared.git;
    let (base, head) = basehead.split_once("...").ok_or_else(Refusal::not_found)?;
    let base = git.commit(base).await.ok_or_else(Refusal::not_found)?;
    let head = git.commit(head).await.ok_or_else(Refusal::not_found)?;
    let unrelated = || Refusal(StatusCode::NOT_FOUND, format!("No common ancestor between {base} and {head}."));
    let merge_base = git.merge_base(&base, &head).await.ok_or_else(unrelated)?;
    let (behind, ahead) = git.apart(&base, &head).await?;
    let status = match (ahead, behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let (page, per_page) = asked.page(250);
    let mut commits = git.log(Some(&base), &head, "", 10_000).await?;
    commits.reverse();
    let commits: Vec<_> = commits.iter().skip((page - 1) * per_page).take(per_page).map(show_commit).collect();
    let mut answer = json!({
        "status": status, "ahead_by": ahead, "behind_by": behind, "total_commits": ahead,
        "base_commit": { "sha": base }, "merge_base_commit": { "sha": merge_base }, "commits": commits,
    });
    // The changed files are on the first page only.
    if page == 1 {
        let files = git.diff(&merge_base, &head).await?;
        answer["files"] = files.iter().take(FILES).map(show_file).collect();
    }
    Ok(answer)
}

fn show_file(file: &DiffEntry) -> Value {
    let mut shown = json!({ "sha": file.sha, "filename": file.path, "status": file.status });
    if let Some(previous) = &file.previous {
        shown["previous_filename"] = previous.as_str().into();
    }
    shown
}
