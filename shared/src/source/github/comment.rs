//! Comments on pull requests.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::api::Api;
use super::call::Call;
use crate::source::SourceError;

/// A comment.
#[derive(Deserialize)]
struct Comment {
    id: u64,
}

/// API: "Update an issue comment", "Create an issue comment" (<https://docs.github.com/en/rest/issues/comments>), permission "Pull
/// requests: write". Only the comment with the known number is changed: a text by which one could be found, anybody can write.
pub(super) async fn write(
    api: &Api,
    proposal: u64,
    known: Option<u64>,
    text: &str,
) -> Result<Option<u64>, SourceError> {
    if api.is_anonymous() {
        return Ok(None);
    }
    let what = format!("the comment on #{proposal} of {}", api.repository.url);
    if let Some(id) = known {
        let route = api.repository.route(&format!("/issues/comments/{id}"));
        let answer = api.call(Call::patch(&what, route, json!({ "body": text }))).await?;
        match answer.status() {
            StatusCode::OK => return Ok(Some(id)),
            // Somebody removed it.
            StatusCode::NOT_FOUND => {}
            StatusCode::FORBIDDEN => return Ok(denied(api)),
            _ => return Err(answer.error(&what)),
        }
    }
    let route = api.repository.route(&format!("/issues/{proposal}/comments"));
    let answer = api.call(Call::post(&what, route, json!({ "body": text }))).await?;
    match answer.status() {
        StatusCode::CREATED => answer.json(&what).map(|Comment { id }| Some(id)),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(denied(api)),
        _ => Err(answer.error(&what)),
    }
}

fn denied(api: &Api) -> Option<u64> {
    let permission = "Pull requests: write";
    tracing::warn!(repository = api.repository.url, permission, "cannot comment: the credentials lack a permission");
    None
}
