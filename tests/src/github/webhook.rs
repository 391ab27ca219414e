//! Events, signed and delivered as GitHub does, and as GitLab does.

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{GitHub, GitHubState};

/// A webhook of the repository.
#[derive(Clone, Deserialize)]
pub struct Webhook {
    /// The URL of events.
    pub url: String,
    /// The secret that signs them.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Webhook {
    /// Whether its events are those of GitLab.
    pub(super) fn is_of_gitlab(&self) -> bool {
        self.url.ends_with("/webhooks/gitlab")
    }
}

/// The time, in whole seconds as hosts tell it.
pub(super) fn now() -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default().to_string()
}

/// The value of `X-Hub-Signature-256` for a body.
///
/// # Errors
/// Never: a key of any length is good for HMAC.
pub fn signature(secret: &str, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("HMAC")?;
    mac.update(body);
    Ok(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

/// The body of a `push` event. A branch that was deleted has no commit after.
pub fn push_event(
    full_name: &str,
    repository_id: u64,
    branch: &str,
    before: Option<&str>,
    after: Option<&str>,
) -> Value {
    let none = "0".repeat(40);
    let name = full_name.rsplit('/').next();
    json!({
        "ref": format!("refs/heads/{branch}"),
        "before": before.unwrap_or(&none), "after": after.unwrap_or(&none),
        "created": before.is_none(), "deleted": after.is_none(), "forced": false,
        "repository": { "id": repository_id, "name": name, "full_name": full_name, "default_branch": "main" },
    })
}

/// A pull request of an event.
#[derive(Debug, Clone, Copy)]
pub struct PullRequest<'a> {
    /// Its number.
    pub number: u64,
    /// The event, such as `opened` or `labeled`.
    pub action: &'a str,
    /// Its head.
    pub head: &'a str,
    /// The author's association, such as `MEMBER` or `NONE`.
    pub association: &'a str,
    /// Its labels; the last one is the one that was set.
    pub labels: &'a [&'a str],
}

impl GitHub {
    /// The body of a `pull_request` event for the branch `main`.
    pub fn pull_request_event(&self, about: &PullRequest<'_>) -> Value {
        self.shared.pull_request_event(about)
    }

    /// The body of the `push` event that made `after` the head of a branch.
    pub fn push_event(&self, branch: &str, before: Option<&str>, after: Option<&str>) -> Value {
        push_event(&self.shared.full_name(), self.shared.repository_id, branch, before, after)
    }

    /// Delivers an event, and gives the status and the body of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn deliver(&self, webhook: &Webhook, event: &str, body: &Value) -> Result<(u16, String)> {
        deliver(webhook, event, body).await
    }
}

impl GitHubState {
    /// Delivers the push of the head of the default branch, once more.
    pub(super) async fn deliver_head(&self, webhook: &Webhook) -> Result<(u16, String)> {
        let branch = self.git.default_branch().await?;
        let head = self.git.reference(&format!("refs/heads/{branch}")).await;
        let body = self.push(webhook, &branch, head.as_deref())?;
        deliver(webhook, if webhook.is_of_gitlab() { "Push Hook" } else { "push" }, &body).await
    }

    pub(super) fn pull_request_event(&self, about: &PullRequest<'_>) -> Value {
        let full_name = self.full_name();
        let labels: Vec<Value> = about.labels.iter().map(|name| json!({ "name": name })).collect();
        let repository = json!({
            "id": self.repository_id, "full_name": full_name, "default_branch": "main",
            "clone_url": format!("https://github.com/{full_name}.git"),
        });
        let mut event = json!({
            "action": about.action,
            "number": about.number,
            "pull_request": {
                "number": about.number,
                "title": "A change",
                "html_url": format!("https://github.com/{full_name}/pull/{}", about.number),
                "user": { "login": "potter" },
                "author_association": about.association,
                "labels": labels,
                "merged": false,
                "updated_at": now(),
                "head": { "ref": "change", "sha": about.head, "repo": repository.clone() },
                "base": { "ref": "main", "sha": about.head, "repo": repository.clone() },
            },
            "repository": repository,
        });
        if matches!(about.action, "labeled" | "unlabeled") {
            event["label"] = labels.last().cloned().unwrap_or_else(|| json!({ "name": "preview" }));
        }
        event
    }
}

pub(super) async fn deliver(webhook: &Webhook, event: &str, body: &Value) -> Result<(u16, String)> {
    let body = body.to_string();
    let request = crate::http::client().post(&webhook.url);
    let request = if webhook.is_of_gitlab() {
        request.header("x-gitlab-event", event).header("x-gitlab-token", &webhook.secret)
    } else {
        request
            .header("user-agent", "GitHub-Hookshot/stand-in")
            .header("x-github-event", event)
            .header("x-github-delivery", super::access::random_token("delivery"))
            .header("x-hub-signature-256", signature(&webhook.secret, body.as_bytes())?)
    };
    // Hosts wait ten seconds.
    let request = request.header("content-type", "application/json").timeout(std::time::Duration::from_secs(10));
    let answer = request.body(body).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
