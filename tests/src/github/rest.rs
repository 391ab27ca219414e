//! The REST API of one repository, as far as a registry needs it.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::reply::{self, Refusal};
use super::{Asked, GitHubState, lock};

/// Answers a call below `/repos/OWNER/NAME`; `path` is the rest of the path.
pub(super) async fn answer(shared: &GitHubState, asked: &Asked, path: &[&str]) -> Result<Response, Refusal> {
    let get = matches!(asked.method, Method::GET | Method::HEAD);
    let body = match path {
        [] if get => json!({
            "id": shared.repository_id, "name": shared.name(), "full_name": shared.full_name(),
            "default_branch": shared.git.default_branch().await?, "private": shared.is_private(),
        }),
        ["commits", name @ .., "statuses"] if get => shared.statuses_of(&commit(shared, &name.join("/")).await?),
        ["statuses", sha] if asked.method == Method::POST => return create_status(shared, asked, sha).await,
        ["issues", number, "comments"] if asked.method == Method::POST => {
            let number: u64 = number.parse().map_err(|_| Refusal::not_found())?;
            return write_comment(shared, asked, |comments| {
                comments.push(json!({ "id": comments.len() + 1, "pull_request": number }));
                comments.last_mut()
            });
        }
        ["issues", "comments", id] if asked.method == Method::PATCH => {
            let id: usize = id.parse().map_err(|_| Refusal::not_found())?;
            return write_comment(shared, asked, |comments| comments.get_mut(id.checked_sub(1)?));
        }
        _ => return Err(Refusal::not_found()),
    };
    Ok(reply::json(StatusCode::OK, &body))
}

/// "Create an issue comment" and "Update an issue comment".
fn write_comment(
    shared: &GitHubState,
    asked: &Asked,
    find: impl FnOnce(&mut Vec<Value>) -> Option<&mut Value>,
) -> Result<Response, Refusal> {
    shared.may_write_statuses(asked)?;
    let sent: Value = serde_json::from_slice(&asked.body)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Problems parsing JSON".to_owned()))?;
    let text = sent["body"].as_str().filter(|text| text.chars().count() <= 65_536);
    let text = text.ok_or_else(|| Refusal(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed: body".to_owned()))?;
    let mut comments = lock(&shared.comments);
    let comment = find(&mut comments).ok_or_else(Refusal::not_found)?;
    comment["body"] = text.into();
    let status = if asked.method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
    Ok(reply::json(status, comment))
}

/// The hash of the commit that a branch, a tag or a hash names.
pub(super) async fn commit(shared: &GitHubState, name: &str) -> Result<String, Refusal> {
    let unknown = || Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("No commit found for SHA: {name}"));
    shared.git.commit(name).await.ok_or_else(unknown)
}

/// "Create a commit status".
async fn create_status(shared: &GitHubState, asked: &Asked, sha: &str) -> Result<Response, Refusal> {
    shared.may_write_statuses(asked)?;
    let invalid = |reason: &str| Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("Validation Failed: {reason}"));
    let commit = commit(shared, sha).await?;
    let mut status: Value = serde_json::from_slice(&asked.body)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Problems parsing JSON".to_owned()))?;
    if !matches!(status["state"].as_str(), Some("pending" | "success" | "failure" | "error")) {
        return Err(invalid("state is not one of error, failure, pending, success"));
    }
    if status["description"].as_str().is_some_and(|text| text.chars().count() > 140) {
        return Err(invalid("description is too long (maximum is 140 characters)"));
    }
    status["sha"] = commit.into();
    Ok(reply::json(StatusCode::CREATED, &shared.add_status(status)))
}

pub(super) fn raw(kind: &'static str, content: Bytes) -> Response {
    let mut answer = Response::new(axum::body::Body::from(content));
    answer.headers_mut().extend(HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]));
    answer
}
