//! Previews of proposals: who gets one, its building in the background, and the word of it on the proposal.

use std::sync::Arc;
use std::time::Duration;

use devfile_registry::cache::Cache;
use devfile_registry::context;
use devfile_registry::digest::CommitSha;
use devfile_registry::preview::{Policy, Preview, Proposed, comment};
use devfile_registry::public_url::PublicUrl;
use devfile_registry::publish::{PreviewOutcome, PreviewReport, PublishError, Publisher};
use devfile_registry::registry::{ReadOnly, Record};
use devfile_registry::source::feedback::{CommitState, CommitStatus, Feedback, StatusContext};
use devfile_registry::timestamp::Timestamp;
use tokio::sync::{Mutex, Semaphore};

use crate::action::Action;
use crate::hosts::{Association, Proposal, ProposalAction};
use crate::source::RegistryRepository;

/// The label by which a maintainer asks for a preview.
const LABEL: &str = "preview";

/// Actions that wait or run at a time; hosts send the event of a further one again on demand.
const WAITING: usize = 64;

/// Time for the status and the comment: the preview is there without them.
const REPORT_TIME: Duration = Duration::from_secs(10);

/// Builds and ends previews, one at a time.
#[derive(Debug)]
pub(crate) struct Previewer {
    policy: Policy,
    publisher: Publisher<RegistryRepository, ReadOnly<Record>, Cache>,
    public_url: Option<PublicUrl>,
    one: Mutex<()>,
    waiting: Arc<Semaphore>,
}

/// Too many actions wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Previewer {
    pub(crate) fn new(
        policy: Policy,
        publisher: Publisher<RegistryRepository, ReadOnly<Record>, Cache>,
        public_url: Option<PublicUrl>,
    ) -> Self {
        Self { policy, publisher, public_url, one: Mutex::default(), waiting: Arc::new(Semaphore::new(WAITING)) }
    }

    /// The action that an event of a proposal causes, or the reason for which the event is ignored. `repository` is the page of the
    /// registry repository.
    pub(crate) fn wanted(&self, proposal: &Proposal, repository: &str) -> Result<Action, &'static str> {
        wanted(self.policy, proposal, repository)
    }

    /// Carries an action out in the background.
    pub(crate) fn submit(self: &Arc<Self>, action: Action) -> Result<(), Full> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Full)?;
        let this = Arc::clone(self);
        tokio::spawn(context::inherit(async move {
            let _waiting = waiting;
            // Its result is in the log.
            let _result = match action {
                Action::Preview(proposed) => Box::pin(this.build(&proposed)).await,
                Action::EndPreview { number, withdrawn_at } => this.end(number, withdrawn_at.as_ref()).await,
                _ => return,
            };
        }));
        Ok(())
    }

    /// Waits for the actions in the background.
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(WAITING).unwrap_or(u32::MAX);
        drop(self.waiting.acquire_many(all).await);
    }

    /// Builds the preview of a proposal, and says so on the proposal.
    pub(crate) async fn build(&self, proposed: &Proposed) -> Result<PreviewReport, PublishError> {
        let _one = self.one.lock().await;
        let number = proposed.number;
        if let (RegistryRepository::Git(hosted), false) = (&self.publisher.source, proposed.base_branch.is_empty())
            && hosted.branch().await? != proposed.base_branch
        {
            tracing::info!(number, "a proposal for another branch gets no preview");
            return Ok(PreviewReport::of(PreviewOutcome::Ignored, number, None));
        }
        let built = Box::pin(self.publisher.preview(proposed)).await;
        match &built {
            Ok(PreviewReport { outcome: PreviewOutcome::Superseded, .. }) => {
                tracing::info!(number, commit = %proposed.commit_hash, "an event of a proposal came too late for a preview");
            }
            Ok(report) => tracing::info!(
                number,
                commit = %proposed.commit_hash,
                writes = report.writes,
                quarantined = report.quarantined.len(),
                displaced = report.displaced.len(),
                "a preview is built"
            ),
            Err(error) => tracing::error!(number, commit = %proposed.commit_hash, %error, "cannot build a preview"),
        }
        if tokio::time::timeout(REPORT_TIME, self.report(&proposed.commit_hash, &built)).await.is_err() {
            tracing::warn!(
                number,
                "cannot show the preview on its proposal: no answer within {} s",
                REPORT_TIME.as_secs()
            );
        }
        built
    }

    /// Ends the preview of a proposal.
    pub(crate) async fn end(
        &self,
        number: u64,
        withdrawn_at: Option<&Timestamp>,
    ) -> Result<PreviewReport, PublishError> {
        let _one = self.one.lock().await;
        let ended = self.publisher.end_preview(number, withdrawn_at).await;
        match &ended {
            Ok(report) => tracing::info!(number, outcome = ?report.outcome, "the proposal of a preview is closed"),
            Err(error) => tracing::error!(number, %error, "cannot end a preview"),
        }
        ended
    }

    /// The address of a preview for people.
    fn link(&self, preview: &Preview) -> Option<String> {
        self.public_url.as_ref().map(|url| format!("{url}{}/viewer", preview.path()))
    }

    /// Shows a preview at the commit and in a comment.
    async fn report(&self, commit: &CommitSha, built: &Result<PreviewReport, PublishError>) {
        let RegistryRepository::Git(hosted) = &self.publisher.source else { return };
        let Some(feedback) = &hosted.feedback else { return };
        let (state, text, link) = match built {
            Ok(PreviewReport { preview: Some(preview), .. }) => {
                let changes = &preview.changes;
                let errors = match preview.quarantined {
                    0 => String::new(),
                    count => format!(", {count} with errors"),
                };
                let text =
                    format!("preview: {} changed, {} removed{errors}", changes.changed.len(), changes.removed.len());
                let state = if preview.quarantined == 0 { CommitState::Success } else { CommitState::Failure };
                (state, text, self.link(preview))
            }
            Ok(_) => return,
            Err(error) => (CommitState::Error, format!("no preview: {}", error.public()), None),
        };
        let context = StatusContext::Preview;
        let status = CommitStatus { context, state, description: &text, target_url: link.as_deref() };
        if let Err(error) = feedback.report(commit, &status).await {
            tracing::warn!(%error, "cannot show the preview at its commit");
        }
        if let Ok(report) = built
            && let Some(preview) = &report.preview
            && let Err(error) = self.comment(feedback, preview, report).await
        {
            tracing::warn!(number = preview.number, error, "cannot comment on the proposal of a preview");
        }
    }

    /// Writes the comment of a preview, or the one that is there anew.
    async fn comment(&self, feedback: &Feedback, preview: &Preview, report: &PreviewReport) -> Result<(), String> {
        let text = comment(preview, self.link(preview).as_deref(), &report.diff);
        let written = feedback.comment(preview.number, preview.comment, &text).await;
        match written.map_err(|error| error.to_string())? {
            Some(id) if preview.comment != Some(id) => {
                self.publisher.note_comment(preview.number, id).await.map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Decides about an event. Nobody but a member gets a preview of a head that no maintainer has labelled.
fn wanted(policy: Policy, proposal: &Proposal, repository: &str) -> Result<Action, &'static str> {
    let number = proposal.number;
    let is_member = proposal.association == Some(Association::Member);
    let is_labelled = proposal.labels.iter().any(|label| label == LABEL);
    // A label that stands since an earlier head says nothing of this one, so only its setting counts, where the host says which was set.
    let tells_added = matches!(proposal.host, "github" | "gitlab");
    let is_set = tells_added && proposal.added_labels.iter().any(|label| label == LABEL);
    // Strangers can close and open what they proposed; it leaves no trace when it cannot have had a preview.
    let may_have_one = is_member || is_labelled || proposal.action == ProposalAction::Labelled;
    let withdrawn_at = proposal.changed_at.clone().filter(|_| may_have_one);
    match (proposal.action, policy) {
        (_, Policy::Off) => Err("previews are off"),
        (ProposalAction::Closed | ProposalAction::Merged, _) => Ok(Action::EndPreview { number, withdrawn_at }),
        (ProposalAction::Labelled, Policy::Labelled) if is_set => build(proposal, repository),
        (ProposalAction::Labelled, Policy::Labelled) if !is_member && !is_labelled => {
            Ok(Action::EndPreview { number, withdrawn_at })
        }
        (ProposalAction::Labelled, _) => Err("another label"),
        (ProposalAction::Opened | ProposalAction::Updated, _) if is_member => build(proposal, repository),
        (ProposalAction::Opened | ProposalAction::Updated, Policy::Members) => Err("not by a member"),
        (ProposalAction::Opened | ProposalAction::Updated, Policy::Labelled) => {
            Err("not by a member, and not labelled since its last push")
        }
    }
}

fn build(proposal: &Proposal, repository: &str) -> Result<Action, &'static str> {
    let Some(commit_hash) = proposal.head_commit.clone() else { return Err("the host does not name the head") };
    let number = proposal.number;
    let pull_request = || Some(format!("refs/pull/{number}/head"));
    let (page, reference) = match proposal.host {
        "github" => (format!("{repository}/pull/{number}"), pull_request()),
        "gitlab" => {
            (format!("{repository}/-/merge_requests/{number}"), Some(format!("refs/merge-requests/{number}/head")))
        }
        // It keeps no such references in the cloud.
        "bitbucket" => (format!("{repository}/pull-requests/{number}"), None),
        _ => (format!("{repository}/pulls/{number}"), pull_request()),
    };
    Ok(Action::Preview(Proposed {
        number,
        commit_hash,
        title: proposal.head_branch.clone(),
        author: proposal.author.clone().unwrap_or_default(),
        url: page,
        base_branch: proposal.base_branch.clone(),
        reference,
        changed_at: proposal.changed_at.clone(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::RepositoryName;
    use Association::{Member, Outsider};
    use Policy::{Labelled as ByLabel, Members};
    use ProposalAction::{Closed, Labelled, Merged, Opened, Updated};

    fn proposal(action: ProposalAction, association: Option<Association>, labels: &[&str], added: &[&str]) -> Proposal {
        let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
        Proposal {
            host: "github",
            repository: RepositoryName { path: "clay/registry".into(), github_id: None },
            number: 7,
            action,
            base_branch: "main".into(),
            head_commit: "a".repeat(40).parse().ok(),
            head_branch: "glaze".into(),
            head_url: None,
            author: Some("potter".into()),
            association,
            labels: owned(labels),
            added_labels: owned(added),
            changed_at: "2026-01-01T00:00:00Z".parse().ok(),
        }
    }

    #[test]
    fn only_members_and_heads_that_a_maintainer_labels_get_a_preview() {
        let label: &[&str] = &[LABEL];
        for (policy, action, association, labels, added, expected) in [
            (Members, Opened, Some(Member), &[][..], &[][..], "build"),
            (Members, Updated, Some(Member), &[], &[], "build"),
            (Members, Opened, Some(Outsider), &[], &[], "none"),
            (Members, Opened, None, &[], &[], "none"),
            (Members, Labelled, Some(Outsider), label, label, "none"),
            (ByLabel, Opened, Some(Member), &[], &[], "build"),
            (ByLabel, Opened, Some(Outsider), &[], &[], "none"),
            (ByLabel, Opened, Some(Outsider), label, &[], "none"),
            (ByLabel, Labelled, Some(Outsider), label, label, "build"),
            (ByLabel, Labelled, None, label, label, "build"),
            // After a push, the label needs to be set again.
            (ByLabel, Updated, Some(Outsider), label, &[], "none"),
            (ByLabel, Labelled, Some(Outsider), &[LABEL, "docs"], &["docs"], "none"),
            (ByLabel, Labelled, Some(Outsider), &["docs"], &[], "end"),
            (ByLabel, Labelled, Some(Member), &["docs"], &["docs"], "none"),
            (Members, Closed, Some(Member), &[], &[], "end"),
            (Members, Closed, Some(Outsider), &[], &[], "end without a mark"),
            (ByLabel, Closed, Some(Outsider), label, &[], "end"),
            (ByLabel, Merged, Some(Member), label, &[], "end"),
            (Policy::Off, Opened, Some(Member), label, &[], "none"),
            (Policy::Off, Closed, Some(Member), &[], &[], "none"),
        ] {
            let event = proposal(action, association, labels, added);
            let found = match wanted(policy, &event, "https://github.com/clay/registry") {
                Ok(Action::Preview(_)) => "build",
                Ok(Action::EndPreview { number: 7, withdrawn_at: Some(_) }) => "end",
                Ok(Action::EndPreview { number: 7, withdrawn_at: None }) => "end without a mark",
                Ok(action) => panic!("{action:?}"),
                Err(_) => "none",
            };
            assert_eq!(found, expected, "{policy:?} {event:?}");
        }
    }

    #[test]
    fn host_that_does_not_say_which_label_was_set_sets_none() {
        let event = proposal(Labelled, None, &[LABEL], &[LABEL]);
        for (host, is_built) in
            [("github", true), ("gitlab", true), ("gitea", false), ("forgejo", false), ("bitbucket", false)]
        {
            let event = Proposal { host, ..event.clone() };
            assert_eq!(wanted(ByLabel, &event, "https://example.org/r").is_ok(), is_built, "{host}");
        }
    }

    #[test]
    fn preview_names_the_page_of_its_proposal_and_the_reference_of_its_head() {
        for (host, page, reference) in [
            ("github", "/pull/7", Some("refs/pull/7/head")),
            ("gitlab", "/-/merge_requests/7", Some("refs/merge-requests/7/head")),
            ("gitea", "/pulls/7", Some("refs/pull/7/head")),
            ("bitbucket", "/pull-requests/7", None),
        ] {
            let event = Proposal { host, ..proposal(Opened, Some(Member), &[], &[]) };
            let Ok(Action::Preview(proposed)) = wanted(Members, &event, "https://example.org/r") else {
                panic!("{host}")
            };
            assert_eq!(proposed.url, format!("https://example.org/r{page}"));
            assert_eq!(proposed.reference.as_deref(), reference);
            assert_eq!(proposed.changed_at, event.changed_at);
        }
    }

    #[test]
    fn head_that_the_host_does_not_name_gets_no_preview() {
        let event = Proposal { head_commit: None, ..proposal(Opened, Some(Member), &[], &[]) };
        assert!(wanted(Members, &event, "https://example.org/r").is_err());
    }
}
