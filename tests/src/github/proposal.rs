//! Proposals that scripts change by `POST /_control/proposal`: the references of their heads, and the events that follow, as GitHub or
//! GitLab delivers them.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHubState, PullRequest, Webhook, webhook};
use crate::webhooks::{PROPOSALS, PUSHES};

/// A change of a proposal, from a branch of the repository to its default branch.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    number: u64,
    branch: String,
    action: Action,
    #[serde(flatten)]
    webhook: Webhook,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Opened,
    Pushed,
    Labelled,
    Closed,
    Merged,
}

impl GitHubState {
    /// Changes a proposal, and returns the last answer to its events. A merge is one into the branch that the folder has checked out.
    pub(super) async fn change(&self, change: &Change) -> Result<(u16, String)> {
        let Change { number, branch, action, webhook } = change;
        let head = self.git.reference(&format!("refs/heads/{branch}")).await.context("there is no such branch")?;
        let folder = if webhook.is_of_gitlab() { "merge-requests" } else { "pull" };
        self.git.run(&["update-ref", &format!("refs/{folder}/{number}/head"), &head]).await?;
        if *action == Action::Merged {
            self.git.run(&["merge", "--quiet", "--no-edit", branch]).await?;
        }
        let answer = if webhook.is_of_gitlab() {
            webhook::deliver(webhook, "Merge Request Hook", &merge_request(change, &head)?).await?
        } else {
            webhook::deliver(webhook, "pull_request", &self.pull_request(change, &head)).await?
        };
        if *action == Action::Merged { self.deliver_head(webhook).await } else { Ok(answer) }
    }

    /// The body of the push of a branch, as the host of a webhook sends it.
    pub(super) fn push(&self, webhook: &Webhook, branch: &str, head: Option<&str>) -> Result<Value> {
        if !webhook.is_of_gitlab() {
            return Ok(webhook::push_event(&self.full_name(), self.repository_id, branch, head, head));
        }
        let mut body: Value = serde_json::from_str(PUSHES[0].body)?;
        body["ref"] = format!("refs/heads/{branch}").into();
        body["project"]["default_branch"] = branch.into();
        body["after"] = head.into();
        Ok(body)
    }

    fn pull_request(&self, change: &Change, head: &str) -> Value {
        let action = match change.action {
            Action::Opened => "opened",
            Action::Pushed => "synchronize",
            Action::Labelled => "labeled",
            Action::Closed | Action::Merged => "closed",
        };
        let labels: &[&str] = if change.action == Action::Labelled { &["preview"] } else { &[] };
        let about = PullRequest { number: change.number, action, head, association: "MEMBER", labels };
        let mut event = self.pull_request_event(&about);
        event["pull_request"]["head"]["ref"] = change.branch.as_str().into();
        event["pull_request"]["merged"] = (change.action == Action::Merged).into();
        event
    }
}

/// The recorded merge request with another change.
fn merge_request(change: &Change, head: &str) -> Result<Value> {
    let mut body: Value = serde_json::from_str(PROPOSALS[0].body)?;
    let action = match change.action {
        Action::Opened => "open",
        Action::Pushed | Action::Labelled => "update",
        Action::Closed => "close",
        Action::Merged => "merge",
    };
    let attributes = &mut body["object_attributes"];
    attributes["iid"] = change.number.into();
    attributes["action"] = action.into();
    attributes["source_branch"] = change.branch.as_str().into();
    attributes["last_commit"]["id"] = head.into();
    attributes["updated_at"] = webhook::now().into();
    if change.action == Action::Pushed {
        attributes["oldrev"] = head.into();
    }
    if change.action != Action::Labelled {
        body["changes"] = json!({});
    }
    Ok(body)
}
