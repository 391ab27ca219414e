//! The actions of the function, and the events that cause them: direct invocations and schedules.

use std::collections::{BTreeMap, BTreeSet};

use devfile_registry::digest::CommitSha;
use devfile_registry::preview::Proposed;
use devfile_registry::publish::{Invocation, PreviewReport, Report, Verification};
use devfile_registry::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most stacks that a trigger may name. A push that touches more counts as one to the whole
/// registry.
const NAMED_STACKS: usize = 1000;

/// A direct invocation of the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Makes the head of the branch live.
    Refresh(Hint),
    /// Makes the head live, then compares the live release with the OCI registry and the bucket:
    /// repairs differences and removes unused objects.
    Reconcile {
        /// The publication to continue. Only the function itself sets it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<Continued>,
    },
    /// Makes the head live and fetches the upstream content of offline stacks anew.
    Refetch {},
    /// Reconciles one slice of a large registry per run, and all of a small one.
    Schedule {
        /// The publication to continue, as in [`Action::Reconcile`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<Continued>,
    },
    /// Makes the release of a commit live and pins it.
    Rollback {
        /// The commit of the release.
        commit_hash: CommitSha,
    },
    /// Unpins the release and follows the branch again.
    Unpin {},
    /// Rebuilds the bucket from the OCI registry.
    Restore {},
    /// Checks every digest and changes nothing.
    Verify {},
    /// Builds the preview of a proposal.
    Preview(Proposed),
    /// Ends the preview of a proposal.
    #[serde(rename = "end-preview")]
    EndPreview {
        /// The number of the proposal.
        number: u64,
        /// When it was closed or lost its label, by the clock of its host: events of earlier changes are late then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        withdrawn_at: Option<Timestamp>,
    },
}

/// The caller's hint about a change. It affects the answer, never the release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hint {
    /// The commit that caused the trigger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_hash: Option<CommitSha>,
    /// Folders below `stacks/` whose state the answer reports.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub stacks: BTreeSet<String>,
    /// Whether a repository without stacks removes all published ones. Only a direct invocation may
    /// set it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remove_all: bool,
    /// The publication to continue. Only the function itself sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
}

/// A publication that earlier invocations could not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continued {
    /// The number of the publication.
    pub publication: u64,
    /// The number of the next invocation.
    pub invocation: u32,
}

/// The result of an action.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The report of an action that publishes.
    Report(Box<Report>),
    /// The findings of a verification.
    Verification(Verification),
    /// The report of a built or ended preview.
    Preview(Box<PreviewReport>),
}

impl Answer {
    pub(crate) fn preview(report: PreviewReport) -> Self {
        Self::Preview(Box::new(report))
    }

    /// Returns it as a line of JSON, for the output of a command.
    ///
    /// # Errors
    /// None is known: it consists of texts and numbers.
    pub fn line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|json| format!("{json}\n"))
    }

    /// Returns whether it is a verification that found damage.
    pub fn names_damage(&self) -> bool {
        matches!(self, Self::Verification(verification) if !verification.intact)
    }
}

/// The reason why an event is not an [`Action`].
#[derive(Debug, thiserror::Error)]
pub enum UnknownEvent {
    /// The event has no `action`.
    #[error(
        "the event has no action; send {{\"action\": \"refresh\"}}, or reconcile, schedule, refetch, rollback (with commit_hash), unpin, restore, verify, preview (with number and commit_hash) or end-preview (with number)"
    )]
    NoAction,
    /// The event has an unknown action or field.
    #[error("cannot read the event: {0}")]
    Malformed(serde_json::Error),
}

impl Action {
    /// Reads the event of an invocation. An EventBridge schedule becomes [`Action::Schedule`].
    ///
    /// # Errors
    /// [`UnknownEvent`] lists the accepted events.
    pub fn of_event(event: Value) -> Result<Self, UnknownEvent> {
        let is = |field: &str, value: &str| event.get(field).and_then(Value::as_str) == Some(value);
        if is("source", "aws.events") || is("source", "aws.scheduler") || is("detail-type", "Scheduled Event") {
            return Ok(Self::Schedule { continues: None });
        }
        if event.get("action").is_none() {
            return Err(UnknownEvent::NoAction);
        }
        serde_json::from_value(event).map_err(UnknownEvent::Malformed)
    }

    /// Returns the publication that the action continues.
    pub(crate) fn continues(&self) -> Option<Continued> {
        match self {
            Self::Refresh(hint) => hint.continues,
            Self::Reconcile { continues } | Self::Schedule { continues } => *continues,
            _ => None,
        }
    }

    /// Returns the action that continues the publication of this one. Nobody reads its report, so
    /// it names no stacks.
    pub(crate) fn continued(&self, continues: Continued) -> Self {
        let continues = Some(continues);
        match self {
            Self::Reconcile { .. } => Self::Reconcile { continues },
            Self::Schedule { .. } => Self::Schedule { continues },
            Self::Refresh(Hint { commit_hash, remove_all, .. }) => {
                let (commit_hash, remove_all) = (commit_hash.clone(), *remove_all);
                Self::Refresh(Hint { commit_hash, remove_all, continues, ..Hint::default() })
            }
            _ => Self::Refresh(Hint { continues, ..Hint::default() }),
        }
    }
}

impl Continued {
    /// Returns the invocation that follows an unfinished one.
    pub(crate) fn after(unfinished: Invocation) -> Self {
        Self { publication: unfinished.publication, invocation: unfinished.number.saturating_add(1) }
    }
}

impl Hint {
    /// Reads the body of a request. An empty body is an empty hint.
    ///
    /// # Errors
    /// The message for the caller.
    pub fn of_body(body: &[u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // Serde would accept a list of the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err("send a JSON object, or nothing".to_owned());
        }
        let hint: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if hint.remove_all {
            return Err("only a direct invocation may set `remove_all`; leave it out".to_owned());
        }
        if hint.continues.is_some() {
            return Err("only the function itself may set `continues`; leave it out".to_owned());
        }
        if hint.stacks.len() > NAMED_STACKS {
            return Err(format!("more than {NAMED_STACKS} stacks are named; leave out `stacks`"));
        }
        Ok(hint)
    }

    /// Returns the states of the stacks that the caller named.
    pub fn stacks(&self, report: &Report) -> BTreeMap<String, &'static str> {
        let about = |parts: &BTreeSet<String>, stack: &str| {
            let folder = format!("stacks/{stack}");
            parts
                .iter()
                .any(|part| part.strip_prefix(&folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        let is_quarantined = |stack: &str| {
            report.quarantined.iter().flat_map(|quarantined| &quarantined.problems).any(|problem| {
                problem
                    .path
                    .strip_prefix("stacks/")
                    .and_then(|path| path.split_once('/'))
                    .is_some_and(|(s, _)| s == stack)
            })
        };
        let state = |stack: &String| {
            if is_quarantined(stack) {
                "quarantined"
            } else if about(&report.changed, stack) {
                "changed"
            } else if about(&report.removed, stack) {
                "removed"
            } else {
                "unchanged"
            }
        };
        self.stacks.iter().map(|stack| (stack.clone(), state(stack))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_actions_and_schedules() {
        let commit = "0123456789012345678901234567890123456789";
        for (event, action) in [
            (json!({"action": "refresh"}), Action::Refresh(Hint::default())),
            (
                json!({"action": "refresh", "commit_hash": commit, "stacks": ["go"]}),
                Action::Refresh(Hint {
                    commit_hash: Some(commit.parse().unwrap()),
                    stacks: ["go".to_owned()].into(),
                    ..Hint::default()
                }),
            ),
            (json!({"action": "end-preview", "number": 7}), Action::EndPreview { number: 7, withdrawn_at: None }),
            (
                json!({"action": "end-preview", "number": 7, "withdrawn_at": "2026-01-01T00:00:00Z"}),
                Action::EndPreview { number: 7, withdrawn_at: "2026-01-01T00:00:00Z".parse().ok() },
            ),
            (
                json!({"action": "rollback", "commit_hash": commit}),
                Action::Rollback { commit_hash: commit.parse().unwrap() },
            ),
            (
                json!({"action": "refresh", "remove_all": true}),
                Action::Refresh(Hint { remove_all: true, ..Hint::default() }),
            ),
            (
                json!({"action": "refresh", "continues": {"publication": 12, "invocation": 3}}),
                Action::Refresh(Hint {
                    continues: Some(Continued { publication: 12, invocation: 3 }),
                    ..Hint::default()
                }),
            ),
            (json!({"action": "unpin"}), Action::Unpin {}),
            (json!({"action": "restore"}), Action::Restore {}),
            (json!({"action": "verify"}), Action::Verify {}),
            (json!({"action": "reconcile"}), Action::Reconcile { continues: None }),
            (
                json!({"action": "schedule", "continues": {"publication": 12, "invocation": 3}}),
                Action::Schedule { continues: Some(Continued { publication: 12, invocation: 3 }) },
            ),
            (
                json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
                Action::Schedule { continues: None },
            ),
        ] {
            assert_eq!(Action::of_event(event.clone()).unwrap(), action, "{event}");
            // The form in which the function invokes itself.
            let again = serde_json::to_value(&action).unwrap();
            assert_eq!(Action::of_event(again).unwrap(), action);
        }
        for (event, reason) in [
            (json!({}), "the event has no action; send"),
            (json!("refresh"), "the event has no action; send"),
            (json!({"action": "rollback"}), "missing field `commit_hash`"),
            (json!({"action": "rollback", "commit_hash": "main"}), "not a commit"),
            (json!({"action": "deploy"}), "unknown variant `deploy`"),
            (json!({"action": "refresh", "force": true}), "unknown field `force`"),
        ] {
            let error = Action::of_event(event.clone()).unwrap_err().to_string();
            assert!(error.contains(reason), "{event}: {error}");
        }
    }

    #[test]
    fn continued_action_is_the_same_action_without_its_stacks() {
        let continues = Continued { publication: 12, invocation: 2 };
        let commit: CommitSha = "0123456789012345678901234567890123456789".parse().unwrap();
        let hint = Hint { commit_hash: Some(commit), remove_all: true, ..Hint::default() };
        let stacks = ["go".to_owned()].into();
        for (action, next) in [
            (Action::Reconcile { continues: None }, Action::Reconcile { continues: Some(continues) }),
            (Action::Schedule { continues: None }, Action::Schedule { continues: Some(continues) }),
            (
                Action::Refresh(Hint { stacks, ..hint.clone() }),
                Action::Refresh(Hint { continues: Some(continues), ..hint }),
            ),
            (Action::Unpin {}, Action::Refresh(Hint { continues: Some(continues), ..Hint::default() })),
        ] {
            assert_eq!(action.continued(continues), next);
            assert_eq!(next.continues(), Some(continues));
        }
    }

    #[test]
    fn bodies_may_be_empty_and_not_wrong() {
        assert_eq!(Hint::of_body(b" \n").unwrap(), Hint::default());
        assert_eq!(Hint::of_body(br#"{"stacks": ["go"]}"#).unwrap().stacks.len(), 1);
        let continues = r#"{"continues": {"publication": 1, "invocation": 2}}"#;
        for body in
            ["[", "[]", r#"{"commit_hash": "HEAD"}"#, r#"{"commit": "x"}"#, r#"{"remove_all": true}"#, continues]
        {
            assert!(Hint::of_body(body.as_bytes()).is_err(), "{body}");
        }
        let many: Vec<String> = (0..=NAMED_STACKS).map(|number| number.to_string()).collect();
        assert!(Hint::of_body(json!({ "stacks": many }).to_string().as_bytes()).is_err());
    }
}
