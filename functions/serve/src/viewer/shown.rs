//! The version of an entry that a page shows.

use devfile_registry::index::{Entry, VersionEntry};

use super::budget::short;
use crate::release::snapshot::{DevfileVersion, Snapshot};
use crate::view::catalog::{is_deprecated, is_deprecated_tag};
use crate::view::versions::{self, Wanted};

/// Longest version, in bytes: a tag of an OCI registry (OCI distribution specification, "Pulling manifests").
const VERSION_BYTES: usize = 128;

/// The version of an entry that a page shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// The entry.
    pub(super) entry: &'a Entry,
    /// Its version in the index; none for an entry without versions.
    pub(super) version: Option<&'a VersionEntry>,
    /// Its devfile, if the release has it.
    pub(super) devfile: Option<&'a DevfileVersion>,
}

impl<'a> Shown<'a> {
    /// The version that a text names: `default` or nothing, `latest`, or a version.
    pub(super) fn find(snapshot: &'a Snapshot, entry: &'a Entry, wanted: &str) -> Option<Self> {
        let (versions, wanted) = (sorted(entry), Wanted::named(wanted));
        // An entry without a default version, or without any, has a page all the same.
        let version = match (wanted.choose(&versions, |_| true), wanted) {
            (None, Wanted::Named(_)) => return None,
            (chosen, _) => chosen.or_else(|| versions.first()).copied(),
        };
        let name = version.map_or(entry.version.as_str(), |version| &version.version);
        let devfiles = snapshot.devfiles_of(entry.entry_type, &entry.name).unwrap_or_default();
        let devfile = devfiles.iter().find(|devfile| devfile.version == name || devfile.version.is_empty());
        Some(Self { entry, version, devfile })
    }

    /// The key of the version in a release: type, name and version.
    pub(super) fn key(&self) -> String {
        format!("{:?} {} {}", self.entry.entry_type, self.entry.name, self.name())
    }

    /// The version's name; may be empty.
    pub(super) fn name(&self) -> &'a str {
        short(self.version.map_or(&self.entry.version, |version| &version.version))
    }

    /// The text of its devfile.
    pub(super) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.devfile?.body.bytes()).ok()
    }

    /// The value of the version, else that of the entry.
    pub(super) fn either<T>(&self, of_version: impl Fn(&'a VersionEntry) -> &'a [T], of_entry: &'a [T]) -> &'a [T] {
        self.version.map(of_version).filter(|list| !list.is_empty()).unwrap_or(of_entry)
    }

    pub(super) fn tags(&self) -> &'a [String] {
        self.either(|version| &version.tags, &self.entry.tags)
    }

    pub(super) fn is_deprecated(&self) -> bool {
        match self.version {
            Some(version) if !version.tags.is_empty() => version.tags.iter().any(|tag| is_deprecated_tag(tag)),
            _ => is_deprecated(self.entry),
        }
    }

    pub(super) fn description(&self) -> &'a str {
        let own = self.version.map_or("", |version| &version.description);
        if own.trim().is_empty() { &self.entry.description } else { own }
    }
}

/// Versions, the newest first. An index keeps those of a sample in the order of the file. A longer name than an OCI registry takes as
/// a tag is no version.
pub(super) fn sorted(entry: &Entry) -> Vec<&VersionEntry> {
    let mut versions: Vec<&VersionEntry> =
        entry.versions.iter().filter(|version| version.version.len() <= VERSION_BYTES).collect();
    versions::sort(&mut versions);
    versions
}
