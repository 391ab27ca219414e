//! Bitbucket Cloud and Bitbucket Data Center, whose names of events and bodies differ
//! (<https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>,
//! <https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html>).

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use serde::Deserialize;

use super::Host;
use super::event::{
    Event, Proposal, ProposalAction, Push, RefUpdate, RepositoryName, commit, existing, repository_url,
};
use crate::auth::webhook::Scheme;

/// Both Bitbuckets.
pub(crate) static BITBUCKET: Host = Host {
    name: "bitbucket",
    title: "Bitbucket",
    schemes: &[Scheme::Hmac { header: "x-hub-signature", prefix: "sha256=" }],
    event_header: "x-event-key",
    delivery_header: "x-request-uuid",
    read,
    claims: None,
};

fn read(event: &str, body: &[u8]) -> serde_json::Result<Event> {
    use ProposalAction::{Closed, Merged, Opened, Updated};
    let of_cloud = |action| Ok(serde_json::from_slice::<cloud::PullRequestEvent>(body)?.proposal(action));
    let of_data_center = |action| Ok(serde_json::from_slice::<data_center::PullRequestEvent>(body)?.proposal(action));
    match event {
        "diagnostics:ping" => Ok(Event::Ping),
        "repo:push" => Ok(serde_json::from_slice::<cloud::PushEvent>(body)?.push()),
        "repo:refs_changed" => Ok(serde_json::from_slice::<data_center::PushEvent>(body)?.push()),
        "pullrequest:created" => of_cloud(Opened),
        "pullrequest:updated" => of_cloud(Updated),
        "pullrequest:rejected" => of_cloud(Closed),
        "pullrequest:fulfilled" => of_cloud(Merged),
        "pr:opened" | "pr:reopened" => of_data_center(Opened),
        "pr:from_ref_updated" => of_data_center(Updated),
        "pr:declined" | "pr:deleted" => of_data_center(Closed),
        "pr:merged" => of_data_center(Merged),
        _ => Ok(Event::Other),
    }
}

/// The bodies of Bitbucket Cloud.
mod cloud {
    use super::*;

    #[derive(Deserialize)]
    pub(super) struct PushEvent {
        repository: Repository,
        push: Changes,
    }

    #[derive(Deserialize)]
    struct Repository {
        full_name: String,
        links: Option<Links>,
    }

    #[derive(Deserialize)]
    struct Links {
        html: Option<Link>,
    }

    #[derive(Deserialize)]
    struct Link {
        #[serde(default, deserialize_with = "repository_url")]
        href: Option<RepositoryUrl>,
    }

    #[derive(Deserialize)]
    struct Changes {
        changes: Vec<Change>,
    }

    /// A created reference has no old state, a deleted one no new state.
    #[derive(Deserialize)]
    struct Change {
        old: Option<Reference>,
        new: Option<Reference>,
    }

    #[derive(Deserialize)]
    struct Reference {
        r#type: String,
        name: String,
        target: Target,
    }

    #[derive(Deserialize)]
    struct Target {
        hash: CommitSha,
    }

    #[derive(Deserialize)]
    pub(super) struct PullRequestEvent {
        repository: Repository,
        pullrequest: PullRequest,
    }

    #[derive(Deserialize)]
    struct PullRequest {
        id: u64,
        author: Option<Author>,
        source: Side,
        destination: Side,
    }

    #[derive(Deserialize)]
    struct Author {
        nickname: Option<String>,
    }

    #[derive(Deserialize)]
    struct Side {
        branch: Branch,
        commit: Option<Commit>,
        repository: Option<Repository>,
    }

    #[derive(Deserialize)]
    struct Branch {
        name: String,
    }

    #[derive(Deserialize)]
    struct Commit {
        /// The commit; Bitbucket Cloud shortens it to twelve digits.
        #[serde(default, deserialize_with = "commit")]
        hash: Option<CommitSha>,
    }

    impl Repository {
        fn name(self) -> RepositoryName {
            RepositoryName { path: self.full_name, github_id: None }
        }
    }

    impl Change {
        fn update(self) -> Option<RefUpdate> {
            let (reference, after) = match (self.new, self.old) {
                (Some(Reference { r#type, name, target }), _) => ((r#type, name), Some(target.hash)),
                (None, Some(Reference { r#type, name, .. })) => ((r#type, name), None),
                (None, None) => return None,
            };
            let folder = if reference.0.ends_with("branch") { "heads" } else { "tags" };
            Some(RefUpdate { reference: format!("refs/{folder}/{}", reference.1), after })
        }
    }

    impl PushEvent {
        pub(super) fn push(self) -> Event {
            let updates = self.push.changes.into_iter().filter_map(Change::update).collect();
            Event::Push(Push { repository: self.repository.name(), updates, default_branch: None })
        }
    }

    impl PullRequestEvent {
        pub(super) fn proposal(self, action: ProposalAction) -> Event {
            let PullRequest { id, author, source, destination } = self.pullrequest;
            let links = source.repository.and_then(|repository| repository.links);
            Event::Proposal(Box::new(Proposal {
                host: BITBUCKET.name,
                repository: self.repository.name(),
                number: id,
                action,
                base_branch: destination.branch.name,
                head_commit: source.commit.and_then(|commit| commit.hash),
                head_branch: source.branch.name,
                head_url: links.and_then(|links| links.html).and_then(|link| link.href),
                author: author.and_then(|author| author.nickname),
                association: None,
                labels: vec![],
                added_labels: vec![],
                changed_at: None,
            }))
        }
    }
}

/// The bodies of Bitbucket Data Center.
mod data_center {
    use super::*;

    #[derive(Deserialize)]
    pub(super) struct PushEvent {
        repository: Repository,
        changes: Vec<Change>,
    }

    #[derive(Deserialize)]
    struct Repository {
        slug: String,
        project: Project,
    }

    #[derive(Deserialize)]
    struct Project {
        key: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Change {
        r#ref: Reference,
        to_hash: CommitSha,
    }

    #[derive(Deserialize)]
    struct Reference {
        id: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct PullRequestEvent {
        pull_request: PullRequest,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct PullRequest {
        id: u64,
        author: Option<Participant>,
        from_ref: Side,
        to_ref: Side,
    }

    #[derive(Deserialize)]
    struct Participant {
        user: User,
    }

    #[derive(Deserialize)]
    struct User {
        name: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Side {
        display_id: String,
        latest_commit: CommitSha,
        repository: Repository,
    }

    impl Repository {
        /// Repositories are cloned from below `/scm`.
        fn name(self) -> RepositoryName {
            RepositoryName { path: format!("scm/{}/{}", self.project.key, self.slug), github_id: None }
        }
    }

    impl PushEvent {
        pub(super) fn push(self) -> Event {
            let update = |Change { r#ref, to_hash }| RefUpdate { reference: r#ref.id, after: existing(to_hash) };
            let updates = self.changes.into_iter().map(update).collect();
            Event::Push(Push { repository: self.repository.name(), updates, default_branch: None })
        }
    }

    impl PullRequestEvent {
        pub(super) fn proposal(self, action: ProposalAction) -> Event {
            let PullRequest { id, author, from_ref, to_ref } = self.pull_request;
            Event::Proposal(Box::new(Proposal {
                host: BITBUCKET.name,
                repository: to_ref.repository.name(),
                number: id,
                action,
                base_branch: to_ref.display_id,
                head_commit: existing(from_ref.latest_commit),
                head_branch: from_ref.display_id,
                head_url: None,
                author: author.map(|author| author.user.name),
                association: None,
                labels: vec![],
                added_labels: vec![],
                changed_at: None,
            }))
        }
    }
}
