//! What the function can be told to do, and how it is told: direct invocations and schedules.

use std::collections::{BTreeMap, BTreeSet};

use devfile_registry::digest::CommitSha;
use devfile_registry::preview::Proposed;
use devfile_registry::publish::{Invocation, PreviewReport, Report, Verification};
use devfile_registry::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most stacks that a trigger may name; a push that touches more is about the whole registry.
const NAMED_STACKS: usize = 1000;

/// A direct invocation of the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Make the head of the repository live.
    Refresh(Hint),
    /// The same, and compare the live release with the OCI registry and the bucket; repair what lags, remove what is not needed.
    Reconcile {
        /// The publication that it continues. Only the function itself says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<Continued>,
    },
    /// As refresh, with what offline stacks have of other hosts in the state that it has there now.
    Refetch {},
    /// What a schedule asks for: to reconcile, but of a large registry only a part each time.
    Schedule {
        /// As for [`Action::Reconcile`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<Continued>,
    },
    /// Make the release of a commit live again, and keep it.
    Rollback {
        /// The commit.
        commit_hash: CommitSha,
    },
    /// Follow the branch again.
    Unpin {},
    /// Rebuild the bucket from the OCI registry.
    Restore {},
    /// Check every digest and change nothing.
    Verify {},
    /// Build the preview of a proposal.
    Preview(Proposed),
    /// End the preview of a proposal.
    #[serde(rename = "end-preview")]
    EndPreview {
        /// The number of the proposal.
        number: u64,
        /// When it was closed or lost its label, by the clock of its host: events of earlier changes are late then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        withdrawn_at: Option<Timestamp>,
    },
}

/// What a trigger says of the change. It decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hint {
    /// The commit that caused the trigger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_hash: Option<CommitSha>,
    /// Folders below `stacks/` that the caller wants to know about.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub stacks: BTreeSet<String>,
    /// Whether a repository without stacks removes all of them. Only a direct invocation may say so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remove_all: bool,
    /// The publication that the refresh continues. Only the function itself says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continued>,
}

/// A publication that earlier invocations could not finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continued {
    /// Its number.
    pub publication: u64,
    /// The number of the next invocation.
    pub invocation: u32,
}

/// What an action gives.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Something was or could have been published.
    Report(Box<Report>),
    /// Everything was looked at.
    Verification(Verification),
    /// A preview was built or ended.
    Preview(Box<PreviewReport>),
}

impl Answer {
    pub(crate) fn preview(report: PreviewReport) -> Self {
        Self::Preview(Box::new(report))
    }
}

/// Why an event is not an [`Action`].
#[derive(Debug, thiserror::Error)]
pub enum UnknownEvent {
    /// It names none.
    #[error(
        "the event is no action; send {{\"action\": \"refresh\"}}, or reconcile, schedule, refetch, rollback (with commit_hash), unpin, restore, verify, preview (with number and commit_hash) or end-preview (with number)"
    )]
    NoAction,
    /// It names one and more than that.
    #[error("the event is not understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Action {
    /// Reads the event of an invocation. A schedule of EventBridge means [`Action::Schedule`].
    ///
    /// # Errors
    /// [`UnknownEvent`] says what to send instead.
    pub fn of_event(event: Value) -> Result<Self, UnknownEvent> {
        let is = |field: &str, value: &str| event.get(field).and_then(Value::as_str) == Some(value);
        if is("source", "aws.events") || is("source", "aws.scheduler") || is("detail-type", "Scheduled Event") {
            return Ok(Self::Schedule { continues: None });
        }
        if event.get("action").is_none() {
            return Err(UnknownEvent::NoAction);
        }
        Ok(serde_json::from_value(event)?)
    }

    /// Returns the publication that the action continues.
    pub(crate) fn continues(&self) -> Option<Continued> {
        match self {
            Self::Refresh(hint) => hint.continues,
            Self::Reconcile { continues } | Self::Schedule { continues } => *continues,
            _ => None,
        }
    }

    /// Returns the action that continues the publication of this one. Its report goes to nobody, so it names no stacks.
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
    /// The next invocation after one that could not finish.
    pub(crate) fn after(unfinished: Invocation) -> Self {
        Self { publication: unfinished.publication, invocation: unfinished.number.saturating_add(1) }
    }
}

impl Hint {
    /// Reads the body of a request; an empty one tells nothing.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn of_body(body: &[u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // A list would be taken for the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err("send a JSON object, or nothing".to_owned());
        }
        let hint: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if hint.remove_all {
            return Err("remove_all is for a direct invocation of the function".to_owned());
        }
        if hint.continues.is_some() {
            return Err("continues is for the function itself".to_owned());
        }
        if hint.stacks.len() > NAMED_STACKS {
            return Err(format!("more than {NAMED_STACKS} stacks are named; leave `stacks` out"));
        }
        Ok(hint)
    }

    /// What became of the stacks that the caller asked about.
    pub fn stacks(&self, report: &Report) -> BTreeMap<String, &'static str> {
        let about = |parts: &BTreeSet<String>, stack: &str| {
            let folder = format!("stacks/{stack}");
            parts
                .iter()
                .any(|part| part.strip_prefix(&folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        let held = |stack: &str| {
            report.quarantined.iter().flat_map(|held| &held.problems).any(|problem| {
                problem
                    .path
                    .strip_prefix("stacks/")
                    .and_then(|path| path.split_once('/'))
                    .is_some_and(|(s, _)| s == stack)
            })
        };
        let state = |stack: &String| {
            if held(stack) {
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
            // As the function hands work to itself.
            let again = serde_json::to_value(&action).unwrap();
            assert_eq!(Action::of_event(again).unwrap(), action);
        }
        for (event, reason) in [
            (json!({}), "the event is no action; send"),
            (json!("refresh"), "the event is no action; send"),
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
