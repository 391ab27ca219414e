//! GitHub (<https://docs.github.com/en/webhooks/webhook-events-and-payloads>).

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use devfile_registry::timestamp::Timestamp;
use serde::Deserialize;

use super::Host;
use super::event::{
    Account, Association, Event, Label, Proposal, ProposalAction, Push, RepositoryName, existing, names,
    repository_url, time,
};
use crate::auth::oidc::Claims;
use crate::auth::webhook::Scheme;

/// GitHub and GitHub Enterprise Server.
pub(crate) static GITHUB: Host = Host {
    name: "github",
    title: "GitHub",
    // <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
    schemes: &[Scheme::Hmac { header: "x-hub-signature-256", prefix: "sha256=" }],
    event_header: "x-github-event",
    delivery_header: "x-github-delivery",
    read,
    // <https://docs.github.com/en/actions/reference/security/oidc>
    claims: Some(Claims {
        is_issuer,
        repository_id: "repository_id",
        reference: "ref",
        // Any branch may be the monitored one.
        protected: None,
        event: "event_name",
        // Their workflows run the code of the branch, and only people who may write to it, or time, cause them. So `pull_request`,
        // `pull_request_target` and `workflow_run` are not among them, nor events that strangers cause, such as comments.
        events: &["push", "workflow_dispatch", "repository_dispatch", "schedule"],
        workflow: "job_workflow_ref",
        repository: "repository",
        actor: "actor",
    }),
};

/// Whether a URL is that of an issuer of GitHub: github.com, with or without an enterprise, GHE.com, or a server.
fn is_issuer(url: &str) -> bool {
    url.starts_with("https://token.actions.") || url.ends_with("/_services/token")
}

#[derive(Deserialize)]
struct PushEvent {
    r#ref: String,
    after: CommitSha,
    repository: Repository,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    id: u64,
    default_branch: Option<String>,
}

/// A `pull_request` event, as far as its action says whether the rest is needed.
#[derive(Deserialize)]
struct PullRequestAction {
    action: String,
}

#[derive(Deserialize)]
struct PullRequestEvent {
    number: u64,
    pull_request: PullRequest,
    /// The label of `labeled`.
    label: Option<Label>,
    repository: Repository,
}

#[derive(Deserialize)]
struct PullRequest {
    head: Head,
    base: Base,
    user: Option<Account>,
    author_association: Option<String>,
    labels: Option<Vec<Label>>,
    merged: Option<bool>,
    #[serde(default, deserialize_with = "time")]
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Head {
    r#ref: String,
    sha: CommitSha,
    repo: Option<HeadRepository>,
}

#[derive(Deserialize)]
struct HeadRepository {
    #[serde(default, deserialize_with = "repository_url")]
    clone_url: Option<RepositoryUrl>,
}

#[derive(Deserialize)]
struct Base {
    r#ref: String,
}

impl Repository {
    fn name(self) -> RepositoryName {
        RepositoryName { path: self.full_name, github_id: Some(self.id) }
    }
}

fn read(event: &str, body: &[u8]) -> serde_json::Result<Event> {
    match event {
        "ping" => Ok(Event::Ping),
        "push" => {
            let PushEvent { r#ref, after, mut repository } = serde_json::from_slice(body)?;
            let default_branch = repository.default_branch.take();
            Ok(Event::Push(Push::of_one(repository.name(), r#ref, after, default_branch)))
        }
        "pull_request" => {
            let PullRequestAction { action } = serde_json::from_slice(body)?;
            let kind = match action.as_str() {
                "opened" | "reopened" => ProposalAction::Opened,
                "synchronize" => ProposalAction::Updated,
                "labeled" | "unlabeled" => ProposalAction::Labelled,
                "closed" => ProposalAction::Closed,
                _ => return Ok(Event::Other),
            };
            let mut event: PullRequestEvent = serde_json::from_slice(body)?;
            // `unlabeled` names a label as well: the one that is gone.
            event.label = event.label.filter(|_| action == "labeled");
            Ok(event.proposal(kind))
        }
        _ => Ok(Event::Other),
    }
}

impl PullRequestEvent {
    fn proposal(self, action: ProposalAction) -> Event {
        let Self { number, pull_request, label, repository } = self;
        let PullRequest { head, base, user, author_association, labels, merged, updated_at } = pull_request;
        let is_merged = action == ProposalAction::Closed && merged == Some(true);
        let association = author_association.map(|association| match association.as_str() {
            "OWNER" | "MEMBER" | "COLLABORATOR" => Association::Member,
            _ => Association::Outsider,
        });
        Event::Proposal(Box::new(Proposal {
            host: GITHUB.name,
            repository: repository.name(),
            number,
            action: if is_merged { ProposalAction::Merged } else { action },
            base_branch: base.r#ref,
            head_commit: existing(head.sha),
            head_branch: head.r#ref,
            head_url: head.repo.and_then(|repository| repository.clone_url),
            author: user.map(|user| user.login),
            association,
            labels: names(labels),
            added_labels: names(label.map(|label| vec![label])),
            changed_at: updated_at,
        }))
    }
}

#[cfg(test)]
mod tests {
    use registry_tests::github::push_event;
    use serde_json::{Value, json};

    use super::super::RefUpdate;
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn event(name: &str, body: &Value) -> Event {
        GITHUB.event(name, body.to_string().as_bytes()).unwrap()
    }

    /// A `pull_request` event of a stranger's fork, with the fields of "Webhook payload object for pull_request".
    fn pull_request(action: &str) -> Value {
        json!({
            "action": action,
            "number": 7,
            "pull_request": {
                "number": 7, "state": "open", "merged": false, "updated_at": "2026-01-01T10:00:00Z",
                "user": {"login": "potter", "id": 5},
                "author_association": "FIRST_TIME_CONTRIBUTOR",
                "labels": [{"name": "preview", "color": "ededed"}, {"name": "kiln"}],
                "head": {
                    "ref": "glaze", "sha": COMMIT,
                    "repo": {"full_name": "potter/registry", "clone_url": "https://github.com/potter/registry.git"},
                },
                "base": {"ref": "main", "sha": COMMIT, "repo": {"full_name": "example/registry"}},
            },
            "label": {"name": "preview"},
            "repository": {"id": 42, "full_name": "example/registry", "default_branch": "main"},
            "sender": {"login": "owner"},
        })
    }

    #[test]
    fn push_has_its_branch_and_its_commit() {
        let push = |body: &Value| match event("push", body) {
            Event::Push(push) => push,
            other => panic!("{other:?}"),
        };
        let moved = push_event("example/registry", 42, "feature/x", None, Some(COMMIT));
        let RefUpdate { reference, after } = &push(&moved).updates[0];
        assert_eq!((reference.as_str(), after.as_ref().unwrap().as_str()), ("refs/heads/feature/x", COMMIT));
        assert_eq!(push(&moved).updates[0].branch(), Some("feature/x"));
        let repository = RepositoryName { path: "example/registry".into(), github_id: Some(42) };
        assert_eq!((push(&moved).repository, push(&moved).default_branch), (repository, Some("main".into())));
        let deleted = push_event("example/registry", 42, "main", Some(COMMIT), None);
        assert_eq!(push(&deleted).updates[0].after, None);
        let mut tag = moved;
        tag["ref"] = "refs/tags/v1".into();
        assert_eq!(push(&tag).updates[0].branch(), None);
    }

    #[test]
    fn pull_request_is_a_proposal_with_its_fork_and_labels() {
        let Event::Proposal(proposal) = event("pull_request", &pull_request("labeled")) else { panic!("no proposal") };
        let expected = Proposal {
            host: "github",
            repository: RepositoryName { path: "example/registry".into(), github_id: Some(42) },
            number: 7,
            action: ProposalAction::Labelled,
            base_branch: "main".into(),
            head_commit: Some(COMMIT.parse().unwrap()),
            head_branch: "glaze".into(),
            head_url: Some("https://github.com/potter/registry.git".parse().unwrap()),
            author: Some("potter".into()),
            association: Some(Association::Outsider),
            labels: vec!["preview".into(), "kiln".into()],
            added_labels: vec!["preview".into()],
            changed_at: Some("2026-01-01T10:00:00Z".parse().unwrap()),
        };
        assert_eq!(*proposal, expected);
    }

    #[test]
    fn pull_request_has_the_action_of_its_event() {
        let action = |name: &str, merged: bool| {
            let mut body = pull_request(name);
            body["pull_request"]["merged"] = merged.into();
            match event("pull_request", &body) {
                Event::Proposal(proposal) => Some((proposal.action, proposal.added_labels.len())),
                other => (other != Event::Other).then(|| panic!("{other:?}")),
            }
        };
        for (name, merged, expected) in [
            ("opened", false, Some((ProposalAction::Opened, 0))),
            ("reopened", false, Some((ProposalAction::Opened, 0))),
            ("synchronize", false, Some((ProposalAction::Updated, 0))),
            ("labeled", false, Some((ProposalAction::Labelled, 1))),
            ("unlabeled", false, Some((ProposalAction::Labelled, 0))),
            ("closed", false, Some((ProposalAction::Closed, 0))),
            ("closed", true, Some((ProposalAction::Merged, 0))),
            ("assigned", false, None),
            ("edited", false, None),
        ] {
            assert_eq!(action(name, merged), expected, "{name}");
        }
    }

    #[test]
    fn pull_request_of_deleted_account_and_fork_is_a_proposal() {
        let mut body = pull_request("opened");
        body["pull_request"]["user"] = Value::Null;
        body["pull_request"]["head"]["repo"] = Value::Null;
        let Event::Proposal(proposal) = event("pull_request", &body) else { panic!("no proposal") };
        assert_eq!((proposal.author, proposal.head_url), (None, None));
        for (sent, expected) in [
            (json!("OWNER"), Some(Association::Member)),
            (json!("MEMBER"), Some(Association::Member)),
            (json!("COLLABORATOR"), Some(Association::Member)),
            (json!("CONTRIBUTOR"), Some(Association::Outsider)),
            (json!("NONE"), Some(Association::Outsider)),
            (json!("SOMETHING_NEW"), Some(Association::Outsider)),
            (Value::Null, None),
        ] {
            body["pull_request"]["author_association"] = sent;
            let Event::Proposal(proposal) = event("pull_request", &body) else { panic!("no proposal") };
            assert_eq!(proposal.association, expected);
        }
    }

    #[test]
    fn issuer_of_github_is_distinguished_from_others() {
        for (url, is_github) in [
            ("https://token.actions.githubusercontent.com", true),
            ("https://token.actions.githubusercontent.com/acme", true),
            ("https://token.actions.acme.ghe.com", true),
            ("https://github.example.org/_services/token", true),
            ("https://gitlab.com", false),
            ("https://gitlab.example.org", false),
        ] {
            assert_eq!(is_issuer(url), is_github, "{url}");
            let id = crate::hosts::claims_of(url).unwrap().repository_id;
            assert_eq!(id, if is_github { "repository_id" } else { "project_id" }, "{url}");
        }
    }

    #[test]
    fn body_that_is_none_of_its_event_is_malformed() {
        use super::super::MalformedEvent;
        assert_eq!(GITHUB.event("ping", b"whatever").unwrap(), Event::Ping);
        assert_eq!(GITHUB.event("issues", b"payload=whatever").unwrap(), Event::Other);
        for name in ["ping", "push", "pull_request"] {
            assert!(matches!(GITHUB.event(name, b"payload=%7B%7D"), Err(MalformedEvent::Form)), "{name}");
        }
        let deep = "[".repeat(100_000);
        for body in ["", "[]", "{}", r#"{"ref": "refs/heads/main", "after": "HEAD"}"#, r#"{"action": "opened"}"#, &deep]
        {
            for name in ["push", "pull_request"] {
                let error = GITHUB.event(name, body.as_bytes()).unwrap_err();
                assert!(error.to_string().starts_with("the event is not as GitHub documents it: "), "{error}");
            }
        }
    }
}
