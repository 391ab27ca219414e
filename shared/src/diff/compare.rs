//! The comparison of two states.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::difference::{Both, Change, Diff, EntryDiff, FieldDiff, FileDiff, VersionDiff};
use super::side::{FileDigests, Side};
use crate::artifact::CATALOG;
use crate::digest::Digest;
use crate::index::{Entry, EntryType, VersionEntry};
use crate::repository::Part;
use crate::version::Version;

/// Fields that are compared in another way, or that follow from others.
const OTHER_FIELDS: [&str; 6] = ["name", "type", "versions", "version", "default", "lastModified"];

/// The tag of deprecated entries and versions, in lower case. Clients look for it in the tags.
const DEPRECATED: &str = "deprecated";

/// The only file of a sample.
const DEVFILE: &str = "devfile.yaml";

impl Diff {
    /// Compares two states.
    pub fn between(old: &Side, new: &Side) -> Self {
        let (before, after) = (old.by_name(), new.by_name());
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let entries = names.into_iter().filter_map(|name| match (before.get(name), after.get(name)) {
            (Some(one), Some(other)) => changed((old, one), (new, other)),
            (None, Some(entry)) => Some(alone(entry, Change::Added)),
            (Some(entry), None) => (!is_entry_quarantined(entry, new)).then(|| alone(entry, Change::Removed)),
            (None, None) => None,
        });
        let entries = entries.collect();
        let is_new = |quarantined: &&_| !old.quarantined.contains(quarantined);
        Self { entries, quarantined: new.quarantined.iter().filter(is_new).cloned().collect() }
    }
}

/// An entry of one side alone, with its versions.
fn alone(entry: &Entry, change: Change) -> EntryDiff {
    let default = entry.default_version().map(|version| version.version.clone());
    let default = default.map(|version| match change {
        Change::Removed => Both { old: Some(version), new: None },
        Change::Added | Change::Changed => Both { old: None, new: Some(version) },
    });
    let versions = entry.versions.iter().map(|version| only_version(version, change)).collect();
    EntryDiff { default, versions, ..entry_diff(entry, change) }
}

fn entry_diff(entry: &Entry, change: Change) -> EntryDiff {
    EntryDiff {
        entry_type: entry.entry_type,
        name: entry.name.clone(),
        change,
        default: None,
        deprecated: None,
        fields: Vec::new(),
        files: Vec::new(),
        versions: Vec::new(),
    }
}

fn only_version(version: &VersionEntry, change: Change) -> VersionDiff {
    let version = version.version.clone();
    VersionDiff { version, change, deprecated: None, fields: Vec::new(), files: Vec::new(), manifest: None }
}

/// An entry that both sides have; `None` when it is the same.
fn changed((old, before): (&Side, &Entry), (new, after): (&Side, &Entry)) -> Option<EntryDiff> {
    let after = &with_quarantined(before, new, after);
    let default = |entry: &Entry| entry.default_version().map(|version| version.version.clone());
    let default = both(default(before), default(after));
    let deprecated = both(is_entry_deprecated(before), is_entry_deprecated(after));
    let fields = fields(before, after);
    let files = sample_files((old, new), after, "");
    let of = |entry: &'_ Entry| -> BTreeMap<String, VersionEntry> {
        entry.versions.iter().map(|version| (version.version.clone(), version.clone())).collect()
    };
    let (versions_before, versions_after) = (of(before), of(after));
    let mut numbers: Vec<&String> = versions_before.keys().chain(versions_after.keys()).collect();
    numbers.sort_by_cached_key(|number| (std::cmp::Reverse(number.parse::<Version>().ok()), (*number).clone()));
    numbers.dedup();
    let versions =
        numbers.into_iter().filter_map(|number| match (versions_before.get(number), versions_after.get(number)) {
            (Some(one), Some(other)) => changed_version((old, one), (new, other), after),
            (None, Some(version)) => Some(only_version(version, Change::Added)),
            (Some(version), None) => Some(only_version(version, Change::Removed)),
            (None, None) => None,
        });
    let versions: Vec<_> = versions.collect();
    let is_same = default.is_none() && deprecated.is_none() && fields.is_empty() && files.is_empty();
    if is_same && versions.is_empty() {
        return None;
    }
    Some(EntryDiff { default, deprecated, fields, files, versions, ..entry_diff(after, Change::Changed) })
}

fn changed_version(
    (old, before): (&Side, &VersionEntry),
    (new, after): (&Side, &VersionEntry),
    entry: &Entry,
) -> Option<VersionDiff> {
    let key = (entry.name.clone(), after.version.clone());
    let artifacts = old.artifacts.get(&key).zip(new.artifacts.get(&key));
    // A sample has none; a stack of its name may have some.
    let artifacts =
        artifacts.filter(|(one, other)| entry.entry_type == EntryType::Stack && one.manifest != other.manifest);
    let manifest = artifacts.map(|(one, other)| Both { old: one.manifest, new: other.manifest });
    let mut files = sample_files((old, new), entry, &after.version);
    if let Some((Some(before), Some(after))) = artifacts.map(|(one, other)| (&one.files, &other.files)) {
        files.extend(file_diffs(before, after));
    }
    let deprecated = both(is_deprecated(&before.tags), is_deprecated(&after.tags));
    let fields = fields(before, after);
    if deprecated.is_none() && fields.is_empty() && files.is_empty() && manifest.is_none() {
        return None;
    }
    Some(VersionDiff { deprecated, fields, files, manifest, ..only_version(after, Change::Changed) })
}

/// An entry of the new side with the versions that its repository quarantines as the old side has them.
///
/// They keep their last published state, which a side that was built without it lacks. Tags are those of the entry, then those of its
/// default version, as in the index.
fn with_quarantined(before: &Entry, new: &Side, after: &Entry) -> Entry {
    let mut entry = after.clone();
    let is_missing = |version: &&VersionEntry| after.versions.iter().all(|other| other.version != version.version);
    for version in before.versions.iter().filter(is_missing).filter(|version| is_quarantined(version, new)) {
        let default = version.default && after.default_version().is_none();
        let tags = version.tags.iter().filter(|tag| default && !after.tags.contains(tag));
        entry.tags.extend(tags.cloned());
        entry.versions.push(VersionEntry { default, ..version.clone() });
    }
    entry
}

/// Whether the repository of a side quarantines a version of a stack.
fn is_quarantined(version: &VersionEntry, side: &Side) -> bool {
    // `links.self` is the only place where an index has the folder of a stack.
    let artifact = version.links.get("self").and_then(|link| link.strip_prefix(CATALOG)?.strip_prefix('/'));
    let Some((folder, tag)) = artifact.and_then(|artifact| artifact.rsplit_once(':')) else { return false };
    side.quarantined.iter().any(|quarantined| match &quarantined.part {
        Part::Version { stack, version } => stack == folder && version == tag,
        Part::Stack { stack } => stack == folder,
        Part::Sample { .. } | Part::ExtraEntries | Part::Dates => false,
    })
}

/// The same of an entry, all of whose versions are quarantined, or that is a sample.
fn is_entry_quarantined(entry: &Entry, side: &Side) -> bool {
    match entry.entry_type {
        EntryType::Stack => {
            !entry.versions.is_empty() && entry.versions.iter().all(|version| is_quarantined(version, side))
        }
        EntryType::Sample => side.quarantined.iter().any(|quarantined| match &quarantined.part {
            Part::Sample { name } => *name == entry.name,
            Part::ExtraEntries => true,
            Part::Version { .. } | Part::Stack { .. } | Part::Dates => false,
        }),
    }
}

fn both<T: PartialEq>(old: T, new: T) -> Option<Both<T>> {
    (old != new).then_some(Both { old, new })
}

fn is_deprecated(tags: &[String]) -> bool {
    tags.iter().any(|tag| tag.to_lowercase().contains(DEPRECATED))
}

/// Whether an entry is deprecated. The default version decides where the entry's own tags do not say it.
fn is_entry_deprecated(entry: &Entry) -> bool {
    is_deprecated(&entry.tags) || entry.default_version().is_some_and(|version| is_deprecated(&version.tags))
}

/// The devfile of an entry that is a sample, when both sides know it and it differs.
fn sample_files((old, new): (&Side, &Side), entry: &Entry, version: &str) -> Vec<FileDiff> {
    let key = (entry.name.clone(), version.to_owned());
    let is_sample = entry.entry_type == EntryType::Sample;
    let digest = |side: &Side| -> Option<Digest> { side.samples.get(&key).copied().filter(|_| is_sample) };
    let differs = digest(old).zip(digest(new)).is_some_and(|(one, other)| one != other);
    differs.then(|| FileDiff { path: DEVFILE.to_owned(), change: Change::Changed }).into_iter().collect()
}

fn file_diffs(old: &FileDigests, new: &FileDigests) -> Vec<FileDiff> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |path: &String| match (old.get(path), new.get(path)) {
        (None, _) => Some(Change::Added),
        (_, None) => Some(Change::Removed),
        (one, other) => (one != other).then_some(Change::Changed),
    };
    paths.into_iter().filter_map(|path| Some(FileDiff { path: path.clone(), change: change(path)? })).collect()
}

/// The fields that differ, in the order of the new side, then those that only the old one has.
fn fields(old: &impl Serialize, new: &impl Serialize) -> Vec<FieldDiff> {
    let (old, new) = (flat(old), flat(new));
    let in_new = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let in_old = old.iter().filter(|(name, _)| !new.contains_key(*name));
    let names = in_new.chain(in_old).map(|(name, _)| name);
    let field =
        |name: &String| FieldDiff { field: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() };
    names.map(field).collect()
}

/// The fields of an entry or version; those of an object in it by themselves.
fn flat(value: &impl Serialize) -> Map<String, Value> {
    // Entries have string keys, and serializing to memory cannot fail.
    let Ok(Value::Object(fields)) = serde_json::to_value(value) else { return Map::new() };
    let mut flat = Map::new();
    for (name, value) in fields.into_iter().filter(|(name, _)| !OTHER_FIELDS.contains(&name.as_str())) {
        match value {
            Value::Object(inner) => {
                flat.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => drop(flat.insert(name, value)),
        }
    }
    flat
}
