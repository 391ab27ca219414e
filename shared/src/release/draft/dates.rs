//! Dates of versions and samples: from the tree, from the release before, or else from the history.

use std::collections::BTreeMap;

use super::Draft;
use crate::diagnostic::Diagnostic;
use crate::release::pending::{Pending, PendingReason};
use crate::repository::{SAMPLE_WITHOUT_VERSION, SampleOrigin, Stack, StackVersion};
use crate::timestamp::Timestamp;

impl Draft<'_> {
    /// Paths whose date neither the tree nor the release before knows; the history of the repository has to say.
    pub fn undated(&self) -> Vec<String> {
        let versions = self.repository.stacks.iter().flat_map(|stack| stack.versions.iter().map(move |v| (stack, v)));
        let folders = versions.filter(|(stack, v)| self.known_date(stack, v).is_none()).map(|(_, v)| v.folder.clone());
        let samples =
            self.repository.samples.iter().flat_map(|sample| sample.devfiles.iter().map(move |d| (sample, d)));
        let devfiles = samples
            .filter(|(sample, (version, _))| self.sample_date(&sample.entry.name, version).is_none())
            .filter_map(|(_, (_, devfile))| match &devfile.origin {
                SampleOrigin::Tree(path) => Some(path.clone()),
                SampleOrigin::Fetched { .. } => None,
            });
        folders.chain(devfiles).collect()
    }

    /// Records which of the [`Draft::undated`] paths the history did not date: a warning and a pending subject for each.
    pub(super) fn note_undated(&mut self, history: &BTreeMap<String, Timestamp>) {
        for path in self.undated().into_iter().filter(|path| !history.contains_key(path)) {
            self.pending.add(Pending::of_path(&path), PendingReason::Undated);
            let mut versions = self.repository.stacks.iter().flat_map(|stack| &stack.versions);
            let version = versions.find(|version| version.folder == path);
            let path = version.map_or(path, |version| format!("{}/{}", version.folder, version.devfile_name()));
            let message = "the history does not say when it last changed";
            let hint = "a later refresh asks again; a last_modified.json in the repository needs no history";
            self.warnings.push(Diagnostic::warning(path, "lastModified/history", message, hint));
        }
    }

    pub(super) fn known_date(&self, stack: &Stack, version: &StackVersion) -> Option<Timestamp> {
        let number = version.devfile.version.as_str();
        let in_tree = self.repository.dates.stack(&stack.fields.name, number);
        let before = || {
            let before = &self.unchanged.get(&version.folder)?.last_modified;
            (*before != Timestamp::unknown()).then(|| before.clone())
        };
        // The history of the registry repository does not have the files of other repositories.
        let fetched = || self.upstream.versions.get(&version.folder)?.authored.clone();
        in_tree.cloned().or_else(before).or_else(fetched)
    }

    pub(super) fn sample_date(&self, name: &str, version: &str) -> Option<&Timestamp> {
        let version = if version.is_empty() { SAMPLE_WITHOUT_VERSION } else { version };
        self.repository.dates.sample(name, version)
    }
}
