//! The events of all hosts: a push, a proposal.

use devfile_registry::digest::CommitSha;
use devfile_registry::git::RepositoryUrl;
use devfile_registry::timestamp::Timestamp;
use serde::{Deserialize, Deserializer};

/// The event of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The webhook was set up.
    Ping,
    /// Branches or tags moved.
    Push(Push),
    /// A pull request or merge request changed.
    Proposal(Box<Proposal>),
    /// An event without effect.
    Other,
}

/// Branches and tags that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The repository.
    pub repository: RepositoryName,
    /// The references that moved; one on most hosts.
    pub updates: Vec<RefUpdate>,
    /// The default branch of the repository, where the host sends it.
    pub default_branch: Option<String>,
}

/// A branch or a tag that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full reference, such as `refs/heads/main`.
    pub reference: String,
    /// Its commit now; `None` when it was deleted.
    pub after: Option<CommitSha>,
}

/// A proposal to change the repository: a pull request, or a merge request on GitLab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The name of the host in paths, such as `github` ([`Host::name`](super::Host::name)).
    pub host: &'static str,
    /// The repository that would change.
    pub repository: RepositoryName,
    /// The number of the proposal within its repository.
    pub number: u64,
    /// The change of the proposal that caused the event.
    pub action: ProposalAction,
    /// The branch that the proposal would change.
    pub base_branch: String,
    /// The newest commit of the proposal; `None` when the host sends a part of it alone, as Bitbucket does. Then the head of
    /// `head_branch` counts.
    pub head_commit: Option<CommitSha>,
    /// The branch of the head.
    pub head_branch: String,
    /// The repository of `head_branch`, a fork or the same; `None` when it is deleted or the host does not send it.
    pub head_url: Option<RepositoryUrl>,
    /// The login of the author; `None` when the account is deleted or the host sends a number alone.
    pub author: Option<String>,
    /// The author's association with the repository; `None` on hosts that do not send it.
    pub association: Option<Association>,
    /// The labels of the proposal now.
    pub labels: Vec<String>,
    /// The labels that this event adds; on hosts that do not say which, all of them. Empty unless the action is
    /// [`ProposalAction::Labelled`].
    pub added_labels: Vec<String>,
    /// When the proposal changed last, by the clock of the host; `None` when the host does not say.
    pub changed_at: Option<Timestamp>,
}

/// A change of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProposalAction {
    /// Opened, or opened again.
    Opened,
    /// Its head has another commit.
    Updated,
    /// Its labels changed.
    Labelled,
    /// Closed without a merge.
    Closed,
    /// Merged.
    Merged,
}

/// The association of an author with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Association {
    /// Owner, member of the organization or collaborator.
    Member,
    /// Anybody else.
    Outsider,
}

/// A repository as an event names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryName {
    /// Its path on the host, such as `OWNER/NAME`.
    pub path: String,
    /// Its number in GitHub's API, which stays when it is renamed; `None` on other hosts.
    pub github_id: Option<u64>,
}

/// Why the body of a signed event was not understood.
#[derive(Debug, thiserror::Error)]
pub enum MalformedEvent {
    /// The webhook is set to send forms.
    #[error("the webhook sends forms, so its pushes will fail; set its content type to application/json")]
    Form,
    /// Another body than the host documents.
    #[error("the event is not as {host} documents it: {error}")]
    Undocumented {
        /// The host.
        host: &'static str,
        /// The reason.
        error: serde_json::Error,
    },
}

impl Push {
    /// A push of one reference. Hosts write the commit of a deleted one as zeros.
    pub(super) fn of_one(
        repository: RepositoryName,
        reference: String,
        after: CommitSha,
        default_branch: Option<String>,
    ) -> Self {
        Self { repository, updates: vec![RefUpdate { reference, after: existing(after) }], default_branch }
    }
}

impl RepositoryName {
    /// A repository by the URL that it is cloned from, whose path may have more than the name, or else by the name.
    pub(super) fn of_url(url: Option<&RepositoryUrl>, name: &str) -> Self {
        let path = url.map_or(name, RepositoryUrl::path).to_owned();
        Self { path, github_id: None }
    }
}

impl RefUpdate {
    /// The branch that moved; `None` when it was a tag.
    pub fn branch(&self) -> Option<&str> {
        self.reference.strip_prefix("refs/heads/")
    }
}

/// A commit, unless it is the one that Git writes for none.
pub(super) fn existing(commit: CommitSha) -> Option<CommitSha> {
    let is_none = commit.as_str().bytes().all(|digit| digit == b'0');
    (!is_none).then_some(commit)
}

/// Reads the URL of a repository; `None` when it cannot be fetched.
pub(super) fn repository_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<RepositoryUrl>, D::Error> {
    Ok(Option::<String>::deserialize(source)?.and_then(|url| url.parse().ok()))
}

/// Reads a commit; `None` when the text is a part of one or empty.
pub(super) fn commit<'de, D: Deserializer<'de>>(source: D) -> Result<Option<CommitSha>, D::Error> {
    Ok(Option::<String>::deserialize(source)?.and_then(|commit| commit.parse().ok()).and_then(existing))
}

/// Reads a time; `None` when it is none. GitLab writes `2026-01-01 10:00:00 UTC` in some events.
pub(super) fn time<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Timestamp>, D::Error> {
    let parse = |text: String| text.replace(" UTC", "Z").parse().ok().map(Timestamp::from_instant);
    Ok(Option::<String>::deserialize(source)?.and_then(parse))
}

/// An account. Hosts send `null` for a deleted one.
#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) login: String,
}

/// A label.
#[derive(Deserialize)]
pub(super) struct Label {
    pub(super) name: String,
}

/// The names of labels.
pub(super) fn names(labels: Option<Vec<Label>>) -> Vec<String> {
    labels.into_iter().flatten().map(|label| label.name).collect()
}
