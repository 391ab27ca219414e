//! The times at which entries and versions were added and changed: from the history of releases, else from the dates of the index.

use std::cmp::Reverse;
use std::collections::HashMap;

use devfile_registry::index::{Entry, EntryType, VersionEntry};
use devfile_registry::release::{PublishedVersion, Recent};
use devfile_registry::timestamp::Timestamp;
use jiff::Timestamp as Instant;

/// Most versions that a feed names.
pub(crate) const FEED_VERSIONS: usize = 50;

/// Time for which an entry is new, in seconds: thirty days.
const NEW_SECONDS: i64 = 30 * 86_400;

/// The times of a release's entries and versions.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: Vec<Times>,
    /// Versions that a recent release changed, by the position of their entry and their name.
    versions: HashMap<(usize, String), Instant>,
    /// Versions in the order of their last change, the newest first: the position of the entry, and that of the version in it.
    newest: Vec<(usize, Option<usize>)>,
}

/// The times of an entry; `None` where they are unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Time of the last change.
    pub(crate) updated: Option<Instant>,
    /// Time of the addition.
    pub(crate) added: Option<Instant>,
    /// Whether a recent release added it.
    is_recent: bool,
}

impl Times {
    /// Returns whether a release of the last thirty days added the entry.
    pub(crate) fn is_new(&self, now: Instant) -> bool {
        self.is_recent && self.added.is_some_and(|added| now.as_second() - added.as_second() < NEW_SECONDS)
    }
}

impl History {
    /// Reads the history. The single parts of a release that changed more than the history lists are no news.
    pub(crate) fn new(entries: &[Entry], versions: &[PublishedVersion], recent: &[Recent]) -> Self {
        let (mut changed, mut added): (HashMap<&str, Instant>, HashMap<&str, Instant>) = Default::default();
        for release in recent.iter().rev() {
            let at = release.generated_at.instant();
            let changes = &release.changes;
            if changes.changed.len() + changes.removed.len() == release.parts {
                changed.extend(changes.changed.iter().map(|part| (part.as_str(), at)));
                added.extend(changes.added.iter().map(|part| (part.as_str(), at)));
            }
        }
        let places = |kind| {
            let of_kind = entries.iter().enumerate().filter(move |(_, entry)| entry.entry_type == kind);
            of_kind.map(|(position, entry)| (entry.name.as_str(), position)).collect::<HashMap<_, _>>()
        };
        let stacks = places(EntryType::Stack);
        let mut history = Self { entries: entries.iter().map(of_index).collect(), ..Self::default() };
        let mut folders: HashMap<usize, &str> = HashMap::new();
        for version in versions {
            let Some(position) = stacks.get(version.name.as_str()) else { continue };
            folders.insert(*position, &version.stack);
            if let Some(at) = changed.get(version.folder.as_str()) {
                history.versions.insert((*position, version.version.clone()), *at);
                history.entries[*position].change(*at);
            }
        }
        for (position, entry) in entries.iter().enumerate() {
            let part = match entry.entry_type {
                EntryType::Stack => format!("stacks/{}", folders.get(&position).unwrap_or(&entry.name.as_str())),
                EntryType::Sample => format!("samples/{}", entry.name),
            };
            if let Some(at) = changed.get(part.as_str()) {
                history.entries[position].change(*at);
            }
            if let Some(at) = added.get(part.as_str()) {
                history.entries[position].added = Some(*at);
                history.entries[position].is_recent = true;
            }
        }
        history.newest = history.newest_first(entries);
        history
    }

    fn newest_first(&self, entries: &[Entry]) -> Vec<(usize, Option<usize>)> {
        let mut all: Vec<(Reverse<Option<Instant>>, usize, Option<usize>)> = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            if entry.versions.is_empty() {
                all.push((Reverse(self.entries[position].updated), position, None));
            }
            let versions = entry.versions.iter().enumerate();
            all.extend(
                versions.map(|(number, version)| (Reverse(self.version(position, version)), position, Some(number))),
            );
        }
        all.sort_unstable();
        all.truncate(FEED_VERSIONS);
        all.into_iter().map(|(_, position, version)| (position, version)).collect()
    }

    /// The times of the entry at a position.
    pub(crate) fn entry(&self, position: usize) -> Times {
        self.entries.get(position).copied().unwrap_or_default()
    }

    /// The time of the last change of a version of the entry at a position.
    pub(crate) fn version(&self, position: usize, version: &VersionEntry) -> Option<Instant> {
        let published = self.versions.get(&(position, version.version.clone())).copied();
        known(&version.last_modified).max(published)
    }

    /// The versions that were changed last, the newest first: the position of the entry, and that of the version in it.
    pub(crate) fn newest(&self) -> &[(usize, Option<usize>)] {
        &self.newest
    }
}

impl Times {
    fn change(&mut self, at: Instant) {
        self.updated = self.updated.max(Some(at));
    }
}

/// The times that the index has: a stack is as old as its oldest version.
fn of_index(entry: &Entry) -> Times {
    let updated = known(&entry.last_modified);
    let oldest = entry.versions.iter().filter_map(|version| known(&version.last_modified)).min();
    Times { updated, added: oldest.or(updated), is_recent: false }
}

fn known(moment: &Timestamp) -> Option<Instant> {
    (*moment != Timestamp::unknown()).then(|| moment.instant())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::browse::fixture;
    use devfile_registry::release::Changes;

    fn at(text: &str) -> Instant {
        text.parse().unwrap()
    }

    /// A release that changed some parts, added others, and changed so many in all.
    fn release(moment: &str, changed: &[&str], added: &[&str], parts: usize) -> Recent {
        let list = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        Recent {
            commit_hash: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            release: devfile_registry::digest::Digest::of(moment.as_bytes()),
            generated_at: moment.parse().unwrap(),
            changes: Changes { changed: list(changed), added: list(added), ..Changes::default() },
            parts,
        }
    }

    #[test]
    fn entry_is_updated_and_new_by_the_release_that_changed_it() {
        let recent = [
            release("2025-11-20T10:00:00Z", &["samples/pot"], &[], 400),
            release("2025-11-10T10:00:00Z", &["stacks/loom"], &["stacks/loom"], 1),
        ];
        let history = History::new(&fixture::entries(), &[], &recent);
        let loom = history.entry(1);
        assert_eq!((loom.updated, loom.added), (Some(at("2025-11-10T10:00:00Z")), Some(at("2025-11-10T10:00:00Z"))));
        assert!(loom.is_new(at("2025-12-01T00:00:00Z")) && !loom.is_new(at("2026-01-01T00:00:00Z")));
        let pot = history.entry(3);
        assert_eq!(pot.updated, Some(at("2025-10-02T16:45:00Z")), "a release that changed 400 parts is no news of one");
        assert!(!history.entry(4).is_new(at("2025-11-11T00:00:00Z")), "the sample has the name of the new stack");
    }

    #[test]
    fn times_without_history_are_those_of_the_index() {
        let history = History::new(&fixture::entries(), &[], &[]);
        let kiln = history.entry(0);
        assert_eq!(kiln.updated, Some(at("2025-09-12T12:05:00Z")));
        assert_eq!(kiln.added, Some(at("2025-03-04T09:30:00Z")));
        assert!(!kiln.is_new(at("2025-03-05T00:00:00Z")));
        assert_eq!(history.newest()[..3], [(3, Some(0)), (0, Some(0)), (1, Some(0))]);
    }
}
