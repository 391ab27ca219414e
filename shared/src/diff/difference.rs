//! The differences between two states of a registry.

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::index::EntryType;
use crate::repository::Quarantined;

/// The differences between two states of a registry.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Entries that are new, gone or different: stacks, then samples, each by name.
    pub entries: Vec<EntryDiff>,
    /// Quarantined parts of the new state, without those that the old state quarantines alike.
    pub quarantined: Vec<Quarantined>,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Only the new state has it.
    Added,
    /// Only the old state has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

/// A value in both states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Both<T> {
    /// The value in the old state.
    pub old: T,
    /// The value in the new state.
    pub new: T,
}

/// An entry of the index that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryDiff {
    /// Stack or sample.
    #[serde(rename = "type")]
    pub entry_type: EntryType,
    /// Its name.
    pub name: String,
    /// The kind of the difference.
    pub change: Change,
    /// Its default version, when another one is the default or the entry is new or gone; `None` stands for no default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Both<Option<String>>>,
    /// Whether it is deprecated, when that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Both<bool>>,
    /// Fields that differ; none of an entry that is new or gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDiff>,
    /// Devfiles of a sample without versions that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileDiff>,
    /// Versions that differ, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionDiff>,
}

/// A version that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionDiff {
    /// Its number.
    pub version: String,
    /// The kind of the difference.
    pub change: Change,
    /// Whether it is deprecated, when that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Both<bool>>,
    /// Fields that differ; none of a version that is new or gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDiff>,
    /// Files that differ; none of a version that is new or gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileDiff>,
    /// The digests of its manifest, where they are known and differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Both<Digest>>,
}

/// A field of an entry or version that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldDiff {
    /// Its name in the index; that of a value inside an object has the object's before it, with a dot.
    pub field: String,
    /// Its old value; `None` when the old state lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// Its new value; `None` when the new state lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDiff {
    /// Its path below the folder of the version.
    pub path: String,
    /// The kind of the difference.
    pub change: Change,
}

impl Diff {
    /// Whether clients would see no difference.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One sentence: how many entries are new, different and gone.
    pub fn summary(&self) -> String {
        let count = |wanted| self.entries.iter().filter(|entry| entry.change == wanted).count();
        let counts =
            [(count(Change::Added), "added"), (count(Change::Changed), "changed"), (count(Change::Removed), "removed")];
        let parts: Vec<_> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() { "no changes for clients".to_owned() } else { format!("entries: {}", parts.join(", ")) }
    }
}

impl Change {
    /// The sign of a line that says so.
    pub(super) fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
        }
    }
}
