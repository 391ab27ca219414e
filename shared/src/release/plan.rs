//! The plan of a release: the stacks that are made anew, and those that are taken over from the release before.
//!
//! There is one way to build a release. A stack is taken over when its Git id, the ids of all that it depends on and the rules are the same;
//! every other stack is read. A plan upon no release reads everything.

use std::collections::{BTreeMap, BTreeSet};

use super::dependencies::{Dependency, LocalReference, named_by};
use super::format::RULES;
use super::loaded::Release;
use super::outline::Outline;
use super::pending::Pending;
use crate::digest::Digest;
use crate::index::EntryType;
use crate::repository::{Part, Repository};
use crate::source::{EXTRA_ENTRIES, Listing, Scope};
use crate::tree::Tree;

/// The stacks that are made anew for a commit.
#[derive(Debug, Clone)]
pub struct Plan {
    listing: Listing,
    scope: Scope,
}

impl Plan {
    /// Takes nothing over.
    pub fn everything(listing: Listing) -> Self {
        Self { listing, scope: Scope::All }
    }

    /// Takes over everything that did not change since the previous release. `due` are pending subjects that are tried again.
    pub fn upon(previous: &Outline, listing: Listing, due: &BTreeSet<String>) -> Self {
        let before = &previous.ids;
        let dates_are_bad = previous.quarantined.iter().any(|quarantined| quarantined.part == Part::Dates);
        // Dates may change anywhere.
        if previous.rules != RULES || dates_are_bad || !listing.has_same("last_modified.json", before) {
            return Self::everything(listing);
        }
        let is_same = |folder: &String| before.stacks.get(folder) == listing.stacks.get(folder);
        let changed = listing.stacks.keys().filter(|folder| !is_same(folder));
        let known = previous.stacks.keys().chain(before.stacks.keys());
        let removed = known.filter(|folder| !listing.stacks.contains_key(*folder));
        let mut stacks: BTreeSet<String> = changed.chain(removed).cloned().collect();
        let mut extra_entries = [EXTRA_ENTRIES, "samples"].iter().any(|path| !listing.has_same(path, before));
        for part in previous.quarantined.iter().map(|quarantined| &quarantined.part) {
            if let Part::Version { stack, .. } | Part::Stack { stack } = part {
                stacks.insert(stack.clone());
            }
            // An entry with the name of a quarantined stack is not in the index.
            extra_entries = true;
        }
        for subject in due {
            match subject.strip_prefix("stacks/") {
                Some(stack) => drop(stacks.insert(stack.to_owned())),
                None => extra_entries = true,
            }
        }
        let mut plan = Self { listing, scope: Scope::Some { stacks, extra_entries } };
        plan.close(previous);
        plan
    }

    /// Adds the dependencies of the stacks to read, and their dependents: a parent is needed to check its children, and children change
    /// with their parent.
    fn close(&mut self, previous: &Outline) {
        let Scope::Some { stacks, extra_entries } = &mut self.scope else { return };
        let folders = folders_by_name(previous);
        loop {
            let before = (stacks.len(), *extra_entries);
            for (child, dependencies) in &previous.dependencies {
                for dependency in dependencies {
                    let parent = dependency.folder(&folders);
                    let is_extra = *dependency == Dependency::Samples;
                    let is_read = parent.is_some_and(|parent| stacks.contains(parent)) || is_extra && *extra_entries;
                    if is_read {
                        stacks.insert(child.clone());
                    }
                    if stacks.contains(child) {
                        stacks.extend(parent.map(str::to_owned));
                        *extra_entries |= is_extra;
                    }
                }
            }
            if before == (stacks.len(), *extra_entries) {
                return;
            }
        }
    }

    /// Returns a plan that reads more, when a stack that was read takes a name or a parent of a reused one.
    pub fn widened(&self, tree: &Tree, repository: &Repository, previous: &Release) -> Option<Self> {
        let Scope::Some { stacks, extra_entries } = &self.scope else { return None };
        let (mut more, mut needs_extra_entries) = (stacks.clone(), *extra_entries);
        let folders = folders_by_name(&previous.outline);
        let is_extra_stack = |name: &str| {
            let mut entries = previous.content.stacks.iter().filter(|entry| entry.entry_type == EntryType::Stack);
            !folders.contains_key(name) && entries.any(|entry| entry.name == name)
        };
        let names = Repository::names(tree);
        let of_extra_stacks = repository.extra_stacks.iter().map(|entry| &entry.name);
        for name in names.iter().chain(of_extra_stacks) {
            more.extend(folders.get(name.as_str()).map(|folder| (*folder).to_owned()));
            needs_extra_entries |= is_extra_stack(name);
        }
        let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
        for (path, file) in tree.iter().filter(|(path, _)| is_yaml(path.as_str())) {
            for dependency in named_by(path.as_str(), &file.content).iter().filter_map(LocalReference::dependency) {
                needs_extra_entries |= dependency == Dependency::Samples;
                let folder = dependency.folder(&folders).filter(|folder| self.listing.stacks.contains_key(*folder));
                more.extend(folder.map(str::to_owned));
            }
        }
        let mut wider = Self {
            listing: self.listing.clone(),
            scope: Scope::Some { stacks: more, extra_entries: needs_extra_entries },
        };
        wider.close(&previous.outline);
        (wider.scope != self.scope).then_some(wider)
    }

    /// The scope that is read.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The ids at the commit.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Whether a pending subject is tried again.
    pub fn tries(&self, subject: &str) -> bool {
        match subject.strip_prefix("stacks/") {
            Some(stack) => self.scope.has_stack(stack),
            None => self.scope.has_extra_entries(),
        }
    }

    /// Folders of the stacks that are taken over.
    pub fn taken_over(&self) -> impl Iterator<Item = &String> {
        self.listing.stacks.keys().filter(|folder| !self.scope.has_stack(folder))
    }

    /// The documents of the release before that are needed: those of the stacks that are read, or all when the stacks are spread over
    /// another number of documents.
    pub fn documents(&self, previous: &Outline) -> BTreeSet<Digest> {
        match &self.scope {
            Scope::Some { stacks, .. } if self.shards() == previous.shards.len() => previous.documents_of(stacks),
            _ => previous.documents().into_keys().collect(),
        }
    }

    /// The bytes of documents that stay as they are in the release before.
    pub fn taken_over_bytes(&self, previous: &Outline) -> u64 {
        let needed = self.documents(previous);
        previous.documents().into_iter().filter(|(document, _)| !needed.contains(document)).map(|(_, size)| size).sum()
    }

    /// The number of documents for the stacks.
    pub(super) fn shards(&self) -> usize {
        super::documents::shards_for(self.listing.stacks.len())
    }

    /// The pending subjects of the release before that are not tried again.
    pub(super) fn still_pending(&self, previous: &Outline, pending: &mut Pending) {
        pending.extend(&previous.pending, |subject| !self.tries(subject));
    }
}

/// Folders of stacks by the names that parents mean them by.
fn folders_by_name(outline: &Outline) -> BTreeMap<&str, &str> {
    outline.stacks.iter().map(|(folder, name)| (name.as_str(), folder.as_str())).collect()
}

#[cfg(test)]
mod tests;
