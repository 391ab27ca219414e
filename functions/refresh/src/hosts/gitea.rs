//! Gitea and Forgejo, which split from it and has kept its bodies (<https://docs.gitea.com/usage/webhooks>,
//! <https://forgejo.org/docs/latest/user/webhooks/>).

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use devfile_registry::timestamp::Timestamp;
use serde::Deserialize;

use super::Host;
use super::event::{
    Account, Event, Label, Proposal, ProposalAction, Push, RepositoryName, commit, names, repository_url, time,
};
use crate::auth::webhook::Scheme;

/// Gitea.
pub(crate) static GITEA: Host = Host {
    name: "gitea",
    title: "Gitea",
    schemes: &[Scheme::Hmac { header: "x-gitea-signature", prefix: "" }],
    event_header: "x-gitea-event",
    delivery_header: "x-gitea-delivery",
    read: |event, body| read("gitea", event, body),
    claims: None,
};

/// Forgejo, such as Codeberg.
pub(crate) static FORGEJO: Host = Host {
    name: "forgejo",
    title: "Forgejo",
    schemes: &[Scheme::Hmac { header: "x-forgejo-signature", prefix: "" }],
    event_header: "x-forgejo-event",
    delivery_header: "x-forgejo-delivery",
    read: |event, body| read("forgejo", event, body),
    claims: None,
};

#[derive(Deserialize)]
struct PushEvent {
    r#ref: String,
    after: CommitSha,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    default_branch: Option<String>,
    #[serde(default, deserialize_with = "repository_url")]
    clone_url: Option<RepositoryUrl>,
}

#[derive(Deserialize)]
struct PullRequestEvent {
    action: String,
    number: u64,
    pull_request: PullRequest,
    repository: Repository,
}

#[derive(Deserialize)]
struct PullRequest {
    user: Option<Account>,
    labels: Option<Vec<Label>>,
    merged: Option<bool>,
    #[serde(default, deserialize_with = "time")]
    updated_at: Option<Timestamp>,
    base: Side,
    head: Side,
}

#[derive(Deserialize)]
struct Side {
    r#ref: String,
    /// Empty when the branch is deleted.
    #[serde(default, deserialize_with = "commit")]
    sha: Option<CommitSha>,
    repo: Option<Repository>,
}

impl Repository {
    fn name(&self) -> RepositoryName {
        RepositoryName::of_url(self.clone_url.as_ref(), &self.full_name)
    }
}

fn read(host: &'static str, event: &str, body: &[u8]) -> serde_json::Result<Event> {
    match event {
        "push" => {
            let PushEvent { r#ref, after, repository } = serde_json::from_slice(body)?;
            Ok(Event::Push(Push::of_one(repository.name(), r#ref, after, repository.default_branch)))
        }
        "pull_request" => Ok(serde_json::from_slice::<PullRequestEvent>(body)?.proposal(host)),
        _ => Ok(Event::Other),
    }
}

impl PullRequestEvent {
    fn proposal(self, host: &'static str) -> Event {
        let Self { action, number, pull_request, repository } = self;
        let PullRequest { user, labels, merged, updated_at, base, head } = pull_request;
        let action = match action.as_str() {
            "opened" | "reopened" => ProposalAction::Opened,
            "synchronized" => ProposalAction::Updated,
            "label_updated" | "label_cleared" => ProposalAction::Labelled,
            "closed" if merged == Some(true) => ProposalAction::Merged,
            "closed" => ProposalAction::Closed,
            _ => return Event::Other,
        };
        let labels = names(labels);
        let added = if action == ProposalAction::Labelled { labels.clone() } else { vec![] };
        Event::Proposal(Box::new(Proposal {
            host,
            repository: repository.name(),
            number,
            action,
            base_branch: base.r#ref,
            head_commit: head.sha,
            head_branch: head.r#ref,
            head_url: head.repo.and_then(|repository| repository.clone_url),
            author: user.map(|user| user.login),
            association: None,
            labels,
            added_labels: added,
            changed_at: updated_at,
        }))
    }
}
