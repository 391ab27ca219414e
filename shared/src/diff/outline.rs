//! The lines of a difference, before they are written in a notation.

use serde_json::Value;

use super::difference::{Both, Change, Diff, EntryDiff, FieldDiff, FileDiff, VersionDiff};
use crate::index::EntryType;
use crate::repository::{Part, Quarantined};

/// Most elements of a list that are named one by one.
const NAMED_ELEMENTS: usize = 12;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutlineLine {
    /// Its level of indentation: 0 for entries.
    pub(super) depth: usize,
    /// The kind of the difference of the thing that it names; `None` when it names none.
    pub(super) change: Option<Change>,
    pub(super) segments: Vec<Segment>,
}

/// A segment of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Words of this program.
    Words(&'static str),
    /// A text of a repository, in which anything may stand.
    Foreign(String),
}

use Segment::{Foreign, Words};

impl OutlineLine {
    fn new(depth: usize, change: impl Into<Option<Change>>, segments: Vec<Segment>) -> Self {
        Self { depth, change: change.into(), segments }
    }
}

/// The lines of each entry; the first line of each names it.
pub(super) fn entries(diff: &Diff) -> impl Iterator<Item = Vec<OutlineLine>> {
    diff.entries.iter().map(entry)
}

/// The lines of everything that the new state does not publish as its repository has it.
pub(super) fn quarantined(diff: &Diff) -> impl Iterator<Item = Vec<OutlineLine>> {
    diff.quarantined.iter().map(quarantined_part)
}

fn entry(entry: &EntryDiff) -> Vec<OutlineLine> {
    let kind = match entry.entry_type {
        EntryType::Stack => "stack ",
        EntryType::Sample => "sample ",
    };
    let mut title = vec![Words(match entry.change {
        Change::Added => "new ",
        Change::Removed => "removed ",
        Change::Changed => "",
    })];
    title.extend([Words(kind), Foreign(entry.name.clone())]);
    let mut lines = vec![OutlineLine::new(0, entry.change, title)];
    if entry.change != Change::Changed {
        let default = entry.default.as_ref().and_then(|both| both.new.as_ref().or(both.old.as_ref()));
        for version in &entry.versions {
            let mut segments = vec![Words("version "), Foreign(version.version.clone())];
            segments.extend((default == Some(&version.version)).then_some(Words(", the default")));
            lines.push(OutlineLine::new(1, version.change, segments));
        }
        return lines;
    }
    if let Some(Both { old, new }) = &entry.default {
        let name = |version: &Option<String>| version.clone().map_or(Words("none"), Foreign);
        lines.push(OutlineLine::new(
            1,
            Change::Changed,
            vec![Words("default version: "), name(old), Words(" to "), name(new)],
        ));
    }
    lines.extend(deprecation(1, entry.deprecated.as_ref()));
    lines.extend(entry.fields.iter().map(|one| field(1, one)));
    lines.extend(entry.files.iter().map(|one| file(1, one)));
    for one in &entry.versions {
        lines.extend(version(one));
    }
    lines
}

fn version(version: &VersionDiff) -> Vec<OutlineLine> {
    let mut segments = vec![Words(match version.change {
        Change::Added => "new ",
        Change::Removed => "removed ",
        Change::Changed => "",
    })];
    segments.extend([Words("version "), Foreign(version.version.clone())]);
    let is_repacked = version.manifest.is_some() && version.files.is_empty();
    segments.extend(is_repacked.then_some(Words(": another artifact")));
    let mut lines = vec![OutlineLine::new(1, version.change, segments)];
    lines.extend(deprecation(2, version.deprecated.as_ref()));
    lines.extend(version.fields.iter().map(|one| field(2, one)));
    lines.extend(version.files.iter().map(|one| file(2, one)));
    lines
}

fn deprecation(depth: usize, deprecated: Option<&Both<bool>>) -> Option<OutlineLine> {
    let words = if deprecated?.new { "deprecated" } else { "no longer deprecated" };
    Some(OutlineLine::new(depth, Change::Changed, vec![Words(words)]))
}

fn file(depth: usize, file: &FileDiff) -> OutlineLine {
    OutlineLine::new(depth, file.change, vec![Words("file "), Foreign(file.path.clone())])
}

fn field(depth: usize, field: &FieldDiff) -> OutlineLine {
    let mut segments = vec![Words("field "), Foreign(field.field.clone()), Words(": ")];
    let change = match (&field.old, &field.new) {
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            segments.extend(elements(old, new));
            Change::Changed
        }
        (Some(old), Some(new)) => {
            segments.extend([value(old), Words(" to "), value(new)]);
            Change::Changed
        }
        (None, Some(new)) => {
            segments.push(value(new));
            Change::Added
        }
        (old, None) => {
            segments.extend(old.as_ref().map(value));
            Change::Removed
        }
    };
    OutlineLine::new(depth, change, segments)
}

/// The elements that came and went.
fn elements(old: &[Value], new: &[Value]) -> Vec<Segment> {
    let came = new.iter().filter(|element| !old.contains(element)).map(|element| ("added ", element));
    let went = old.iter().filter(|element| !new.contains(element)).map(|element| ("removed ", element));
    let mut segments = Vec::new();
    let (mut count, mut word_before) = (0, "");
    for (word, element) in came.chain(went) {
        count += 1;
        if count > NAMED_ELEMENTS {
            continue;
        }
        if !segments.is_empty() {
            segments.push(Words(", "));
        }
        if word != word_before {
            segments.push(Words(word));
            word_before = word;
        }
        segments.push(value(element));
    }
    if count > NAMED_ELEMENTS {
        segments.push(Words(", and more"));
    }
    if segments.is_empty() {
        segments.push(Words("in another order"));
    }
    segments
}

/// A value in JSON: the quotes of a text show where it ends.
fn value(value: &Value) -> Segment {
    Foreign(value.to_string())
}

fn quarantined_part(quarantined: &Quarantined) -> Vec<OutlineLine> {
    let title = match &quarantined.part {
        Part::Version { stack, version } => {
            vec![Words("version "), Foreign(version.clone()), Words(" of stack "), Foreign(stack.clone())]
        }
        Part::Stack { stack } => vec![Words("stack "), Foreign(stack.clone())],
        Part::Sample { name } => vec![Words("sample "), Foreign(name.clone())],
        Part::ExtraEntries => vec![Words("entries of extraDevfileEntries.yaml")],
        Part::Dates => vec![Words("dates of last_modified.json")],
    };
    let mut lines = vec![OutlineLine::new(0, None, title)];
    for problem in &quarantined.problems {
        let line = problem.position.map(|position| format!(":{}", position.line)).unwrap_or_default();
        let location = Foreign(format!("{}{line}", problem.path));
        lines.push(OutlineLine::new(1, None, vec![location, Words(": "), Foreign(problem.message.clone())]));
    }
    lines
}
