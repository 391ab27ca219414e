//! GitLab (<https://docs.gitlab.com/user/project/integrations/webhook_events/>).

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use devfile_registry::timestamp::Timestamp;
use serde::Deserialize;

use super::Host;
use super::event::{Event, Proposal, ProposalAction, Push, RepositoryName, commit, repository_url, time};
use crate::auth::oidc::Claims;
use crate::auth::webhook::Scheme;

/// GitLab.com and GitLab on own machines.
pub(crate) static GITLAB: Host = Host {
    name: "gitlab",
    title: "GitLab",
    // <https://docs.gitlab.com/user/project/integrations/webhooks/>: a signing token, or the secret token itself.
    schemes: &[Scheme::Standard, Scheme::Token { header: "x-gitlab-token" }],
    event_header: "x-gitlab-event",
    delivery_header: "x-gitlab-event-uuid",
    read,
    // <https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload>
    claims: Some(Claims {
        // Each instance issues tokens under its own URL.
        is_issuer: |_| true,
        repository_id: "project_id",
        reference: "ref_path",
        // The pipeline of a merge request runs unapproved code. Its number is that of the fork, and
        // its reference is no branch; the protected reference is a third guard.
        protected: Some("ref_protected"),
        event: "pipeline_source",
        events: &["push", "web", "schedule", "api"],
        workflow: "ci_config_ref_uri",
        repository: "project_path",
        actor: "user_login",
    }),
};

#[derive(Deserialize)]
struct PushEvent {
    r#ref: String,
    after: CommitSha,
    project: Project,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
    default_branch: Option<String>,
    #[serde(default, deserialize_with = "repository_url")]
    git_http_url: Option<RepositoryUrl>,
}

#[derive(Deserialize)]
struct MergeRequestEvent {
    user: Option<User>,
    project: Project,
    object_attributes: MergeRequest,
    labels: Option<Vec<Title>>,
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct User {
    id: Option<u64>,
    username: String,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    /// A test delivery has no action.
    action: Option<String>,
    author_id: Option<u64>,
    source_branch: String,
    target_branch: String,
    last_commit: Option<Commit>,
    source: Option<Source>,
    /// The commit before; there alone when commits were pushed.
    oldrev: Option<String>,
    #[serde(default, deserialize_with = "time")]
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Commit {
    #[serde(deserialize_with = "commit")]
    id: Option<CommitSha>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(default, deserialize_with = "repository_url")]
    git_http_url: Option<RepositoryUrl>,
}

/// A label.
#[derive(Deserialize, PartialEq)]
struct Title {
    title: String,
}

#[derive(Deserialize)]
struct Changes {
    labels: Option<LabelChange>,
}

#[derive(Deserialize)]
struct LabelChange {
    previous: Vec<Title>,
    current: Vec<Title>,
}

impl Project {
    fn name(&self) -> RepositoryName {
        RepositoryName::of_url(self.git_http_url.as_ref(), &self.path_with_namespace)
    }
}

fn read(event: &str, body: &[u8]) -> serde_json::Result<Event> {
    match event {
        "Push Hook" => {
            let PushEvent { r#ref, after, project } = serde_json::from_slice(body)?;
            Ok(Event::Push(Push::of_one(project.name(), r#ref, after, project.default_branch)))
        }
        "Merge Request Hook" => Ok(serde_json::from_slice::<MergeRequestEvent>(body)?.proposal()),
        _ => Ok(Event::Other),
    }
}

impl MergeRequestEvent {
    fn proposal(self) -> Event {
        let Self { user, project, object_attributes, labels, changes } = self;
        let change = changes.and_then(|changes| changes.labels);
        let action = match object_attributes.action.as_deref() {
            Some("open" | "reopen") => ProposalAction::Opened,
            Some("update") if object_attributes.oldrev.is_some() => ProposalAction::Updated,
            Some("update") if change.is_some() => ProposalAction::Labelled,
            Some("close") => ProposalAction::Closed,
            Some("merge") => ProposalAction::Merged,
            _ => return Event::Other,
        };
        let MergeRequest { iid, author_id, source_branch, target_branch, last_commit, source, updated_at, .. } =
            object_attributes;
        let added = change.filter(|_| action == ProposalAction::Labelled).map(|LabelChange { previous, current }| {
            current.into_iter().filter(|label| !previous.contains(label)).map(|label| label.title).collect()
        });
        // The user caused the event, and is the author only by chance.
        let author = user.filter(|user| user.id.is_some() && user.id == author_id);
        Event::Proposal(Box::new(Proposal {
            host: GITLAB.name,
            repository: project.name(),
            number: iid,
            action,
            base_branch: target_branch,
            head_commit: last_commit.and_then(|commit| commit.id),
            head_branch: source_branch,
            head_url: source.and_then(|source| source.git_http_url),
            author: author.map(|user| user.username),
            association: None,
            labels: labels.into_iter().flatten().map(|label| label.title).collect(),
            added_labels: added.unwrap_or_default(),
            changed_at: updated_at,
        }))
    }
}
