//! Shows the outcome of a commit to its readers on GitHub.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::api::Api;
use super::call::Call;
use crate::digest::CommitSha;
use crate::source::SourceError;

/// The subject of a state, by whose name hosts tell states of one commit apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusContext {
    /// The commit in the live release.
    Live,
    /// The preview of a proposal with this head.
    Preview,
}

impl StatusContext {
    fn name(self) -> &'static str {
        match self {
            Self::Live => "devfile-registry",
            Self::Preview => "devfile-registry/preview",
        }
    }
}

/// Longest description that GitHub takes, in characters. Other hosts take more.
const DESCRIPTION: usize = 140;

/// The state of a commit after a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// It is being worked on.
    Pending,
    /// It is live.
    Success,
    /// It is not live, or not all of it, because of what is in it.
    Failure,
    /// It is not live because something else went wrong.
    Error,
}

/// API: "Create a commit status" (<https://docs.github.com/en/rest/commits/statuses>), permission "Commit statuses: write".
pub(super) async fn report(
    api: &Api,
    told: &AtomicBool,
    (context, commit): (StatusContext, &CommitSha),
    state: CommitState,
    description: &str,
    target_url: Option<&str>,
) -> Result<(), SourceError> {
    if api.is_anonymous() {
        return Ok(());
    }
    let what = format!("the status of {} in {}", commit.short(), api.repository.url);
    let status = json!({
        "state": state,
        "description": shortened(description),
        "target_url": target_url,
        "context": context.name(),
    });
    let answer = api.call(Call::post(&what, api.repository.route(&format!("/statuses/{commit}")), status)).await?;
    match answer.status() {
        StatusCode::CREATED | StatusCode::OK => Ok(()),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            if !told.swap(true, Ordering::Relaxed) {
                tracing::info!(
                    repository = api.repository.url,
                    "commit statuses are off: the credentials lack the permission \"Commit statuses: write\""
                );
            }
            Ok(())
        }
        _ => Err(answer.error(&what)),
    }
}

/// A description that every host takes.
pub(in crate::source) fn shortened(text: &str) -> String {
    if text.chars().count() <= DESCRIPTION {
        return text.to_owned();
    }
    text.chars().take(DESCRIPTION - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_fit() {
        assert_eq!(shortened("published"), "published");
        assert_eq!(shortened(&"é".repeat(140)).chars().count(), 140);
        let long = shortened(&"é".repeat(141));
        assert_eq!(long.chars().count(), 140);
        assert!(long.ends_with('…'));
    }
}
