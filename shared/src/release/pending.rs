//! Pending subjects of a release (invariant 12).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::repository::Part;
use crate::source::EXTRA_ENTRIES;
use crate::tree::stack_of;

/// The stacks, by `stacks/<folder>`, and the entries of `extraDevfileEntries.yaml`, by that name, that a later refresh tries again,
/// each with the reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pending(BTreeMap<String, BTreeSet<PendingReason>>);

/// Why something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PendingReason {
    /// A host did not answer.
    Unreachable,
    /// The history did not say when a version last changed.
    Undated,
    /// It follows a branch of another repository.
    Branch,
}

impl Pending {
    /// The subject of a stack.
    pub fn of_stack(folder: &str) -> String {
        format!("stacks/{folder}")
    }

    /// The subject that a path in the repository belongs to.
    pub fn of_path(path: &str) -> String {
        stack_of(path).map_or_else(|| EXTRA_ENTRIES.to_owned(), Self::of_stack)
    }

    /// The subject that a part of the repository belongs to.
    pub fn of_part(part: &Part) -> String {
        match part {
            Part::Version { stack, .. } | Part::Stack { stack } => Self::of_stack(stack),
            Part::Sample { .. } | Part::ExtraEntries | Part::Dates => EXTRA_ENTRIES.to_owned(),
        }
    }

    /// Adds a reason to a subject.
    pub fn add(&mut self, subject: String, reason: PendingReason) {
        self.0.entry(subject).or_default().insert(reason);
    }

    /// Adds the subjects of another release that a condition holds for.
    pub(super) fn extend(&mut self, other: &Self, is_retained: impl Fn(&str) -> bool) {
        let retained = other.0.iter().filter(|(subject, _)| is_retained(subject));
        self.0.extend(retained.map(|(subject, reasons)| (subject.clone(), reasons.clone())));
    }

    /// The subjects with their reasons.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<PendingReason>)> {
        self.0.iter().map(|(subject, reasons)| (subject.as_str(), reasons))
    }

    /// The number of subjects.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether everything is settled.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
